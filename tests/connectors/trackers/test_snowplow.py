from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.base import Post, Rejected
from connectors.registry import TRACKERS
from shared.errors import BadRequest
from shared.jobs import TrackerEvent
from shared.trackers import Tracker
from tests.sandbox.clock import Clock
from tests.sandbox.trackers.snowplow import CONTEXTS, PAYLOAD, UNSTRUCT, Described, Encoding, Snowplow, enriched

NOW = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
LATER = NOW + timedelta(seconds=3)
SHOP = Tracker.model_validate({"name": "shop", "format": "snowplow", "proof": "none", "names": {"se-buy": "Order Completed"}})

_OWN = "iglu:com.snowplowanalytics.snowplow"
ACTION = f"{_OWN}.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2"
PRODUCT = f"{_OWN}.ecommerce/product/jsonschema/1-0-0"
CART = f"{_OWN}.ecommerce/cart/jsonschema/1-0-0"
TRANSACTION = f"{_OWN}.ecommerce/transaction/jsonschema/1-0-0"
REFUND = f"{_OWN}.ecommerce/refund/jsonschema/1-0-0"
STEP = f"{_OWN}.ecommerce/checkout_step/jsonschema/1-0-0"
USER = f"{_OWN}.ecommerce/user/jsonschema/1-0-0"
SESSION = f"{_OWN}/client_session/jsonschema/1-0-2"
LAMP = {"id": "sku-1", "name": "Désk lamp", "category": "Lighting", "price": 49.5, "currency": "EUR", "quantity": 2}


@pytest.fixture
def site() -> Snowplow:
    return Snowplow("https://hooks.example.com/v1/events/shop", Clock(NOW.timestamp))


def read(body: object, query: dict[str, str] | None = None) -> list[TrackerEvent | Rejected | None]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    post = Post({}, raw, method="GET" if query else "POST", query=query or {})
    return list(TRACKERS.load("snowplow").events(SHOP, post, lambda: LATER))


def one(body: object) -> TrackerEvent:
    (event,) = read(body)
    assert isinstance(event, TrackerEvent)
    return event


def fault(body: object) -> tuple[str, str]:
    (rejected,) = read(body)
    assert isinstance(rejected, Rejected)
    return rejected.field, rejected.reason


def test_a_page_view(site: Snowplow) -> None:
    site.user = "crm-42"
    posted = site.page_view("https://shop.example.com/lamp", "Lamp")
    event = one(site.body())
    assert event == TrackerEvent(
        id=posted["eid"],
        tracker="shop",
        name="Page Viewed",
        at=NOW,
        received_at=LATER,
        anonymous_id=site.visitor,
        user_id="crm-42",
        properties={
            "url": "https://shop.example.com/lamp",
            "title": "Lamp",
            "session_id": site.session,
            "app_id": "shop",
            "platform": "web",
        },
    )


def test_a_repeat_is_the_same_event_although_it_says_when_it_was_sent_anew(site: Snowplow) -> None:
    site.page_view("https://shop.example.com/", "Home")
    first = one(site.body())
    site.clock.advance(300)
    assert one(site.body()) == first


def test_a_ping_keeps_the_visit_alive_and_says_no_more(site: Snowplow) -> None:
    site.page_ping("https://shop.example.com/", 500)
    assert one(site.body()).name == "Page Ping"


def test_a_structured_event_is_called_by_its_action(site: Snowplow) -> None:
    site.structured("shop", "wish", 12.5)
    site.structured("shop", "se-buy")
    wish, order = read(site.body())
    assert isinstance(wish, TrackerEvent)
    assert isinstance(order, TrackerEvent)
    assert (wish.name, wish.properties["value"], wish.properties["category"]) == ("wish", 12.5, "shop")
    assert order.name == "Order Completed"


