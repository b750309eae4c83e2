from __future__ import annotations

from datetime import timedelta

import pytest

from match_triggers.keeping import merged
from match_triggers.matching import SETTLING, Episode, episodes, listening, next_due
from shared.catalogue import Versioned
from shared.triggers import Trigger
from shared.visits import Visit
from tests.match_triggers.shop import START, tracker_event, versioned

WAIT = timedelta(seconds=3600)


def visit_of(*happened: tuple[str, float], trigger: Versioned[Trigger] | None = None) -> Visit:
    events = [tracker_event(name, second) for name, second in happened]
    visit = merged("shop#a#browser-1", None, events, [trigger or versioned()], START)
    assert visit is not None
    return visit


def only(visit: Visit, trigger: Versioned[Trigger] | None = None) -> Episode:
    (episode,) = episodes(visit, [trigger or versioned()])
    return episode


def test_silence_counts_from_the_last_event_of_any_name() -> None:
    episode = only(visit_of(("Product Added", 0), ("Page Viewed", 60)))
    assert episode.due_at == START + timedelta(seconds=60) + WAIT
    assert episode.through == START + timedelta(seconds=60)
    assert episode.excluded is None


def test_the_first_qualifying_event_begins_the_episode_and_the_last_is_known() -> None:
    episode = only(visit_of(("Product Added", 10), ("Product Added", 20)))
    assert (episode.first.id, episode.last.id) == ("Product Added@10", "Product Added@20")


@pytest.mark.parametrize("second", [10, 11, 500])
def test_an_excluded_event_at_or_after_the_first_qualifying_one_ends_it(second: float) -> None:
    episode = only(visit_of(("Product Added", 10), ("Order Completed", second), ("Page Viewed", 600)))
    assert episode.excluded is not None
    assert episode.through == START + timedelta(seconds=second)
    assert episode.due_at == START + timedelta(seconds=second) + SETTLING


def test_a_skip_does_not_wait_longer_than_the_trigger() -> None:
    hasty = versioned(wait_seconds=5)
    episode = only(visit_of(("Product Added", 0), ("Order Completed", 2), ("Page Viewed", 60), trigger=hasty), hasty)
    assert episode.due_at == START + timedelta(seconds=7)


def test_an_excluded_event_before_the_first_qualifying_one_does_not_count() -> None:
    assert only(visit_of(("Order Completed", 9), ("Product Added", 10))).excluded is None


def test_after_an_order_the_next_cart_is_another_episode() -> None:
    visit = visit_of(("Product Added", 0), ("Order Completed", 10), ("Product Added", 20))
    bought, abandoned = episodes(visit, [versioned()])
    assert (bought.first.id, abandoned.first.id) == ("Product Added@0", "Product Added@20")
    assert (bought.excluded is None, abandoned.excluded is None) == (False, True)


def test_every_name_must_be_in_the_visit() -> None:
    both = versioned(must_include=["Product Viewed", "Product Added"])
    assert next_due(visit_of(("Product Viewed", 0), trigger=both), [both]) is None
    assert only(visit_of(("Product Added", 5), ("Product Viewed", 8), trigger=both), both).first.id == "Product Added@5"


def test_an_order_before_the_visit_has_every_name_is_no_decision() -> None:
    both = versioned(must_include=["Product Viewed", "Product Added"])
    visit = visit_of(("Product Viewed", 0), ("Order Completed", 5), ("Product Added", 8), trigger=both)
    assert episodes(visit, [both]) == []


def test_what_is_consumed_does_not_qualify_again() -> None:
    visit = visit_of(("Product Added", 0), ("Product Added", 100))
    used = visit.model_copy(update={"consumed": {"cart": START + timedelta(seconds=50)}})
    assert only(used).first.id == "Product Added@100"
    assert episodes(visit.model_copy(update={"consumed": {"cart": START + timedelta(seconds=100)}}), [versioned()]) == []


def test_what_is_due_first_comes_first() -> None:
    slow, quick = versioned(), versioned(name="quick", wait_seconds=60)
    visit = visit_of(("Product Added", 0))
    assert [e.trigger.definition.name for e in episodes(visit, [slow, quick])] == ["quick", "cart"]
    assert next_due(visit, [slow, quick]) == START + timedelta(seconds=60)


def test_only_enabled_triggers_of_the_tracker_listen() -> None:
    triggers = [
        versioned(name="any"),
        versioned(name="this", trackers=["shop"]),
        versioned(name="other", trackers=["blog"]),
        versioned(name="off", enabled=False),
    ]
    assert [t.definition.name for t in listening(triggers, "shop")] == ["any", "this"]
