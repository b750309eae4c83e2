from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.fields import Cap
from shared.sends import PATIENCE, Sends, Slot, free_at, pruned, read_sends, with_slot, without_slot, write_sends

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def taken(hours_ago: float, trigger: str = "cart") -> Slot:
    at = NOW - hours_ago * HOUR
    return Slot(trigger, "email", at, 0, "taken", at + DAY)


def held(priority: int, tries_in: float = 1, valid_for: float = 10) -> Slot:
    return Slot("cart", "email", NOW + tries_in * HOUR, priority, "held", NOW + valid_for * HOUR)


def free(sends: Sends, times: int, priority: int = 0) -> datetime:
    return free_at(sends, "mine", Cap(times=times), counted=lambda _: True, priority=priority, now=NOW)


def test_a_slot_is_free_until_so_many_are_taken() -> None:
    assert free({}, 1) == NOW
    assert free({"a": taken(1)}, 2) == NOW


def test_then_it_is_free_once_enough_have_left_the_window() -> None:
    assert free({"a": taken(1), "b": taken(3)}, 2) == NOW + 21 * HOUR
    assert free({"a": taken(1), "b": taken(3)}, 1) == NOW + 23 * HOUR


def test_a_slot_leaves_at_the_end_of_the_window() -> None:
    assert free({"a": taken(24)}, 1) == NOW
    assert free({"a": taken(23.999)}, 1) > NOW


def test_ones_own_slot_does_not_count() -> None:
    assert free({"mine": taken(1)}, 1) == NOW


def test_only_what_the_cap_is_about_counts() -> None:
    sends = {"a": taken(1, "other")}
    assert free_at(sends, "mine", Cap(times=1), counted=lambda s: s.trigger == "cart", priority=0, now=NOW) == NOW


def test_what_waits_holds_its_slot_against_lower_priorities_only() -> None:
    assert free({"a": held(5)}, 1, priority=4) > NOW
    assert free({"a": held(5)}, 1, priority=5) == NOW
    assert free({"a": held(5)}, 1, priority=6) == NOW
    assert free({"a": held(5)}, 2, priority=4) == NOW


def test_who_waits_for_a_held_slot_looks_again_when_it_was_tried_but_not_at_once() -> None:
    assert free({"a": held(5, tries_in=1)}, 1) == NOW + HOUR
    assert free({"a": held(5, tries_in=-1)}, 1) == NOW + PATIENCE
    assert free({"a": held(5, tries_in=-1, valid_for=0.01)}, 1) == NOW + 0.01 * HOUR


def test_a_slot_held_by_what_is_no_longer_valid_is_free() -> None:
    assert free({"a": held(5, valid_for=0)}, 1) == NOW


def test_what_is_tried_only_after_our_own_slot_ends_loses_nothing() -> None:
    assert free({"a": held(5, tries_in=24, valid_for=48)}, 1) == NOW
    assert free({"a": held(5, tries_in=23.9, valid_for=48)}, 1) > NOW


def test_slots_are_taken_over_given_back_and_forgotten() -> None:
    sends = with_slot({"old": taken(25), "a": taken(1), "b": held(1)}, "b", taken(0), NOW)
    assert sends == {"a": taken(1), "b": taken(0)}
    assert without_slot(sends, "a", NOW) == {"b": taken(0)}
    assert pruned(sends, NOW + 23.5 * HOUR) == {"b": taken(0)}


def test_a_row_stays_small_and_what_matters_least_goes_first() -> None:
    sends: Sends = {}
    for index in range(300):
        sends = with_slot(sends, f"m_{index:032}", taken(23 - index / 100), NOW)
        sends = with_slot(sends, f"h_{index:032}", held(index % 50), NOW)
    assert len(write_sends(sends)) < 25_000
    waiting = [slot.priority for slot in sends.values() if slot.state == "held"]
    assert min(waiting) >= 46
    times = [slot.at for slot in sends.values() if slot.state == "taken"]
    assert len(times) == 200
    assert min(times) == taken(23 - 100 / 100).at


TIMES = st.integers(0, 10**12).map(lambda millis: datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=millis))
SLOTS = st.builds(Slot, st.text(), st.text(), TIMES, st.integers(-100, 100), st.sampled_from(["taken", "held"]), TIMES)


@given(st.dictionaries(st.text(), SLOTS))
def test_slots_are_read_as_they_were_written(sends: dict[str, Slot]) -> None:
    assert read_sends(write_sends(sends)) == sends
