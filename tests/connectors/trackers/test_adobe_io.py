from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue, SecretStr, ValidationError

from connectors.base import Post, Rejected
from connectors.registry import TRACKERS
from shared.jobs import TrackerEvent
from shared.trackers import Tracker
from tests.sandbox.trackers.adobe_signed import trigger

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
CLIENT, SECRET, ORGANIZATION = "adobe-client-id", "secret-of-adobe", "0123@AdobeOrg"
JOURNAL = {
    "url": "https://events-va6.adobe.io/events/organizations/1/integrations/2/3",
    "organization": ORGANIZATION,
    "auth": {"type": "oauth2", "token_url": "https://ims.example.com/token", "client_id": CLIENT, "client_secret": "s"},
}
ADOBE = Tracker(name="adobe", format="adobe_io", client_id=CLIENT)
CLOUD: dict[str, JsonValue] = {
    "specversion": "1.0",
    "id": "e1",
    "source": "urn:uuid:provider",
    "type": "com.acme.thing",
    "time": "2026-11-21T11:59:00Z",
    "eventid": "e1",
    "recipientclientid": CLIENT,
    "data": {"visitor": "v1", "total": 12.5, "mail": "ada@example.com"},
}
connector = TRACKERS.load("adobe_io")


def tracker(**changes: Any) -> Tracker:
    return Tracker.model_validate({"name": "adobe", "format": "adobe_io", "client_id": CLIENT, **changes})


def read(body: object, of: Tracker = ADOBE, headers: dict[str, str] | None = None) -> list[TrackerEvent]:
    raw = json.dumps(body).encode()
    found = connector.events(of, Post(headers or {}, raw), lambda: NOW)
    return [one for one in found if isinstance(one, TrackerEvent)]


def rejected(body: object, of: Tracker = ADOBE) -> tuple[str, str]:
    (one,) = connector.events(of, Post({}, json.dumps(body).encode()), lambda: NOW)
    assert isinstance(one, Rejected)
    return one.field, one.reason


def triggered(of: Tracker = ADOBE, event_id: str = "d1", **dimensions: list[str]) -> TrackerEvent:
    said = trigger("t-1", "38digits", NOW.timestamp() - 60, dimensions, ORGANIZATION)
    (event,) = read({"event_id": event_id, **said}, of)
    return event


def test_a_cloud_event_with_the_person_where_the_tracker_says() -> None:
    of = tracker(identifiers={"anonymous_id": "visitor", "email": ["address", "mail"], "loyalty": "none", "sum": "total"})
    (event,) = read(CLOUD, of)
    assert (event.name, event.at, event.tracker) == ("com.acme.thing", datetime(2026, 11, 21, 11, 59, tzinfo=UTC), "adobe")
    assert (event.anonymous_id, event.user_id, event.traits) == ("v1", None, {"email": "ada@example.com"})
    assert event.identifiers == (("sum", "12.5"),)
    assert event.properties == CLOUD["data"]


def test_the_same_event_is_the_same_however_it_comes() -> None:
    (alone,) = read(CLOUD, headers={"x-adobe-event-id": "e1", "x-adobe-event-code": "com.acme.thing"})
    (_, in_batch) = read([{**CLOUD, "id": "e2"}, {**CLOUD, "eventid": "of another delivery"}])
    assert alone == in_batch
    (other_source,) = read({**CLOUD, "source": "urn:uuid:other"})
    assert other_source.id != alone.id


def test_a_trackers_names_go_before() -> None:
    of = tracker(names={"com.acme.thing": "Product Viewed", "t-1": "Cart Abandoned"})
    assert [one.name for one in read(CLOUD, of)] == ["Product Viewed"]
    assert triggered(of).name == "Cart Abandoned"
    assert triggered().name == "Experience Cloud Trigger"
    assert triggered(tracker(names={"Experience Cloud Trigger": "Came From Adobe"})).name == "Came From Adobe"


def test_a_trigger_of_experience_cloud() -> None:
    event = triggered(
        tracker(identifiers={"user_id": "eVar3"}), eVar3=["old", "crm-7"], pageURL=["https://shop.example.com/cart"]
    )
    assert (event.anonymous_id, event.user_id, event.identifiers) == ("38digits", "crm-7", (("ecid", "38digits"),))
    assert (event.at, event.received_at) == (datetime(2026, 11, 21, 11, 59, tzinfo=UTC), NOW)
    assert {key: value for key, value in event.properties.items() if key != "path"} == {
        "trigger_id": "t-1",
        "eVar3": "crm-7",
        "pageURL": "https://shop.example.com/cart",
        "url": "https://shop.example.com/cart",
        "dimensions": {"eVar3": ["old", "crm-7"], "pageURL": ["https://shop.example.com/cart"]},
    }
    assert event.properties["path"][0]["stateId"] == "init"  # type: ignore[index, call-overload]


def test_the_sample_event_is_read() -> None:
    body = Path("events/receive_event/adobe_io.json").read_bytes()
    (event,) = read(json.loads(body), tracker(identifiers={"user_id": "eVar3"}))
    assert (event.user_id, event.properties["url"]) == ("crm-7", "https://shop.example.com/cart")


def test_a_trigger_is_the_same_under_any_event_id() -> None:
    assert triggered(event_id="d1") == triggered(event_id="d2")
    said = trigger("t-1", "38digits", NOW.timestamp() - 60, {}, ORGANIZATION)
    (as_cloud_event,) = read({**CLOUD, "data": said["event"]})
    (bare,) = read(said["event"])
    assert as_cloud_event.id == bare.id == triggered().id


