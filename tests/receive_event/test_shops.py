"""Shopify, Segment, RudderStack and PostHog over real HTTP, as their sandboxes post."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from pydantic import JsonValue

from receive_event import handler
from shared.jobs import EventsJob, TrackerEvent
from tests.aws import Aws
from tests.receive_event.front import front
from tests.receive_event.serving import serving
from tests.sandbox.clock import Clock
from tests.sandbox.trackers.posthog import PostHog
from tests.sandbox.trackers.rudderstack import RudderStack
from tests.sandbox.trackers.segment import Segment
from tests.sandbox.trackers.shopify import Shopify

SECRET = "long-random-value"
PROOFS: dict[str, dict[str, JsonValue]] = {
    "segment": {},
    "shopify": {},
    "rudderstack": {"proof": "header", "header": "X-Key"},
    "posthog": {"proof": "bearer"},
}


@pytest.fixture
def url(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Below it is a tracker of each format, named after it."""
    for name, proof in PROOFS.items():
        aws.define("tracker", name=name, format=name, secrets=[SECRET], **proof)
    serving(aws, monkeypatch)
    with front(handler.handle) as base:
        yield f"{base}/v1/events"
    handler._desk.cache_clear()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def clock(aws: Aws) -> Clock:
    return Clock(lambda: aws.clock().timestamp())


def taken(aws: Aws) -> list[TrackerEvent]:
    return [event for body in aws.received("events") for event in EventsJob.model_validate_json(body).events]


def test_each_posts_and_is_taken(aws: Aws, url: str, clock: Clock, client: httpx.Client) -> None:
    segment = Segment(f"{url}/segment", SECRET, clock=clock, client=client)
    rudder = RudderStack(f"{url}/rudderstack", {"X-Key": SECRET}, clock=clock, client=client)
    posthog = PostHog(f"{url}/posthog", {"Authorization": f"Bearer {SECRET}"}, clock=clock, client=client)
    shop = Shopify(f"{url}/shopify", SECRET, clock=clock, client=client)
    answers = [
        *segment.single(segment.call("track", event="x", userId="u1", properties={"price": 1.0, "name": "Café ⚡"})),
        *rudder.post([rudder.call("page", userId="u1")], batched=True),
        *posthog.delivered(posthog.captured("$pageview")),
        *shop.emit("carts/update", shop.cart("c1", [shop.line(1, "Lampe à poser", "49.50")]), newer=True),
    ]
    assert [one.status_code for one in answers] == [202] * 4
    assert {(one.tracker, one.name) for one in taken(aws)} == {
        ("segment", "x"),
        ("rudderstack", "Page Viewed"),
        ("posthog", "Page Viewed"),
        ("shopify", "Cart Viewed"),
    }


def test_a_forged_row_of_a_batch_goes_nowhere(aws: Aws, url: str, clock: Clock, client: httpx.Client) -> None:
    segment = Segment(f"{url}/segment", SECRET, clock=clock, client=client)
    call = segment.call("track", event="x", userId="u1")
    forged = {**call, "messageId": "forged", "userId": "victim"}
    assert [one.status_code for one in segment.batch([call], forged=[forged])] == [401]
    assert (taken(aws), aws.received("events-parked")) == ([], [])


def test_a_request_to_forget_is_answered_and_parked_for_people(aws: Aws, url: str, clock: Clock, client: httpx.Client) -> None:
    shop = Shopify(f"{url}/shopify", SECRET, clock=clock, client=client)
    assert [one.status_code for one in shop.comply("customers/redact")] == [202]
    [parked] = aws.received("events-parked")
    assert "delete the profile within 30 days" in parked
    stranger = Shopify(f"{url}/shopify", "not-the-secret", clock=clock, client=client)
    assert {one.status_code for one in stranger.comply("customers/redact")} == {401}


def test_a_shops_subscription_survives_what_cannot_be_used(aws: Aws, url: str, clock: Clock, client: httpx.Client) -> None:
    shop = Shopify(f"{url}/shopify", SECRET, clock=clock, client=client)
    shop.emit("carts/update", {**shop.cart("c1", []), "token": {"no": "text"}})
    shop.emit("products/update", {"id": 1})
    assert shop.subscribed
    assert len(aws.received("events-parked")) == 1
