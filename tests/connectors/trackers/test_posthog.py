from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.base import Post
from connectors.registry import TRACKERS
from shared.errors import BadRequest
from shared.jobs import TrackerEvent
from tests.connectors.trackers.posting import NOW, Site, failing, site
from tests.sandbox.trackers.posthog import PostHog

TOKEN = "long-random-value"
API_KEY = "phc_key"


@pytest.fixture
def shop() -> Site:
    return site(format="posthog", proof="bearer", secrets=[TOKEN])


@pytest.fixture
def posthog(shop: Site) -> PostHog:
    return PostHog("https://hooks.example", {"authorization": f"Bearer {TOKEN}"}, clock=shop.clock, client=shop.client)


def test_a_browser_before_and_after_somebody_is_identified(shop: Site, posthog: PostHog) -> None:
    viewed = posthog.captured("$pageview", {"title": "Lamps"}, seconds_ago=30)
    posthog.delivered(viewed)
    posthog.delivered(posthog.identified("u1", email="ada@example.com", firstName="Ada"))
    posthog.delivered(posthog.captured("Product Added", {"product_id": "lamp"}))
    before, identified, after = shop.events
    assert (before.name, before.anonymous_id, before.user_id) == ("Page Viewed", posthog.device, None)
    assert (before.id, before.at, before.traits) == (viewed["uuid"], NOW - timedelta(seconds=30), {})
    assert (identified.name, identified.anonymous_id, identified.user_id) == ("Identified", posthog.device, "u1")
    assert identified.traits == {"email": "ada@example.com", "firstName": "Ada", "first_name": "Ada"}
    assert (after.anonymous_id, after.user_id, after.properties["product_id"]) == (posthog.device, "u1", "lamp")
    assert after.traits == identified.traits


def test_properties_have_our_names_beside_their_own(shop: Site, posthog: PostHog) -> None:
    posthog.delivered(posthog.captured("$screen", {"$screen_name": "Home", "url": "own", "$set": {"a": 1}}))
    kept = shop.event.properties
    assert (shop.event.name, kept["name"], kept["path"], kept["url"]) == ("Screen Viewed", "Home", "/lamps", "own")
    assert kept["$current_url"] == "https://shop.example/lamps?a=1"
    assert not kept.keys() & {"$set", "token", "referrer"}


def test_an_alias_has_both_ids(shop: Site, posthog: PostHog) -> None:
    posthog.delivered(posthog.aliased("u1", "a1"))
    assert (shop.event.user_id, shop.event.anonymous_id, shop.event.identifiers) == ("u1", "a1", (("user_id", "a1"),))
    assert (shop.event.alias, shop.event.name) == (True, "Aliased")


@pytest.mark.parametrize(
    ("properties", "anonymous", "user"),
    [
        ({"$lib": "posthog-python"}, None, "x"),
        ({"$process_person_profile": False}, "x", None),
        ({"$is_identified": False, "$device_id": "d"}, "x", None),
        ({"$is_identified": True, "$process_person_profile": False, "$device_id": "d"}, "d", "x"),
        ({"$device_id": "d"}, "d", "x"),
        ({"$device_id": "x"}, "x", None),
    ],
)
def test_whose_the_distinct_id_is(shop: Site, posthog: PostHog, properties: dict[str, object], anonymous: str, user: str) -> None:
    posthog.delivered({"event": "x", "distinct_id": "x", "properties": properties, "timestamp": "2026-11-21T11:00:00Z"})
    assert (shop.event.anonymous_id, shop.event.user_id) == (anonymous, user)


def test_what_is_known_now_goes_before_what_was_first(shop: Site, posthog: PostHog) -> None:
    properties = {"$set": {"plan": "gold"}, "$set_once": {"plan": "free", "source": "ad", "$initial_referrer": "x"}}
    posthog.delivered(posthog.captured("$set", properties))
    assert (shop.event.name, shop.event.traits) == ("Identified", {"plan": "gold", "source": "ad"})


def test_a_group(shop: Site, posthog: PostHog) -> None:
    posthog.delivered(posthog.captured("$groupidentify", {"$group_type": "company", "$group_key": "g1"}))
    assert (shop.event.name, shop.event.properties["group_id"]) == ("Group Identified", "g1")


def test_the_capture_api() -> None:
    shop = site(format="posthog", proof="write_key", secrets=[API_KEY])
    library = PostHog("https://hooks.example", clock=shop.clock, client=shop.client)
    events: list[dict[str, object]] = [
        library.captured("a"),
        {"event": "b", "properties": {"distinct_id": "u1"}, "timestamp": "2026-11-21T11:00:00Z"},
    ]
    assert library.capture(events[0], API_KEY)[0].status_code == 202
    assert library.batch([*events, {"distinct_id": "u1"}], API_KEY)[0].status_code == 202
    assert [one.name for one in shop.events] == ["a", "a", "b"]
    assert (shop.events[0], shop.events[2].user_id) == (shop.events[1], "u1")
    assert shop.rejected == [("event", "must be a text: the name of what happened")]
    assert library.capture(events[0], "phc_other")[0].status_code == 401


def test_without_time_and_id_it_is_known_by_content_and_minute(shop: Site) -> None:
    body = json.dumps({"event": "x", "distinct_id": "u1"}).encode()
    connector = TRACKERS.load("posthog")

    def read(seconds: int) -> TrackerEvent:
        [one] = connector.events(shop.tracker, Post({}, body), lambda: NOW + timedelta(seconds=seconds))
        assert isinstance(one, TrackerEvent)
        return one

    assert read(0).id == read(59).id != read(60).id
    assert read(60).at == NOW + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"event": 7}, "event"),
        ({"distinct_id": {}}, "distinct_id"),
        ({"properties": []}, "properties"),
        ({"properties": {"$set": 7}}, "$set"),
        ({"properties": {"$device_id": []}}, "properties.$device_id"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"uuid": {}}, "uuid"),
    ],
)
def test_what_is_wrong_is_named(shop: Site, posthog: PostHog, change: dict[str, object], field: str) -> None:
    posthog.delivered({**posthog.captured("x"), **change})
    assert [one for one, _ in shop.rejected] == [field]


def test_a_batch_that_is_no_list_is_refused(shop: Site) -> None:
    with pytest.raises(BadRequest, match="must be a list"):
        shop.take(Post({"authorization": f"Bearer {TOKEN}"}, b'{"batch": 7}'))


def test_retries_are_the_same_event(shop: Site, posthog: PostHog) -> None:
    with failing(shop, 1, 302):
        assert [one.status_code for one in posthog.delivered(posthog.captured("x"))] == [302, 202]
    assert len(shop.events) == 1


def test_the_sample_is_an_event_and_its_person() -> None:
    [event] = site(format="posthog", proof="none").take(Post({}, Path("events/receive_event/posthog.json").read_bytes()))
    assert isinstance(event, TrackerEvent)
    assert (event.anonymous_id, event.user_id, event.traits) == ("browser-1", "ada", {"email": "ada@example.com"})