def test_an_older_event_takes_its_name_from_its_header_if_it_has_none() -> None:
    body = {"event_id": "d1", "event": {"visitor": "v1", "time": "2026-11-21T11:00:00Z"}}
    of = tracker(identifiers={"user_id": "visitor"})
    (event,) = read(body, of, {"x-adobe-event-code": "asset_created"})
    assert (event.id, event.name, event.user_id, event.at.hour) == ("d1", "asset_created", "v1", 11)
    (named,) = read({"event_id": "d2", "event": {"@type": "xdmCreated", "visitor": "v1"}}, of)
    assert (named.name, named.at) == ("xdmCreated", NOW)
    assert rejected(body, of) == ("event.type", "must be there")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([7], "event"),
        ({**CLOUD, "type": None}, "type"),
        ({**CLOUD, "id": ""}, "id"),
        ({**CLOUD, "id": ["a"]}, "id"),
        ({**CLOUD, "time": "yesterday"}, "time"),
        ({**CLOUD, "time": 7}, "time"),
        ({"event_id": "d", "event": 7}, "event"),
        (
            {"event_id": "d", "event": {"com.adobe.mcloud.pipeline.pipelineMessage": 7}},
            "com.adobe.mcloud.pipeline.pipelineMessage",
        ),
        ({"event_id": "d", "event": {"com.adobe.mcloud.pipeline.pipelineMessage": {}}}, "triggerId"),
        (
            {
                "event": {
                    "com.adobe.mcloud.pipeline.pipelineMessage": {
                        "com.adobe.mcloud.protocol.trigger": {"triggerId": "t", "mcId": "m", "triggerTimestamp": "soon"}
                    }
                }
            },
            "triggerTimestamp",
        ),
    ],
)
def test_an_event_that_cannot_be_read_is_rejected_with_its_field(body: object, field: str) -> None:
    assert rejected(body)[0] == field


@pytest.mark.parametrize(
    "odd", [None, 7, [], "x", {"analyticsHitSummary": 7}, {"analyticsHitSummary": {"dimensions": {"eVar1": 7}}}]
)
def test_odd_enrichments_leave_the_trigger_without_them(odd: object) -> None:
    said = trigger("t-1", "38digits", NOW.timestamp(), {}, ORGANIZATION)
    message = said["event"]["com.adobe.mcloud.pipeline.pipelineMessage"]  # type: ignore[index]
    message["com.adobe.mcloud.protocol.trigger"]["enrichments"] = odd
    (event,) = read(said)
    assert set(event.properties) == {"trigger_id", "path"}


# ---- Commerce


def commerce(code: str, value: dict[str, object], of: Tracker = ADOBE) -> TrackerEvent:
    data = {"value": value, "_metadata": {"storeId": "1"}, "source": "merchant.prod"}
    (event,) = read({**CLOUD, "type": f"com.adobe.commerce.observer.{code}", "data": data}, of)
    return event


def test_an_order_of_commerce_has_the_usual_names() -> None:
    item = {"sku": "lamp", "product_id": "17", "name": "Lamp", "price": 49.5, "qty_ordered": 2}
    order = {"increment_id": "100", "customer_id": 7, "customer_email": "ada@example.com", "quote_id": 3, "items": [item, 7]}
    event = commerce("sales_order_place_after", {**order, "grand_total": 99})
    assert (event.name, event.user_id, event.anonymous_id) == ("Order Completed", "7", "3")
    assert event.traits == {"email": "ada@example.com"}
    assert (event.properties["order_id"], event.properties["grand_total"]) == ("100", 99)
    assert event.properties["products"] == [{**item, "product_id": "lamp", "quantity": 2}, {}]
    assert event.properties["store"] == {"storeId": "1"}


def test_a_guest_of_commerce_is_known_by_the_cart() -> None:
    added = commerce("checkout_cart_product_add_after", {"sku": "lamp", "qty": 1, "quote_id": 3})
    ordered = commerce("sales_order_place_after", {"increment_id": "100", "quote_id": 3, "customer_id": None})
    assert (added.name, added.properties["product_id"], added.properties["quantity"]) == ("Product Added", "lamp", 1)
    assert added.anonymous_id == ordered.anonymous_id == "3"
    assert ordered.user_id is None


def test_a_customer_of_commerce_is_meant_by_an_event_about_one() -> None:
    event = commerce("customer_save_commit_after", {"id": 7, "email": "ada@example.com"})
    assert (event.name, event.user_id) == ("com.adobe.commerce.observer.customer_save_commit_after", "7")
    assert commerce("customer_login", {"entity_id": "8"}).name == "Signed In"
    renamed = tracker(names={"com.adobe.commerce.observer.customer_login": "Came Back"}, identifiers={"user_id": "crm"})
    event = commerce("customer_login", {"entity_id": "8", "crm": "c-1"}, renamed)
    assert (event.name, event.user_id) == ("Came Back", "c-1")


# ---- the definition


def test_what_a_tracker_of_this_format_needs() -> None:
    with pytest.raises(ValidationError, match="client_id"):
        Tracker(name="adobe", format="adobe_io")
    with pytest.raises(ValidationError, match="adobe_io only"):
        Tracker(name="shop", secrets=(SecretStr("whsec_x"),), identifiers={"user_id": "x"})
