from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from match_triggers.keeping import merged
from match_triggers.listeners import Listener, Listeners
from match_triggers.matching import course, episodes
from match_triggers.walking import CAME_BACK, SETTLING, Episode
from shared.trackers import PROFILES
from shared.visits import Visit, VisitEvent
from tests.match_triggers.shop import START, listener, listening, tracker_event, versioned

WAIT = timedelta(seconds=3600)
LATER = START + timedelta(days=1)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def visit_of(*happened: tuple[str, float], trigger: Listener | None = None) -> Visit:
    events = [tracker_event(name, second) for name, second in happened]
    visit = merged("shop#a#browser-1", None, events, listening(trigger or listener()), START)
    assert visit is not None
    return visit


def all_of(visit: Visit, trigger: Listener | None = None, now: datetime = LATER) -> list[Episode]:
    return episodes(visit, [trigger or listener()], now)


def only(visit: Visit, trigger: Listener | None = None, now: datetime = LATER) -> Episode:
    (episode,) = all_of(visit, trigger, now)
    return episode


def test_silence_counts_from_the_last_event_of_any_name() -> None:
    episode = only(visit_of(("Product Added", 0), ("Page Viewed", 60)))
    assert episode.due_at == after(60) + WAIT
    assert episode.through == episode.due_at
    assert episode.skipped == ""


def test_a_silence_that_was_long_enough_counts_though_nobody_looked() -> None:
    fired = only(visit_of(("Product Added", 0), ("Page Viewed", 3601)))
    assert (fired.due_at, fired.skipped) == (after(3600), "")


def test_what_comes_at_the_very_moment_of_the_deadline_is_in_time() -> None:
    assert only(visit_of(("Product Added", 0), ("Page Viewed", 3600))).due_at == after(7200)


def test_the_first_qualifying_event_begins_the_episode_and_the_last_is_known() -> None:
    episode = only(visit_of(("Product Added", 10), ("Product Added", 20)))
    assert (episode.key, episode.qualifying[-1].id) == ("Product Added@10", "Product Added@20")


@pytest.mark.parametrize("second", [10, 11, 500])
def test_what_must_not_be_ends_it_at_or_after_the_first_qualifying_event(second: float) -> None:
    episode = only(visit_of(("Product Added", 10), ("Order Completed", second), ("Page Viewed", 600)))
    assert episode.ended_with is not None
    assert episode.skipped == "order placed"
    assert episode.through == after(second)
    assert episode.due_at == after(second) + SETTLING


def test_an_order_that_empties_the_cart_which_was_asked_for_is_a_skip_all_the_same() -> None:
    full = listener(must_include=[{"cart": "quantity", "above": 0}])
    episode = only(visit_of(("Product Added", 10), ("Order Completed", 20), trigger=full), full)
    assert (episode.skipped, episode.due_at) == ("order placed", after(20) + SETTLING)
    once = listener(must_include=[{"event": "Product Added", "at_most": 1}])
    no_more = visit_of(("Product Added", 10), ("Product Added", 15), ("Order Completed", 20), trigger=once)
    assert all_of(no_more, once) == []


def test_an_order_between_the_deadline_and_whoever_looks_still_ends_it() -> None:
    visit = visit_of(("Product Added", 0), ("Order Completed", 4000))
    assert only(visit, now=after(3999)).skipped == ""
    late = only(visit, now=after(4001))
    assert (late.skipped, late.due_at) == ("order placed", after(3600))


def test_a_skip_does_not_wait_longer_than_the_trigger() -> None:
    hasty = listener(wait_seconds=5)
    episode = only(visit_of(("Product Added", 0), ("Order Completed", 2), ("Page Viewed", 60), trigger=hasty), hasty)
    assert episode.due_at == after(7)


def test_what_ends_it_before_the_first_qualifying_one_does_not_count() -> None:
    assert only(visit_of(("Order Completed", 9), ("Product Added", 10))).skipped == ""


def test_after_an_order_the_next_cart_is_another_episode() -> None:
    bought, abandoned = all_of(visit_of(("Product Added", 0), ("Order Completed", 10), ("Product Added", 20)))
    assert (bought.key, abandoned.key) == ("Product Added@0", "Product Added@20")
    assert (bought.skipped, abandoned.skipped) == ("order placed", "")


BOTH = listener(must_include=["Product Viewed", "Product Added"])


def test_all_must_be_in_one_visit() -> None:
    assert all_of(visit_of(("Product Viewed", 0), trigger=BOTH), BOTH) == []
    assert only(visit_of(("Product Added", 5), ("Product Viewed", 8), trigger=BOTH), BOTH).key == "Product Added@5"
    assert all_of(visit_of(("Product Added", 5), ("Product Viewed", 1806), trigger=BOTH), BOTH) == []
    on = visit_of(("Product Added", 5), ("Page Viewed", 900), ("Product Viewed", 1806), trigger=BOTH)
    assert only(on, BOTH).key == "Product Added@5"


def test_an_order_before_all_is_there_is_no_decision() -> None:
    assert all_of(visit_of(("Product Viewed", 0), ("Order Completed", 5), ("Product Added", 8), trigger=BOTH), BOTH) == []


def test_what_must_be_there_may_cease_to_be() -> None:
    full = listener(must_include=["Product Added", {"cart": "quantity", "at_least": 2}])
    two = visit_of(("Product Added", 0), ("Product Added", 10), trigger=full)
    assert only(two, full).due_at == after(3610)
    keyed = [
        tracker_event("Product Added", 0, properties={"product_id": "a"}),
        tracker_event("Product Added", 10, properties={"product_id": "b"}),
        tracker_event("Product Removed", 20, properties={"product_id": "a"}),
    ]
    visit = merged("shop#a#browser-1", None, keyed, listening(full), START)
    assert visit is not None
    assert all_of(visit, full) == []


