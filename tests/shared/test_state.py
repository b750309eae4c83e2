from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import Misconfigured, Transient
from shared.state import Circuits, Leases
from tests.aws import Aws


class Middle:
    """Randomness that is none: the middle of every range."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def circuits(aws: Aws) -> Circuits:
    return Circuits(aws.dynamodb, aws.table("state"), aws.clock, Middle())


def open_circuit(one: Circuits, name: str = "esp") -> float:
    """Fails until it is open; the seconds to wait."""
    for _ in range(3):
        one.check(name)
        one.failed(name, Transient("down"))
    with pytest.raises(Transient) as refused:
        one.check(name)
    assert refused.value.retry_after is not None
    return refused.value.retry_after


def test_a_lease_has_one_holder_until_it_is_given_back(aws: Aws) -> None:
    one, other = (Leases(aws.dynamodb, aws.table("state"), aws.clock) for _ in range(2))
    assert one.take("x", 30)
    assert not other.take("x", 30)
    other.give_back("x")
    assert not other.take("x", 30)
    one.give_back("x")
    assert other.take("x", 30)


def test_a_lease_ends_by_itself(aws: Aws) -> None:
    one, other = (Leases(aws.dynamodb, aws.table("state"), aws.clock) for _ in range(2))
    assert one.take("x", 30)
    aws.clock.forward(31)
    assert other.take("x", 30)


def test_a_circuit_opens_after_failures_in_a_row_and_for_every_process(aws: Aws) -> None:
    one, other = circuits(aws), circuits(aws)
    open_circuit(one)
    with pytest.raises(Transient):
        other.check("esp")
    other.check("another")


def test_single_failures_between_successes_open_nothing(aws: Aws) -> None:
    one = circuits(aws)
    for _ in range(10):
        one.check("esp")
        one.failed("esp", Transient("hiccup"))
        one.succeeded("esp")


def test_a_wait_that_the_vendor_asked_for_is_obeyed_at_once(aws: Aws) -> None:
    one = circuits(aws)
    one.failed("esp", Transient("429", retry_after=40))
    with pytest.raises(Transient) as refused:
        one.check("esp")
    assert refused.value.retry_after == pytest.approx(40)
    aws.clock.forward(41)
    one.check("esp")


def test_one_probe_is_let_through_and_its_success_closes_the_circuit(aws: Aws) -> None:
    one, other = circuits(aws), circuits(aws)
    aws.clock.forward(open_circuit(one) + 1)
    one.check("esp")
    with pytest.raises(Transient, match="probe"):
        other.check("esp")
    one.succeeded("esp")
    aws.clock.forward(2)
    other.check("esp")


def test_a_failed_probe_opens_it_again_for_longer(aws: Aws) -> None:
    one = circuits(aws)
    first = open_circuit(one)
    aws.clock.forward(first + 1)
    one.check("esp")
    one.failed("esp", Transient("still down"))
    with pytest.raises(Transient) as refused:
        one.check("esp")
    assert refused.value.retry_after is not None
    assert refused.value.retry_after > first


def test_a_probe_that_died_does_not_keep_the_circuit_open_for_ever(aws: Aws) -> None:
    one, other = circuits(aws), circuits(aws)
    aws.clock.forward(open_circuit(one) + 1)
    one.check("esp")
    aws.clock.forward(31)
    other.check("esp")


def test_wrong_credentials_open_it_at_once(aws: Aws) -> None:
    one = circuits(aws)
    one.failed("esp", Misconfigured("refused"))
    with pytest.raises(Transient):
        one.check("esp")


def test_who_comes_back_after_its_time_does_not_free_what_another_has(aws: Aws) -> None:
    late, next_one, third = (Leases(aws.dynamodb, aws.table("state"), aws.clock) for _ in range(3))
    assert late.take("x", 30)
    aws.clock.forward(31)
    assert next_one.take("x", 30)
    late.give_back("x")
    assert not third.take("x", 30)


def test_a_lease_may_be_given_back_for_later(aws: Aws) -> None:
    one, other = (Leases(aws.dynamodb, aws.table("state"), aws.clock) for _ in range(2))
    assert one.take("x", 30)
    one.give_back("x", after=60)
    aws.clock.forward(31)
    assert not other.take("x", 30)
    assert not one.take("x", 30)
    aws.clock.forward(30)
    assert other.take("x", 30)


def test_a_lease_has_one_holder_among_threads(aws: Aws) -> None:
    processes = [Leases(aws.dynamodb, aws.table("state"), aws.clock) for _ in range(3)]
    with ThreadPoolExecutor(12) as threads:
        taken = list(threads.map(lambda number: processes[number % 3].take("x", 30), range(24)))
    assert sum(taken) == 1


def test_calls_that_were_under_way_when_it_opened_do_not_prolong_it(aws: Aws) -> None:
    one = circuits(aws)
    first = open_circuit(one)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: one.failed("esp", Transient("down")), range(32)))
    for process in (one, circuits(aws)):
        with pytest.raises(Transient) as refused:
            process.check("esp")
        assert refused.value.retry_after == pytest.approx(first)


def test_many_threads_that_fail_at_once_open_it_once(aws: Aws) -> None:
    one = circuits(aws)
    aws.table("state")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: one.failed("esp", Transient("down")), range(32)))
    assert 0 < one.open_for("esp") <= 2


def test_a_success_of_a_call_that_was_under_way_does_not_shorten_what_the_vendor_asked_for(aws: Aws) -> None:
    one = circuits(aws)
    one.failed("esp", Transient("429", retry_after=40))
    one.succeeded("esp")
    for process in (one, circuits(aws)):
        with pytest.raises(Transient):
            process.check("esp")


def test_the_longest_wait_that_was_asked_for_holds_whoever_was_asked(aws: Aws) -> None:
    one, other = circuits(aws), circuits(aws)
    one.failed("esp", Transient("429", retry_after=40))
    other.failed("esp", Transient("429", retry_after=10))
    one.failed("esp", Transient("429", retry_after=20))
    aws.clock.forward(2)
    for process in (one, other):
        with pytest.raises(Transient) as refused:
            process.check("esp")
        assert refused.value.retry_after == pytest.approx(38)


def test_a_probe_that_ends_after_another_opened_it_anew_does_not_close_it(aws: Aws) -> None:
    one, other = circuits(aws), circuits(aws)
    aws.clock.forward(open_circuit(one) + 1)
    one.check("esp")
    other.failed("esp", Transient("429", retry_after=40))
    one.succeeded("esp")
    with pytest.raises(Transient):
        circuits(aws).check("esp")


def test_a_pause_is_kept_by_all_and_no_probe_follows(aws: Aws) -> None:
    one, other = circuits(aws), circuits(aws)
    one.pause("esp", 20)
    one.pause("esp", 5)
    for process in (one, other):
        with pytest.raises(Transient) as refused:
            process.check("esp")
        assert refused.value.retry_after == pytest.approx(20)
    aws.clock.forward(21)
    for process in (one, other, one):
        process.check("esp")


def test_a_pause_while_it_is_open_is_followed_by_a_probe_all_the_same(aws: Aws) -> None:
    one, other = circuits(aws), circuits(aws)
    open_circuit(one)
    one.pause("esp", 20)
    aws.clock.forward(21)
    one.check("esp")
    with pytest.raises(Transient, match="probe"):
        other.check("esp")
