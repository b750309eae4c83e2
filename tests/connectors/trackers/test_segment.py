from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Post
from shared.clock import from_iso
from shared.errors import BadRequest
from shared.jobs import TrackerEvent
from tests.connectors.trackers.posting import NOW, Site, failing, site
from tests.sandbox.trackers.segment import Segment
from tests.sandbox.trackers.sending import stringified

SECRET = "sharedsecret"
VECTOR = b'{"type":"track","messageId":"m-1","event":"Signup","userId":"u1"}'
SIGNATURE = "90bfc4b58999b9936727edd01d4598678ac1c1b0"


@pytest.fixture
def shop() -> Site:
    return site(format="segment", secrets=[SECRET, "before"])


@pytest.fixture
def segment(shop: Site) -> Segment:
    return Segment("https://hooks.example", SECRET, clock=shop.clock, client=shop.client)


def refused(shop: Site, headers: dict[str, str], body: bytes) -> str:
    with pytest.raises(BadRequest) as refusal:
        shop.take(Post(headers, body))
    assert refusal.value.status == 401
    return refusal.value.reason


def test_a_known_signature(shop: Site) -> None:
    assert [one.name for one in shop.take(Post({"x-signature": SIGNATURE}, VECTOR)) if one] == ["Signup"]  # type: ignore[union-attr]
    for headers, body in (
        ({"x-signature": SIGNATURE}, VECTOR.replace(b"u1", b"u2")),
        ({"x-signature": SIGNATURE[:-1] + "1"}, VECTOR),
        ({"x-signature": ""}, VECTOR),
        ({"x-shopify-hmac-sha256": SIGNATURE}, VECTOR),
        ({}, VECTOR),
    ):
        refused(shop, headers, body)


def test_calls_become_events(shop: Site, segment: Segment) -> None:
    who: dict[str, Any] = {"anonymousId": "a1", "userId": "u1"}
    page = {"url": "https://shop.example/lamp", "path": "/lamp", "referrer": "", "title": "Lamp", "search": "?a=1"}
    known = {"page": page, "traits": {"email": "ada@example.com"}}
    segment.single(
        segment.call("track", event="Product Added", properties={"product_id": "lamp", "url": "/own"}, context=known, **who)
    )
    segment.single(segment.call("page", name="Lamp", category="Light", properties={"title": "own"}, context=known, **who))
    segment.single(segment.call("screen", name="Home", **who))
    segment.single(segment.call("group", groupId="g1", traits={"plan": "gold"}, **who))
    track, viewed, screen, group = shop.events
    assert (track.name, track.anonymous_id, track.user_id, track.tracker) == ("Product Added", "a1", "u1", "site")
    assert track.properties == {"product_id": "lamp", "url": "/own", "path": "/lamp", "title": "Lamp", "search": "?a=1"}
    assert track.traits == {"email": "ada@example.com"}
    assert (viewed.name, viewed.properties["name"], viewed.properties["category"]) == ("Page Viewed", "Lamp", "Light")
    assert viewed.properties["title"] == "own"
    assert (screen.name, screen.properties) == ("Screen Viewed", {"name": "Home"})
    assert (group.name, group.properties, group.traits) == ("Group Identified", {"plan": "gold", "group_id": "g1"}, {})


def test_who_is_identified_is_known_under_our_names(shop: Site, segment: Segment) -> None:
    traits = {"email": "ada@example.com", "firstName": "Ada", "last_name": "L", "lastName": "x", "address": {"country": "GB"}}
    context = {"timezone": "Europe/London", "locale": "en-GB", "traits": {"plan": "gold", "firstName": "A."}}
    segment.single(segment.call("identify", userId=42, traits=traits, context=context))
    assert (shop.event.name, shop.event.user_id, shop.event.properties) == ("Identified", "42", {})
    assert shop.event.traits == {
        "time_zone": "Europe/London",
        "locale": "en-GB",
        "plan": "gold",
        "country": "GB",
        **traits,
        "first_name": "Ada",
    }


