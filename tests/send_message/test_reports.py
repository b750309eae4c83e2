"""What became of messages is counted once, however often their jobs come."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.errors import Permanent, Transient
from tests.aws import Aws
from tests.send_message.world import World


@pytest.fixture
def world(aws: Aws) -> World:
    return World(aws)


def counts(world: World) -> dict[str, int]:
    [day] = world.outbox.reports.read(["abandoned"], [world.aws.clock().date()])
    return dict(day.counts)


def test_what_was_sent_is_counted_once(world: World) -> None:
    jobs = [world.job(message_id=f"m_{number}") for number in range(5)]
    world.deliver(*jobs)
    world.deliver(*jobs, receives=2)
    assert counts(world) == {"sent": 5}


def test_why_it_was_not_sent(world: World) -> None:
    gone = world.job(message_id="m_1", valid_until=world.aws.clock() - timedelta(seconds=1))
    nobody = world.job(message_id="m_2", profile_id=None)
    for _ in range(2):
        world.deliver(gone, nobody, world.job(message_id="m_3"))
    assert counts(world) == {"unsent:no longer valid": 1, "unsent:no profile": 1, "sent": 1}


def test_what_its_trigger_decided_against_is_counted_there(world: World) -> None:
    world.deliver(world.job(decided="skip", reason="order placed"))
    assert (world.why()[0], counts(world)) == ("skipped", {})


def test_what_waits_is_counted_when_it_does_so_no_more(world: World) -> None:
    world.esp.script = [Transient("busy"), Permanent("refused")]
    job = world.job()
    assert world.deliver(job) == 1
    assert counts(world) == {}
    world.aws.clock.forward(60)
    world.deliver(job, receives=2)
    assert counts(world) == {"parked": 1}
    world.deliver(job)
    assert (world.why()[0], counts(world)) == ("sent", {"parked": 1, "sent": 1})


def test_it_is_counted_on_the_day_of_the_decision(world: World) -> None:
    job = world.job(valid_until=world.aws.clock() + timedelta(days=2))
    day = world.aws.clock().date()
    world.aws.clock.forward(86_400)
    world.deliver(job)
    today, decided = world.outbox.reports.read(["abandoned"], [day + timedelta(days=1), day])
    assert (dict(today.counts), dict(decided.counts)) == ({}, {"sent": 1})
