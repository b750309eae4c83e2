from __future__ import annotations

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