def test_an_alias_has_both_ids(shop: Site, segment: Segment) -> None:
    segment.single(segment.call("alias", userId="u1", previousId="a1"))
    segment.single(segment.call("alias", userId="u1", previousId="u0", anonymousId="a1"))
    segment.single(segment.call("alias", userId="u1", previousId="a1", anonymousId="a1"))
    assert [(one.anonymous_id, one.user_id, one.identifiers, one.alias) for one in shop.events] == [
        ("a1", "u1", (("user_id", "a1"),), True),
        ("a1", "u1", (("user_id", "u0"),), True),
        ("a1", "u1", (), True),
    ]


def test_the_time_is_right_though_the_devices_clock_is_wrong(shop: Site, segment: Segment) -> None:
    call = segment.call("track", event="x", userId="u1", seconds_ago=90, skew=-7200)
    segment.single(call)
    segment.single({key: value for key, value in call.items() if key != "timestamp"})
    right, wrong = shop.events
    assert right.at == NOW - timedelta(seconds=90)
    assert wrong.at == from_iso(str(call["originalTimestamp"]))
    assert (right.id, right.received_at) == (call["messageId"], NOW)


def test_a_call_without_a_time_happened_when_it_came(shop: Site, segment: Segment) -> None:
    segment.single({"type": "track", "event": "x", "userId": "u1"})
    assert (shop.event.at, len(shop.event.id)) == (NOW, 32)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "track", "event": None}, "event"),
        ({"type": "trak"}, "type"),
        ({"type": ["track"]}, "type"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"userId": {}}, "userId"),
        ({"anonymousId": True}, "anonymousId"),
        ({"messageId": []}, "messageId"),
        ({"properties": []}, "properties"),
        ({"context": "x"}, "context"),
        ({"context": {"traits": 1}}, "context.traits"),
    ],
)
def test_what_is_wrong_is_named(shop: Site, segment: Segment, change: dict[str, object], field: str) -> None:
    segment.single({**segment.call("track", event="x", userId="u1"), **change})
    assert [one for one, _ in shop.rejected] == [field]


def test_a_deletion_says_what_to_do_instead(shop: Site, segment: Segment) -> None:
    segment.delete("u1")
    [(field, reason)] = shop.rejected
    assert field == "type"
    assert "delete the profile" in reason


ODD_NUMBERS = {"a": 1.0, "b": 1e16, "c": 1e-7, "d": 1e21, "e": 0.00001, "f": 12.5, "g": "é\u2028/]}", "h": [1, {"i": None}]}


def test_a_batch_of_one_is_signed_over_its_first_element_as_it_stands_there(shop: Site, segment: Segment) -> None:
    call = segment.call("track", event="x", userId="u1", properties=ODD_NUMBERS)
    [answer] = segment.batch([call])
    assert answer.status_code == 202
    assert json.dumps(call, separators=(",", ":"), ensure_ascii=False).encode() not in shop.posts[0].body
    assert shop.event.properties["b"] == 10**16


def test_what_stands_behind_the_first_event_of_a_signed_batch_is_not_believed(shop: Site, segment: Segment) -> None:
    first = segment.call("track", event="Product Added", userId="u1")
    forged = segment.call("identify", userId="u1", traits={"email": "mallory@example.com"})
    [answer] = segment.batch([first], forged=[forged])
    assert answer.status_code == 401
    assert "only the first event" in answer.text
    assert "proof to header" in answer.text
    [honest] = segment.batch([first, forged])
    assert honest.status_code == 401
    assert shop.read == []


@pytest.mark.parametrize("around", ["[%s ]", "[ %s]", "[%s,]", "[%s] ", " [%s]", "[%s]]", "[%s", "[[%s]]", "[%s,%s]", "[{},%s]"])
def test_nothing_may_stand_around_the_one_that_is_signed(shop: Site, segment: Segment, around: str) -> None:
    text = stringified(segment.call("track", event="x", userId="u1"))
    refused(shop, segment.signed(text.encode()), around.replace("%s", text).encode())


