from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from connectors.base import Post
from shared.clock import from_iso
from shared.jobs import TrackerEvent
from tests.connectors.trackers.posting import Site, failing, site
from tests.sandbox.trackers.rudderstack import RudderStack

KEY = "long-random-value"


@pytest.fixture
def shop() -> Site:
    return site(format="rudderstack", proof="header", header="X-Key", secrets=[KEY])


@pytest.fixture
def rudder(shop: Site) -> RudderStack:
    return RudderStack("https://hooks.example", {"X-Key": KEY}, clock=shop.clock, client=shop.client)


def test_it_signs_nothing_itself() -> None:
    with pytest.raises(ValidationError, match="proof to be given"):
        site(format="rudderstack", secrets=[KEY])


def test_without_the_header_nothing_is_taken(shop: Site) -> None:
    stranger = RudderStack("https://hooks.example", clock=shop.clock, client=shop.client)
    assert [one.status_code for one in stranger.post([stranger.call("track", event="x", userId="u1")])] == [401]


@pytest.mark.parametrize("batched", [True, False])
def test_calls_one_by_one_or_in_a_batch(shop: Site, rudder: RudderStack, batched: bool) -> None:
    calls = [
        rudder.call("track", event="Product Added", anonymousId="a1", traits={"email": "ada@example.com", "firstName": "Ada"}),
        rudder.call("page", name="Lamp", anonymousId="a1"),
        rudder.call("alias", userId="u1", previousId="a1"),
    ]
    rudder.post(calls, batched)
    assert [one.name for one in shop.events] == ["Product Added", "Page Viewed", "Aliased"]
    assert shop.events[0].traits == {"email": "ada@example.com", "firstName": "Ada", "first_name": "Ada"}
    assert [one.id for one in shop.events] == [call["messageId"] for call in calls]
    assert shop.events[0].at == from_iso(str(calls[0]["timestamp"]))


def test_without_the_mended_time_the_devices_own_counts(shop: Site, rudder: RudderStack) -> None:
    call = rudder.call("track", event="x", userId="u1")
    del call["timestamp"]
    rudder.post([call])
    assert shop.event.at == from_iso(str(call["originalTimestamp"]))


def test_a_call_that_came_by_a_webhook_source_is_what_it_is(shop: Site, rudder: RudderStack) -> None:
    inner = {"type": "track", "event": "Order Completed", "userId": "u1", "properties": {"order_id": "o1"}}
    wrapped = rudder.wrapped(inner)
    dated = rudder.wrapped({**inner, "originalTimestamp": "2026-11-21T11:00:00Z", "messageId": "own"})
    rudder.post([wrapped, dated])
    first, second = shop.events
    assert (first.name, first.user_id, first.anonymous_id, first.id) == ("Order Completed", "u1", None, wrapped["messageId"])
    assert first.at == from_iso(str(wrapped["timestamp"]))
    assert (second.id, second.at) == ("own", from_iso("2026-11-21T11:00:00Z"))


@pytest.mark.parametrize("body", [{"amount": 7}, {"type": "invoice.paid", "userId": "u1"}, {"type": "track", "event": "x"}])
def test_anything_else_from_a_webhook_source_keeps_its_name(shop: Site, rudder: RudderStack, body: dict[str, object]) -> None:
    wrapped = rudder.wrapped(body)
    rudder.post([wrapped])
    assert (shop.event.name, shop.event.properties) == ("webhook_source_event", body)
    assert shop.event.anonymous_id == wrapped["anonymousId"]


def test_retries_are_the_same_event(shop: Site, rudder: RudderStack) -> None:
    with failing(shop, 1, 429):
        assert [one.status_code for one in rudder.post([rudder.call("track", event="x", userId="u1")])] == [429, 202]
    assert shop.posts[0].body == shop.posts[1].body
    assert len(shop.events) == 1


def test_the_sample_is_a_call() -> None:
    [event] = site(format="rudderstack", proof="none").take(Post({}, Path("events/receive_event/rudderstack.json").read_bytes()))
    assert isinstance(event, TrackerEvent)
    assert (event.name, event.user_id, event.traits["first_name"]) == ("Product Added", "ada", "Ada")