def test_what_is_used_up_does_not_qualify_again() -> None:
    visit = visit_of(("Product Added", 0), ("Product Added", 100))
    used = visit.model_copy(update={"consumed": {"cart": after(50)}})
    assert only(used).key == "Product Added@100"
    assert all_of(visit.model_copy(update={"consumed": {"cart": after(100)}})) == []


def test_what_is_due_first_comes_first_and_of_the_same_the_highest_priority() -> None:
    slow, quick = listener(), listener(name="quick", wait_seconds=60)
    upper, lower = listener(name="z", priority=5), listener(name="a", priority=-5)
    visit = visit_of(("Product Added", 0))
    found = episodes(visit, [lower, slow, quick, upper], LATER)
    assert [episode.listener.name for episode in found] == ["quick", "z", "cart", "a"]


def test_an_action_waits_from_the_latest_of_its_events() -> None:
    action = listener(type="action", must_not_include=None)
    visit = visit_of(("Product Added", 0), ("Product Added", 600), ("Page Viewed", 700), trigger=action)
    assert only(visit, action).due_at == after(600 + 3600)


def test_each_event_fires_for_itself() -> None:
    event = listener(type="event", must_include=["Order Completed"], must_not_include=None, wait_seconds=1)
    visit = visit_of(("Order Completed", 0), ("Order Completed", 600), trigger=event)
    assert [(one.key, one.due_at) for one in all_of(visit, event)] == [
        ("Order Completed@0", after(1)),
        ("Order Completed@600", after(601)),
    ]
    # An event that comes late is decided about though a later one already was.
    done = visit.model_copy(update={"done": {"cart": ("Order Completed@600",)}})
    assert only(done, event).key == "Order Completed@0"


def test_who_comes_back_may_be_spared() -> None:
    shy = listener(new_visit="cancels")
    visit = visit_of(("Product Added", 0), ("Page Viewed", 600), ("Page Viewed", 2401), trigger=shy)
    episode = only(visit, shy)
    assert (episode.skipped, episode.due_at, episode.through) == (CAME_BACK, after(2401) + SETTLING, after(600))
    assert only(visit_of(("Product Added", 0), ("Page Viewed", 1800), trigger=shy), shy).skipped == ""
    assert only(visit_of(("Product Added", 0), ("Page Viewed", 1801))).skipped == ""


def test_a_session_begins_with_anything() -> None:
    begins = listener(type="session_start", must_include=[], must_not_include=None, wait_seconds=60)
    visit = visit_of(("Page Viewed", 0), ("Page Viewed", 30), ("Page Viewed", 7200), trigger=begins)
    assert [(one.key, one.due_at) for one in all_of(visit, begins)] == [
        ("2026-11-21T12:00:00.000Z", after(60)),
        ("2026-11-21T14:00:00.000Z", after(7260)),
    ]


def test_a_session_that_must_include_something_must_so_by_its_deadline() -> None:
    begins = listener(type="session_start", must_include=["Product Added"], must_not_include=None, wait_seconds=60)
    assert only(visit_of(("Page Viewed", 0), ("Product Added", 60), trigger=begins), begins).due_at == after(60)
    assert all_of(visit_of(("Page Viewed", 0), ("Product Added", 61), trigger=begins), begins) == []


def test_a_session_is_over_once_it_has_timed_out() -> None:
    ends = listener(type="session_end", must_include=["Product Added"], wait_seconds=1)
    visit = visit_of(("Page Viewed", 0), ("Product Added", 30), ("Page Viewed", 600), ("Page Viewed", 9000), trigger=ends)
    episode = only(visit, ends)
    assert (episode.key, episode.due_at) == ("2026-11-21T12:00:00.000Z", after(600 + 1800 + 1))
    bought = visit_of(("Product Added", 30), ("Order Completed", 600), trigger=ends)
    assert only(bought, ends).skipped == "order placed"


def test_what_the_same_user_did_elsewhere_ends_it() -> None:
    visit = visit_of(("Product Added", 10))
    order = VisitEvent(id="o", name="Order Completed", at=after(60), received_at=START, matched_at=START, tracker="till")
    (ended,) = course(visit, listener(), LATER, [order]).episodes
    assert (ended.skipped, ended.ended_with, ended.due_at) == ("order placed", order, after(60) + SETTLING)
    for other in (order.model_copy(update={"at": after(9)}), order.model_copy(update={"name": "Product Added"})):
        assert course(visit, listener(), LATER, [other]).episodes[0].skipped == ""
    here = listener(trackers=["shop"])
    assert course(visit, here, LATER, [order]).episodes[0].skipped == ""


def test_triggers_listen_to_their_trackers_and_go_on_while_switched_off() -> None:
    triggers = {
        one.definition.name: one
        for one in (
            versioned(name="any"),
            versioned(name="this", trackers=["shop"]),
            versioned(name="other", trackers=["blog"]),
            versioned(name="off", enabled=False),
            versioned(name="people", type="profile_change", must_include=[{"changed": "city"}]),
        )
    }
    listeners = Listeners()
    assert [one.name for one in listeners.of(triggers, "shop").listeners] == ["any", "off", "this"]
    assert [one.name for one in listeners.of(triggers, PROFILES).listeners] == ["people"]
    assert listeners.of(triggers, PROFILES).watched == {"city"}
    again = listeners.of(dict(triggers), "shop")
    assert again.listeners[0] is listeners.of(triggers, "shop").listeners[0]