@pytest.mark.parametrize("body", [b"[", b"[\xff", b"[" * 100_000, b"[nul", b"[]", b'["' + b"x" * 100_000])
def test_a_batch_that_cannot_be_read_is_not_proven(shop: Site, segment: Segment, body: bytes) -> None:
    refused(shop, segment.signed(b"{}"), body)


def test_a_batch_is_taken_whole_when_the_whole_post_is_proven() -> None:
    shop = site(format="segment", proof="header", header="X-Key", secrets=["long-random-value"])
    segment = Segment("https://hooks.example", "signs-too", {"X-Key": "long-random-value"}, clock=shop.clock, client=shop.client)
    calls = [segment.call("track", event=f"n{number}", userId="u1") for number in range(1000)]
    bad = {**calls[0], "timestamp": 7}
    assert segment.batch([*calls, bad])[0].status_code == 202
    assert [one.name for one in shop.events] == [f"n{number}" for number in range(1000)]
    assert shop.rejected == [("timestamp", "must be an ISO 8601 time with its zone, as in 2026-01-31T10:00:00Z")]
    stranger = Segment("https://hooks.example", "signs-too", {"X-Key": "guess"}, client=shop.client)
    assert stranger.batch(calls)[0].status_code == 401


def test_the_tracking_api(segment: Segment) -> None:
    shop = site(format="segment", proof="write_key", secrets=["the-write-key"])
    library = Segment("https://hooks.example", clock=shop.clock, client=shop.client)
    calls = [library.call("page", anonymousId="a1"), library.call("track", event="x", anonymousId="a1")]
    assert library.tracking(calls, "the-write-key")[0].status_code == 202
    assert [one.name for one in shop.events] == ["Page Viewed", "x"]
    assert library.tracking(calls, "another")[0].status_code == 401
    with pytest.raises(BadRequest, match="must be a list"):
        shop.take(Post({"authorization": "Basic dGhlLXdyaXRlLWtleTo="}, b'{"batch": {}}'))


def test_repeats_and_retries_are_the_same_event(shop: Site, segment: Segment) -> None:
    call = segment.call("track", event="x", userId="u1")
    with failing(shop, 2):
        assert [one.status_code for one in segment.single(call)] == [503, 503, 202]
    segment.single(call)
    first, again = shop.events
    assert first == again


def test_an_altered_call_and_two_keys(shop: Site, segment: Segment) -> None:
    call = segment.call("track", event="x", userId="u1")
    assert segment.altered(call)[0].status_code == 401
    for secret, status in (("before", 202), ("stranger", 401)):
        [answer] = Segment("https://hooks.example", secret, client=shop.client).single(call)
        assert answer.status_code == status


def test_names_of_the_tracker_go_first(segment: Segment) -> None:
    shop = site(format="segment", proof="none", names={"Purchase": "Order Completed", "Page Viewed": "Seen"})
    sender = Segment("https://hooks.example", clock=shop.clock, client=shop.client)
    sender.batch([sender.call("track", event="Purchase", userId="u1"), sender.call("page", userId="u1")])
    assert [one.name for one in shop.events] == ["Order Completed", "Seen"]


def test_the_sample_is_three_calls() -> None:
    shop = site(format="segment", proof="none")
    read = shop.take(Post({}, Path("events/receive_event/segment.json").read_bytes()))
    assert [one.name for one in read if isinstance(one, TrackerEvent)] == ["Page Viewed", "Identified", "Product Added"]


@pytest.mark.parametrize("nobody", ["undefined", "null", "NaN", "[object Object]", "Guest", "0"])
def test_what_programs_write_for_nobody_is_nobody(shop: Site, segment: Segment, nobody: str) -> None:
    segment.single(segment.call("track", event="x", userId=nobody, anonymousId="a1"))
    segment.single(segment.call("alias", userId="u1", previousId=nobody))
    tracked, aliased = shop.events
    assert (tracked.user_id, tracked.anonymous_id) == (None, "a1")
    assert (aliased.user_id, aliased.anonymous_id, aliased.identifiers) == ("u1", None, ())
