from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from match_triggers.keeping import identifiers_of, merged
from shared.catalogue import Versioned
from shared.jobs import TrackerEvent
from shared.triggers import Trigger
from shared.visits import Visit
from tests.match_triggers.shop import START, tracker_event, versioned

KEY = "shop#a#browser-1"
CART = (versioned(),)


def merge(old: Visit | None, *events: TrackerEvent, triggers: Sequence[Versioned[Trigger]] = CART) -> Visit | None:
    return merged(KEY, old, events, triggers, START)


def kept(old: Visit | None, *events: TrackerEvent, triggers: Sequence[Versioned[Trigger]] = CART) -> Visit:
    visit = merge(old, *events, triggers=triggers)
    assert visit is not None
    return visit


def test_who_did_nothing_a_trigger_names_gets_no_row() -> None:
    assert merge(None, tracker_event("Page Viewed", 0)) is None


def test_without_a_pending_deadline_any_other_event_changes_nothing() -> None:
    ordered = kept(None, tracker_event("Order Completed", 0))
    assert ordered.due_at is None
    assert merge(ordered, tracker_event("Page Viewed", 10)) is ordered


def test_a_repeat_changes_nothing() -> None:
    events = [tracker_event("Product Added", 0), tracker_event("Page Viewed", 5)]
    once = kept(None, *events, events[0])
    assert [event.id for event in once.events] == ["Product Added@0"]
    assert merge(once, *events) is once


def test_any_action_restarts_a_pending_silence_but_leaves_the_index_alone() -> None:
    pending = kept(None, tracker_event("Product Added", 0))
    restarted = kept(pending, tracker_event("Page Viewed", 60))
    assert restarted.last_at == START + timedelta(seconds=60)
    assert restarted.due_at == pending.due_at == START + timedelta(hours=1)


def test_a_late_event_does_not_turn_the_clock_back() -> None:
    pending = kept(None, tracker_event("Product Added", 60))
    late = kept(pending, tracker_event("Product Added", 0))
    assert late.last_at == pending.last_at
    assert [event.id for event in late.events] == ["Product Added@0", "Product Added@60"]


def test_an_earlier_deadline_moves_the_row_in_the_index() -> None:
    pending = kept(None, tracker_event("Product Added", 0))
    assert kept(pending, tracker_event("Order Completed", 10)).due_at == START + timedelta(seconds=310)


def test_who_logs_in_is_remembered_before_and_after_the_first_deed() -> None:
    login = tracker_event("Signed In", 0, user_id="u1", traits={"email": " Ada@Example.com"})
    known = kept(None, login)
    assert known.identifiers == (("email", "ada@example.com"), ("user_id", "u1"))
    assert kept(kept(None, tracker_event("Product Added", 0)), login).identifiers == known.identifiers
    assert merge(known, login) is known


def test_a_visit_by_user_id_needs_no_row_to_know_the_user() -> None:
    assert merge(None, tracker_event("Page Viewed", 0, anonymous_id=None, user_id="u1")) is None
    added = kept(None, tracker_event("Product Added", 0, anonymous_id=None, user_id="u1"))
    assert added.identifiers == (("user_id", "u1"),)


def test_an_email_that_is_none_identifies_nobody() -> None:
    for nonsense in ("ada", 7, None, ["a@b.c"], "a@" + "b" * 300):
        assert identifiers_of(tracker_event("Signed In", 0, traits={"email": nonsense})) == []


def test_a_row_stays_under_the_limit_whatever_a_visitor_does() -> None:
    visit: Visit | None = None
    for second in range(0, 600, 20):
        wide = {f"é{number}": "é" * 100 for number in range(300)}
        events = [tracker_event("Product Added", second + i, id=f"{'é' * 190}{second + i}", properties=wide) for i in range(20)]
        visit = merge(visit, *events)
    assert visit is not None
    assert len(visit.model_dump_json().encode()) < 200_000
    assert visit.events[-1].id.endswith("599")
    assert 0 < len(visit.events[-1].properties) < 300


def test_many_small_events_are_kept_up_to_a_number() -> None:
    visit = kept(None, *(tracker_event("Product Added", second) for second in range(300)))
    assert (len(visit.events), visit.events[0].id) == (200, "Product Added@100")
