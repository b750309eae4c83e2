from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.base import Post, Rejected
from connectors.registry import TRACKERS
from connectors.trackers.proving import prove
from shared.errors import BadRequest
from shared.jobs import TrackerEvent
from shared.trackers import Tracker
from tests.sandbox.clock import Clock
from tests.sandbox.trackers.ga4 import Ga4, event_data

NOW = datetime(2026, 11, 22, 12, 0, 3, tzinfo=UTC)
SHOP = Tracker.model_validate(
    {
        "name": "shop",
        "format": "ga4",
        "proof": "query",
        "parameter": "api_secret",
        "secrets": ["new", "old"],
        "names": {"quiz_done": "Quiz Finished"},
    }
)
LAMP = {"item_id": "sku-1", "item_name": "Desk lamp", "item_category": "Lighting", "price": 49.5, "quantity": 2, "index": 0}
HASH = hashlib.sha256(b"ada@example.com").hexdigest()


@pytest.fixture
def stream() -> Ga4:
    return Ga4(clock=Clock(NOW.timestamp))


def read(body: object, at: datetime = NOW) -> list[TrackerEvent | Rejected | None]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list(TRACKERS.load("ga4").events(SHOP, Post({}, raw), lambda: at))


def one(body: object, at: datetime = NOW) -> TrackerEvent:
    (event,) = read(body, at)
    assert isinstance(event, TrackerEvent)
    return event


def fault(body: object) -> tuple[str, str]:
    (rejected,) = read(body)
    assert isinstance(rejected, Rejected)
    return rejected.field, rejected.reason


def test_the_api_secret_proves_who_posts() -> None:
    connector = TRACKERS.load("ga4")
    for key in ("new", "old"):
        assert prove(connector, SHOP, Post({}, b"{}", query={"api_secret": key, "measurement_id": "G-1"}), lambda: NOW) is None
    with pytest.raises(BadRequest) as refused:
        prove(connector, SHOP, Post({}, b"{}", query={"api_secret": "other"}), lambda: NOW)
    assert (refused.value.status, refused.value.field) == (401, "api_secret")


def test_something_is_added_to_the_cart(stream: Ga4) -> None:
    stream.user = "crm-42"
    stream.user_properties = {"tier": "gold"}
    stream.user_data = {"sha256_email_address": [HASH.upper(), "nonsense"]}
    page = "https://shop.example.com/lamp"
    stream.event("add_to_cart", NOW.timestamp() - 5, session_id="176", currency="EUR", value=99, page_location=page, items=[LAMP])
    event = one(stream.body())
    product = {**LAMP, "product_id": "sku-1", "name": "Desk lamp", "category": "Lighting"}
    assert event == TrackerEvent(
        id=event.id,
        tracker="shop",
        name="Product Added",
        at=NOW - timedelta(seconds=5),
        received_at=NOW,
        anonymous_id=stream.client,
        user_id="crm-42",
        identifiers=(("email_sha256", HASH),),
        properties={
            "session_id": "176",
            "currency": "EUR",
            "value": 99,
            "page_location": page,
            "url": page,
            "products": [product],
            "product_id": "sku-1",
            "name": "Desk lamp",
            "price": 49.5,
            "quantity": 2,
            "category": "Lighting",
        },
        traits={"tier": "gold"},
    )


def test_what_each_event_is_called(stream: Ga4) -> None:
    names = (
        *("page_view", "view_item", "view_item_list", "search", "view_search_results", "add_to_cart", "remove_from_cart"),
        *("view_cart", "begin_checkout", "purchase", "refund", "sign_up", "login", "user_engagement", "quiz_done", "share"),
    )
    for name in names:
        stream.event(name)
    assert [event.name for event in read(stream.body()) if isinstance(event, TrackerEvent)] == [
        *("Page Viewed", "Product Viewed", "Product List Viewed", "Products Searched", "Products Searched", "Product Added"),
        *("Product Removed", "Cart Viewed", "Checkout Started", "Order Completed", "Order Refunded", "Signed Up", "Signed In"),
        *("Page Ping", "Quiz Finished", "share"),
    ]


def test_a_search(stream: Ga4) -> None:
    stream.event("search", search_term="lamp")
    assert one(stream.body()).properties == {"search_term": "lamp", "query": "lamp"}


def test_a_purchase_is_known_by_its_transaction_wherever_it_comes_from(stream: Ga4) -> None:
    stream.event("purchase", transaction_id="T1", value=148.5, currency="EUR", items=[LAMP, {"item_name": "Pen"}])
    of_server = one(stream.body())
    assert (of_server.properties["order_id"], of_server.properties["total"]) == ("T1", 148.5)
    products = of_server.properties["products"]
    assert isinstance(products, list)
    assert products[1] == {"item_name": "Pen", "name": "Pen", "product_id": "Pen"}
    assert "product_id" not in of_server.properties
    assert one(event_data("purchase", "another", 3, transaction_id="T1"), NOW + timedelta(hours=1)).id == of_server.id
    assert one(event_data("purchase", "another", 3, transaction_id="T2")).id != of_server.id
    refunds = [one(event_data("refund", "c", hit, transaction_id="T1")).id for hit in (1, 2)]
    assert of_server.id != refunds[0] != refunds[1]