@pytest.mark.parametrize("encoding", ["url-safe", "standard", "plain"])
def test_a_self_describing_event_however_it_is_encoded(site: Snowplow, encoding: Encoding) -> None:
    site.encoding = encoding
    viewed = {"sku": "ab?>", "tags": ["ü", {"deep": None}]}
    user: Described = ("iglu:com.acme/loyalUser/jsonschema/2-0-1", {"tier": "gold"})
    site.self_describing(("iglu:com.acme/viewed_product/jsonschema/1-0-0", viewed), [user, user])
    event = one(site.body())
    assert event.name == "viewed_product"
    assert {key: event.properties[key] for key in viewed} == viewed
    assert event.properties["contexts_com_acme_loyal_user_2"] == [{"tier": "gold"}, {"tier": "gold"}]


def test_other_vendors_events_are_not_taken_for_snowplows(site: Snowplow) -> None:
    site.self_describing(("iglu:com.acme/transaction/jsonschema/1-0-0", {"sku": "x"}))
    event = one(site.body())
    assert event.name == "transaction"
    assert "product_id" not in event.properties


def test_the_actions_of_the_shop(site: Snowplow) -> None:
    for action in ("product_view", "list_view", "add_to_cart", "remove_from_cart", "checkout_step", "refund", "promo_view"):
        site.self_describing((ACTION, {"type": action}), [(PRODUCT, LAMP)])
    site.self_describing((ACTION, {"type": "checkout_step"}), [(STEP, {"step": 2})])
    site.self_describing((ACTION, {"type": "trns_error"}))
    assert [event.name for event in read(site.body()) if isinstance(event, TrackerEvent)] == [
        "Product Viewed",
        "Product List Viewed",
        "Product Added",
        "Product Removed",
        "Checkout Started",
        "Order Refunded",
        "Promotion Viewed",
        "Checkout Step Completed",
        "trns_error",
    ]


def test_what_is_added_to_a_cart(site: Snowplow) -> None:
    site.self_describing((ACTION, {"type": "add_to_cart"}), [(PRODUCT, LAMP), (CART, {"cart_id": "c1", "total_value": 99})])
    properties = one(site.body()).properties
    product = {**LAMP, "product_id": "sku-1"}
    assert properties["products"] == [product]
    wanted = {"product_id": "sku-1", "name": "Désk lamp", "price": 49.5, "quantity": 2, "category": "Lighting"}
    assert {key: properties[key] for key in wanted} == wanted
    assert (properties["cart_id"], properties["value"]) == ("c1", 99)


def test_an_order_of_several_products_by_somebody_known(site: Snowplow) -> None:
    entities: list[Described] = [
        (PRODUCT, LAMP),
        (PRODUCT, {**LAMP, "id": "sku-2"}),
        (TRANSACTION, {"transaction_id": "T1", "revenue": 148.5, "currency": "EUR", "tax": 3}),
        (USER, {"id": "u1", "email": "ada@example.com"}),
    ]
    site.self_describing((ACTION, {"type": "transaction"}), entities)
    event = one(site.body())
    assert event.name == "Order Completed"
    assert event.traits == {"email": "ada@example.com"}
    wanted = {"order_id": "T1", "total": 148.5, "currency": "EUR", "tax": 3}
    assert {key: event.properties[key] for key in wanted} == wanted
    products = event.properties["products"]
    assert isinstance(products, list)
    assert len(products) == 2
    assert "product_id" not in event.properties


def test_a_products_name_is_not_a_lists(site: Snowplow) -> None:
    site.self_describing((ACTION, {"type": "list_click", "name": "Recommended"}), [(PRODUCT, LAMP)])
    properties = one(site.body()).properties
    assert (properties["list"], properties["name"]) == ("Recommended", "Désk lamp")


def test_a_refund(site: Snowplow) -> None:
    site.self_describing(
        (ACTION, {"type": "refund"}), [(REFUND, {"transaction_id": "T1", "refund_amount": 5, "currency": "EUR"})]
    )
    properties = one(site.body()).properties
    assert (properties["order_id"], properties["total"]) == ("T1", 5)


