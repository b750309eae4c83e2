from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from match_triggers.deciding import job_of, known_events, skipped
from match_triggers.identity import Meant
from match_triggers.keeping import merged
from match_triggers.matching import episodes
from match_triggers.walking import Episode
from shared.ids import message_id
from shared.jobs import MessageJob, TrackerEvent
from shared.queues import MAX_BODY
from shared.visits import Visit
from tests.match_triggers.shop import START, listener, listening, tracker_event

KEY = "shop#a#browser-1"
FIRED = START + timedelta(seconds=3661.5)
ADA = Meant(("p_1",))


def episode_of(*events: TrackerEvent, **changes: object) -> tuple[Visit, Episode]:
    trigger = listener(**changes)
    visit = merged(KEY, None, events, listening(trigger), START + timedelta(seconds=2))
    assert visit is not None
    return visit, episodes(visit, [trigger], FIRED)[0]


def decide(*events: TrackerEvent, who: Meant = ADA, **changes: object) -> MessageJob:
    return job_of(*episode_of(*events, **changes), who, 3, FIRED)


@pytest.mark.parametrize(
    ("who", "bought", "expected"),
    [
        (ADA, False, ("send", "p_1", "")),
        (Meant(), False, ("skip", None, "no profile")),
        (Meant(("p_1", "p_2")), False, ("skip", None, "several profiles")),
        (ADA, True, ("skip", "p_1", "order placed")),
        (Meant(), True, ("skip", None, "order placed")),
    ],
)
def test_who_is_meant_decides(who: Meant, bought: bool, expected: tuple[object, ...]) -> None:
    events = [tracker_event("Product Added", 0)] + ([tracker_event("Order Completed", 1)] if bought else [])
    job = decide(*events, who=who)
    assert (job.decided, job.profile_id, job.reason) == expected


def test_the_job_says_what_when_and_until_when() -> None:
    job = decide(tracker_event("Product Added", 0), tracker_event("Product Added", 60), tracker_event("Page Viewed", 61))
    assert job.message_id == message_id("cart", KEY, "Product Added@0")
    assert (job.decided_at, job.anchor_at, job.begins_at) == (FIRED, START + timedelta(seconds=61), START)
    assert job.valid_until == START + timedelta(seconds=61 + 3600 + 86400)
    brief = decide(tracker_event("Product Added", 0), validity_seconds=600)
    assert brief.valid_until == START + timedelta(seconds=3600 + 600)
    assert job.context["event"] == {
        "id": "Product Added@60",
        "name": "Product Added",
        "time": "2026-11-21T12:01:00.000Z",
        "properties": {},
    }


def test_the_wait_counts_from_the_anchor_whatever_begins_it() -> None:
    job = decide(tracker_event("Product Added", 0), tracker_event("Page Viewed", 300), type="session_end", must_include=[])
    assert job.anchor_at == START + timedelta(seconds=300 + 1800)


def test_the_trace_has_every_step_with_its_time() -> None:
    job = decide(tracker_event("Product Added", 0), tracker_event("Product Added", 61))
    assert [(hop.hop, hop.what) for hop in job.hops] == [
        ("receive_event", "received Product Added"),
        ("receive_event", "received Product Added"),
        ("match_triggers", "matched"),
        ("match_triggers", "timer"),
        ("match_triggers", "send"),
    ]
    assert job.hops[0].data == {"event": "Product Added@0", "event_time": "2026-11-21T12:00:00.000Z", "lag": 1.0}
    assert job.hops[3].data == {
        "due_at": "2026-11-21T13:01:01.000Z",
        "fired_at": "2026-11-21T13:01:01.500Z",
        "lateness": 0.5,
    }


def test_the_buyers_trace_shows_the_order() -> None:
    job = decide(tracker_event("Product Added", 0), tracker_event("Order Completed", 9))
    assert "received Order Completed" in [hop.what for hop in job.hops]
    assert (job.hops[-1].what, job.hops[-1].reason) == ("skip", "order placed")


def test_of_several_people_the_trace_says_which() -> None:
    job = decide(tracker_event("Product Added", 0), who=Meant(("p_1", "p_2")))
    assert (job.hops[-1].reason, job.hops[-1].data["profiles"]) == ("several profiles", ["p_1", "p_2"])


def test_a_decision_that_is_thought_better_of_says_why() -> None:
    job = skipped(decide(tracker_event("Product Added", 0)), "fired already")
    assert (job.decided, job.reason, job.hops[-1].what, job.hops[-1].reason) == ("skip", "fired already", "skip", "fired already")


def test_a_visit_without_events_that_are_kept_has_its_time() -> None:
    job = decide(tracker_event("Page Viewed", 30), type="session_start", must_include=[], wait_seconds=60)
    assert job.message_id == message_id("cart", KEY, "2026-11-21T12:00:30.000Z")
    assert job.context == {"cart": [], "events": [], "event": None}
    assert [hop.what for hop in job.hops] == ["matched", "timer", "send"]


def test_metadata_may_come_from_before_the_episode_in_its_visit_only() -> None:
    events = [tracker_event("Products Searched", second) for second in (-4000, -60, 30, 8000)]
    metadata: Mapping[str, object] = {"term": {"event": "Products Searched", "path": "query"}}
    visit, episode = episode_of(*events, tracker_event("Product Added", 0), metadata=metadata)
    assert [event.id for event in known_events(visit, episode)] == [
        "Products Searched@-60",
        "Product Added@0",
        "Products Searched@30",
    ]


def test_a_job_fits_a_queue_whatever_was_in_the_cart() -> None:
    events = [
        tracker_event("Product Added", second, properties={"product_id": f"p{second}", "text": "é" * 15_000})
        for second in range(10)
    ]
    job = decide(*events)
    assert len(job.model_dump_json().encode()) <= MAX_BODY
    cart = job.context["cart"]
    assert isinstance(cart, list)
    assert isinstance(cart[-1], dict)
    assert cart[-1]["product_id"] == "p9"