def test_an_event_that_says_when_it_was_is_known_by_its_content(stream: Ga4) -> None:
    stream.event("login", NOW.timestamp(), method="email")
    body = stream.body()
    assert one(body, NOW + timedelta(hours=1)).id == one(body).id
    post = {"client_id": "c", "timestamp_micros": "1790000000000123", "events": [{"name": "login"}]}
    first = one(post)
    assert first.at == datetime(2026, 9, 21, 14, 13, 20, 123, tzinfo=UTC)
    assert one(post, NOW + timedelta(hours=1)).id == first.id
    assert one({**post, "client_id": "d"}).id != first.id


def test_one_that_does_not_is_known_by_its_minute_too(stream: Ga4) -> None:
    stream.event("login")
    body = stream.body()
    ids = [one(body, NOW + timedelta(seconds=seconds)).id for seconds in (0, 50, 60)]
    assert ids[0] == ids[1] != ids[2]


def test_events_of_one_post_are_told_apart_by_what_they_are(stream: Ga4) -> None:
    for method in ("email", "sms"):
        stream.event("login", method=method)
    first, second = read(stream.body())
    assert isinstance(first, TrackerEvent)
    assert isinstance(second, TrackerEvent)
    assert first.id != second.id


def test_event_data_of_a_server_container() -> None:
    people = {"email_address": ["ada@example.com"], "phone_number": "+441", "address": [{"first_name": "Ada", "street": "x"}]}
    posted = event_data("view_item", "123.456", 9, items=[LAMP], user_data=people, user_properties={"tier": "gold"}, user_id="u")
    event = one(posted)
    assert (event.name, event.anonymous_id, event.user_id) == ("Product Viewed", "123.456", "u")
    assert event.traits == {"tier": "gold", "first_name": "Ada", "email": "ada@example.com", "phone": "+441"}
    assert event.properties["url"] == "https://shop.example.com/lamp"
    assert event.properties["session_id"] == "1763712000"
    assert "192.0.2.7" not in event.model_dump_json()
    assert not any(name.startswith("x-") for name in event.properties)
    assert one(posted, NOW + timedelta(hours=1)).id == event.id
    assert read([posted, posted]) == [event, event]


def test_an_apps_visitor_and_consent() -> None:
    consent = {"ad_user_data": "DENIED"}
    event = one({"app_instance_id": "app-1", "consent": consent, "events": [{"name": "login"}]})
    assert (event.anonymous_id, event.properties) == ("app-1", {"consent": consent})


@pytest.mark.parametrize(
    ("posted", "expected"),
    [
        ({"client_id": "c", "events": [{"params": {}}]}, ("name", "must be there")),
        ({"client_id": "c", "events": [7]}, ("event", "must be an object")),
        ({"client_id": "c", "events": [{"name": "x", "params": []}]}, ("params", "must be an object")),
        ({"client_id": "c", "events": [{"name": "x", "params": {"items": {}}}]}, ("items", "must be a list of items")),
        ({"client_id": "c", "events": [{"name": "x", "params": {"items": [7]}}]}, ("items", "must be a list of items")),
        (
            {"client_id": "c", "timestamp_micros": "x", "events": [{"name": "x"}]},
            ("timestamp_micros", "must be a Unix time in microseconds"),
        ),
        (
            {"client_id": "c", "timestamp_micros": 1_795_262_340_000, "events": [{"name": "x"}]},
            ("timestamp_micros", "must be a Unix time in microseconds"),
        ),
        ({"client_id": 1.5, "events": [{"name": "x"}]}, ("client_id", "must be a text")),
        ({"client_id": "c", "user_data": 7, "events": [{"name": "x"}]}, ("user_data", "must be an object")),
        ({"client_id": "c"}, ("event_name", "must be there")),
        (7, ("event", "must be an object")),
    ],
)
def test_what_is_wrong_is_named(posted: object, expected: tuple[str, str]) -> None:
    assert fault([posted] if posted == 7 else posted) == expected


def test_what_is_parked_can_be_posted_again() -> None:
    post = {"client_id": "c", "events": [{"name": "login", "timestamp_micros": 1790000000000000}, {"name": "x", "params": 7}]}
    good, bad = read(post)
    assert isinstance(good, TrackerEvent)
    assert isinstance(bad, Rejected)
    assert json.loads(bad.raw) == {"client_id": "c", "events": [{"name": "x", "params": 7}]}


@pytest.mark.parametrize("body", [b"x", 7, {"events": {}}])
def test_a_body_that_is_no_post_is_refused_whole(body: object) -> None:
    with pytest.raises(BadRequest) as refused:
        read(body)
    assert refused.value.status == 400


def test_the_sample_event() -> None:
    viewed, added = read(Path("events/receive_event/ga4.json").read_bytes())
    assert isinstance(viewed, TrackerEvent)
    assert isinstance(added, TrackerEvent)
    assert (viewed.name, added.name, added.properties["product_id"]) == ("Product Viewed", "Product Added", "lamp")