def test_the_older_schemas_of_shopping_and_searching(site: Snowplow) -> None:
    site.self_describing((f"{_OWN}/add_to_cart/jsonschema/1-0-0", {"sku": "sku-1", "price": 2, "quantity": 1}))
    site.self_describing((f"{_OWN}/site_search/jsonschema/1-0-0", {"terms": ["desk", "lamp"]}))
    added, searched = read(site.body())
    assert isinstance(added, TrackerEvent)
    assert isinstance(searched, TrackerEvent)
    assert (added.name, added.properties["product_id"]) == ("Product Added", "sku-1")
    assert (searched.name, searched.properties["query"]) == ("Products Searched", "desk lamp")


def test_the_original_transactions(site: Snowplow) -> None:
    site.transaction("T1", 99.0, [("sku-1", "Lamp", 49.5, 2)])
    order, item = read(site.body())
    assert isinstance(order, TrackerEvent)
    assert isinstance(item, TrackerEvent)
    assert (order.name, order.properties["order_id"], order.properties["total"]) == ("Order Completed", "T1", 99.0)
    assert item.name == "Order Item"
    assert (item.properties["product_id"], item.properties["price"], item.properties["quantity"]) == ("sku-1", 49.5, 2)


def test_an_apps_visitor_is_in_its_session(site: Snowplow) -> None:
    site.visitor = None
    session = {"userId": "device-1", "sessionId": "s-1", "sessionIndex": 3, "storageMechanism": "SQLITE"}
    screen = ("iglu:com.snowplowanalytics.mobile/screen_view/jsonschema/1-0-0", {"name": "Cart", "id": "x"})
    site.self_describing(screen, [(SESSION, session)])
    event = one(site.body())
    assert (event.name, event.anonymous_id, event.properties["session_id"]) == ("Screen Viewed", "device-1", "s-1")


def test_whom_the_collectors_cookie_knows() -> None:
    posted = {"e": "pv", "tnuid": "n-1", "ttm": "1790000000123", "dtm": "1790000009999"}
    event = one({"schema": PAYLOAD, "data": [posted]})
    assert (event.anonymous_id, event.identifiers) == ("n-1", (("network_userid", "n-1"),))
    assert event.at == datetime(2026, 9, 21, 14, 13, 20, 123_000, tzinfo=UTC)


def test_without_an_id_the_content_is_it_and_without_a_time_the_minute_too() -> None:
    posted = {"e": "pv", "duid": "v", "dtm": "1790000000123"}
    dated = one({"schema": PAYLOAD, "data": [{**posted, "stm": "1"}]})
    assert one({"schema": PAYLOAD, "data": [{**posted, "stm": "2"}]}).id == dated.id
    bare = Post({}, json.dumps({"schema": PAYLOAD, "data": [{"e": "pv", "duid": "v"}]}).encode())
    ids = {}
    for seconds in (0, 20, 70):
        at = NOW + timedelta(seconds=seconds)
        (event,) = TRACKERS.load("snowplow").events(SHOP, bare, lambda at=at: at)  # type: ignore[misc]
        assert isinstance(event, TrackerEvent)
        assert event.at == at
        ids[seconds] = event.id
    assert ids[0] == ids[20] != ids[70]


def test_the_pixel(site: Snowplow) -> None:
    posted = site.page_view("https://shop.example.com/", "Home")
    (event,) = read(b"", posted)
    assert event == one(site.body())


def test_enriched_events_say_the_same_as_the_trackers(site: Snowplow) -> None:
    site.user = "crm-42"
    tracked = site.self_describing((ACTION, {"type": "add_to_cart"}), [(PRODUCT, LAMP)])
    of_tracker = one(site.body())
    fields = enriched(
        {
            "event": "unstruct",
            "event_id": tracked["eid"],
            "event_vendor": "com.snowplowanalytics.snowplow.ecommerce",
            "event_name": "snowplow_ecommerce_action",
            "domain_userid": site.visitor,
            "domain_sessionid": site.session,
            "user_id": "crm-42",
            "event_fingerprint": None,
            "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1": {"type": "add_to_cart"},
            "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1": [LAMP],
        },
        NOW.timestamp(),
    )
    assert one(fields) == of_tracker
    assert read([fields, fields]) == [of_tracker, of_tracker]


