from __future__ import annotations

from datetime import timedelta

import pytest

from match_triggers.deciding import Verdict, job_of, verdict
from match_triggers.keeping import merged
from match_triggers.matching import episodes
from shared.ids import message_id
from shared.jobs import MessageJob, TrackerEvent
from shared.queues import MAX_BODY
from tests.match_triggers.shop import START, tracker_event, versioned

KEY = "shop#a#browser-1"
FIRED = START + timedelta(seconds=3661.5)


def decide(*events: TrackerEvent, profiles: tuple[str, ...] = ("p_1",)) -> MessageJob:
    visit = merged(KEY, None, events, [versioned()], START + timedelta(seconds=2))
    assert visit is not None
    return job_of(visit, episodes(visit, [versioned()])[0], profiles, 3, FIRED)


@pytest.mark.parametrize(
    ("profiles", "bought", "expected"),
    [
        (("p_1",), False, Verdict("send", "p_1")),
        ((), False, Verdict("skip", None, "no profile")),
        (("p_1", "p_2"), False, Verdict("skip", None, "several profiles")),
        (("p_1",), True, Verdict("skip", "p_1", "order placed")),
        ((), True, Verdict("skip", None, "order placed")),
    ],
)
def test_who_is_meant_decides(profiles: tuple[str, ...], bought: bool, expected: Verdict) -> None:
    events = [tracker_event("Product Added", 0)] + ([tracker_event("Order Completed", 1)] if bought else [])
    visit = merged(KEY, None, events, [versioned()], START)
    assert visit is not None
    assert verdict(episodes(visit, [versioned()])[0], profiles) == expected


def test_the_job_says_what_when_and_until_when() -> None:
    job = decide(tracker_event("Product Added", 0), tracker_event("Product Added", 60), tracker_event("Page Viewed", 61))
    assert job.message_id == message_id("cart", KEY, "Product Added@0")
    assert (job.decided_at, job.anchor_at, job.begins_at) == (FIRED, START + timedelta(seconds=61), START)
    assert job.valid_until == START + timedelta(seconds=61 + 3600 + 86400)
    assert job.context["event"] == {
        "id": "Product Added@60",
        "name": "Product Added",
        "time": "2026-11-21T12:01:00.000Z",
        "properties": {},
    }


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
