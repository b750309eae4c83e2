from __future__ import annotations

from datetime import datetime, timedelta

from match_triggers.keeping import merged, merged_elsewhere
from match_triggers.listeners import Listening
from shared.jobs import TrackerEvent
from shared.visits import EVERYWHERE, Visit
from tests.match_triggers.shop import START, listener, listening, tracker_event

KEY = "shop#a#browser-1"
CART = listening()


def merge(old: Visit | None, *events: TrackerEvent, triggers: Listening = CART) -> Visit | None:
    return merged(KEY, old, events, triggers, START)


def kept(old: Visit | None, *events: TrackerEvent, triggers: Listening = CART) -> Visit:
    visit = merge(old, *events, triggers=triggers)
    assert visit is not None
    return visit


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_who_did_nothing_a_trigger_names_gets_no_row() -> None:
    assert merge(None, tracker_event("Page Viewed", 0)) is None


def test_with_nothing_pending_any_other_event_changes_nothing() -> None:
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
    assert restarted.last_at == after(60)
    assert restarted.due_at == pending.due_at == after(3600)


def test_what_comes_after_the_deadline_is_of_no_interest() -> None:
    pending = kept(None, tracker_event("Product Added", 0))
    assert pending.attentive_until == after(3600)
    assert merge(pending, tracker_event("Page Viewed", 3601)) is pending


def test_who_waits_for_what_it_names_only_hears_of_nothing_else() -> None:
    action = listening(listener(type="action", must_not_include=[]))
    pending = kept(None, tracker_event("Product Added", 0), triggers=action)
    assert merge(pending, tracker_event("Page Viewed", 10), triggers=action) is pending


def test_a_visit_goes_on_with_any_event_until_all_is_there() -> None:
    twice = listening(listener(type="action", must_include=[{"event": "Product Added", "at_least": 2}]))
    once = kept(None, tracker_event("Product Added", 0), triggers=twice)
    on = kept(once, tracker_event("Page Viewed", 1500), triggers=twice)
    assert (once.due_at, on.due_at) == (None, None)
    assert kept(on, tracker_event("Product Added", 3000), triggers=twice).due_at == after(3000 + 3600)
    assert kept(once, tracker_event("Product Added", 3000), triggers=twice).due_at is None


def test_triggers_on_sessions_keep_when_a_visitor_was_active_and_nothing_else() -> None:
    ends = listening(listener(type="session_end", must_include=[]))
    visit = kept(None, *(tracker_event("Page Viewed", second) for second in (0, 900, 1800, 9000)), triggers=ends)
    assert visit.active == ((after(0), after(1800)), (after(9000), after(9000)))
    assert visit.events == ()
    assert visit.due_at == after(1800 + 1800 + 3600)


def test_a_late_event_does_not_turn_the_clock_back() -> None:
    pending = kept(None, tracker_event("Product Added", 60))
    late = kept(pending, tracker_event("Product Added", 0))
    assert late.last_at == pending.last_at
    assert [event.id for event in late.events] == ["Product Added@0", "Product Added@60"]


def test_an_earlier_deadline_moves_the_row_in_the_index() -> None:
    pending = kept(None, tracker_event("Product Added", 0))
    assert kept(pending, tracker_event("Order Completed", 10)).due_at == after(310)


def test_who_logs_in_is_remembered_before_and_after_the_first_deed() -> None:
    login = tracker_event("Signed In", 0, user_id="u1", traits={"email": " Ada@Example.com"})
    known = kept(None, login)
    assert known.identifiers == (("email", "ada@example.com"), ("user_id", "u1"))
    assert kept(kept(None, tracker_event("Product Added", 0)), login).identifiers == known.identifiers
    assert merge(known, login) is known


def test_whoever_only_looks_around_gets_no_row_for_being_logged_in() -> None:
    assert merge(None, tracker_event("Page Viewed", 0, user_id="u1")) is None


def test_a_visit_by_user_id_needs_no_row_to_know_the_user() -> None:
    assert merge(None, tracker_event("Signed In", 0, anonymous_id=None, user_id="u1")) is None
    added = kept(None, tracker_event("Product Added", 0, anonymous_id=None, user_id="u1"))
    assert added.identifiers == (("user_id", "u1"),)


def test_what_a_person_did_on_all_devices_is_kept_once_and_is_never_due() -> None:
    bought = tracker_event("Order Completed", 5, tracker="till", anonymous_id=None, user_id="u1")
    row = merged_elsewhere("*#u#u1", None, [bought, bought, tracker_event("Order Completed", 3)], START)
    assert row is not None
    assert (row.tracker, row.due_at, row.active) == (EVERYWHERE, None, ())
    assert [(event.tracker, event.id) for event in row.events] == [("shop", "Order Completed@3"), ("till", "Order Completed@5")]
    assert merged_elsewhere("*#u#u1", row, [bought], START) is row


def test_of_what_a_person_did_the_newest_is_kept() -> None:
    many = [tracker_event("Order Completed", second) for second in range(80)]
    row = merged_elsewhere("*#u#u1", None, many, START)
    assert row is not None
    assert (len(row.events), row.events[-1].id) == (50, "Order Completed@79")


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


def test_of_many_visits_the_oldest_count_as_one() -> None:
    ends = listening(listener(type="session_end", must_include=[]))
    visit = kept(None, *(tracker_event("Page Viewed", 7200 * number) for number in range(50)), triggers=ends)
    assert len(visit.active) == 32
    assert visit.active[0] == (after(0), after(7200 * 18))