def test_one_id_with_two_fingerprints_is_two_events() -> None:
    fields = enriched({"event": "page_view", "event_id": "e1", "event_fingerprint": "f1", "domain_userid": "v"}, NOW.timestamp())
    assert one(fields).id == "e1:f1"
    assert one({**fields, "event_fingerprint": "f2"}).id == "e1:f2"


def test_an_enriched_page_view_without_the_address_of_the_machine() -> None:
    page = {"page_url": "https://shop.example.com/", "mkt_campaign": "autumn", "true_tstamp": "2026-11-22T11:00:00Z"}
    event = one(enriched({"event": "page_view", "domain_userid": "v", **page}, NOW.timestamp()))
    assert (event.name, event.at) == ("Page Viewed", datetime(2026, 11, 22, 11, tzinfo=UTC))
    assert (event.properties["url"], event.properties["mkt_campaign"]) == ("https://shop.example.com/", "autumn")
    assert "192.0.2.7" not in event.model_dump_json()


def test_what_is_wrong_is_named() -> None:
    tracked = {"e": "ue", "eid": "e1", "duid": "v", "dtm": "1790000000123"}
    described = json.dumps({"schema": UNSTRUCT, "data": {"schema": "viewed", "data": {}}})
    entities = json.dumps({"schema": CONTEXTS, "data": [{"schema": "iglu:x", "data": {}}]})
    schema = "must be a schema, as iglu:com.acme/viewed_product/jsonschema/1-0-0"
    for event, expected in (
        ({**tracked, "e": "xx"}, ("e", "must be one of pv, pp, se, ue, tr, ti")),
        ({**tracked, "e": "pv", "dtm": "soon"}, ("dtm", "must be a Unix time in milliseconds")),
        ({**tracked, "e": "pv", "dtm": "1795262340"}, ("dtm", "must be a Unix time in milliseconds")),
        ({**tracked, "ue_px": "***"}, ("ue_px", "must be JSON in base64")),
        ({**tracked, "ue_px": "abcde"}, ("ue_px", "must be JSON in base64")),
        ({**tracked, "ue_pr": "{"}, ("ue_pr", "must be JSON")),
        ({**tracked, "ue_pr": "[" * 60 + "]" * 60}, ("ue_pr", "must be JSON")),
        ({**tracked, "ue_pr": "[]"}, ("ue_pr", "must be an object")),
        ({**tracked, "ue_pr": described}, ("ue_px.data.schema", schema)),
        (tracked, ("ue_px.data.schema", schema)),
        ({**tracked, "e": "pv", "co": entities}, ("cx.data.schema", schema)),
        ({**tracked, "e": "pv", "uid": ["x"]}, ("uid", "must be a text")),
        (7, ("event", "must be an object")),
    ):
        assert fault({"schema": PAYLOAD, "data": [event]}) == expected
    assert fault({"event": "page_view"})[0] == "event_id"
    assert fault({"payload": 1})[0] == "event_id"
    assert fault({"event_id": "e", "event": "unstruct"}) == ("event_name", "must be there")
    assert fault({"event_id": "e", "event": "page_view", "derived_tstamp": "2026-11-22 10:00:00"})[0] == "derived_tstamp"


@pytest.mark.parametrize(
    "body", [b"x", 7, {"schema": "iglu:other", "data": []}, {"schema": PAYLOAD}, {"schema": PAYLOAD, "data": {}}]
)
def test_a_body_that_is_no_post_is_refused_whole(body: object) -> None:
    with pytest.raises(BadRequest) as refused:
        read(body)
    assert refused.value.status == 400


def test_the_sample_event() -> None:
    viewed, added = read(Path("events/receive_event/snowplow.json").read_bytes())
    assert isinstance(viewed, TrackerEvent)
    assert isinstance(added, TrackerEvent)
    assert (viewed.name, added.name, added.properties["product_id"]) == ("Page Viewed", "Product Added", "lamp")
