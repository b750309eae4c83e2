"""What became of messages is counted once, however often their jobs come."""

from __future__ import annotations

from datetime import timedelta

import pytest

from match_triggers.handler import compose
from shared.errors import Permanent, Transient
from shared.jobs import EventsJob, MessageJob, TimerJob
from tests.aws import Aws
from tests.match_triggers.shop import START, settings_of, tracker_event
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


def test_from_a_visit_to_what_the_esp_took(world: World) -> None:
    aws = world.aws
    matcher = compose(settings_of(aws), aws.dynamodb, aws.sqs, aws.clock)
    for number, address in enumerate(("ada@example.com", "grace@example.com", "no-address")):
        who: dict[str, object] = {"anonymous_id": f"browser-{number}", "user_id": f"u{number}"}
        login = tracker_event("Signed In", 0, traits={"email": address}, **who)
        events = (login, tracker_event("Product Added", 1, properties={"name": "Lamp"}, **who))
        matcher.invoked(aws.delivery("events", EventsJob(events=events)))
    aws.clock.at = START + timedelta(seconds=6.5)
    for number in range(3):
        matcher.invoked(aws.delivery("timers", TimerJob(visit_ids=(f"shop#a#browser-{number}",))))
    jobs = [MessageJob.model_validate_json(body) for body in aws.received("messages")]
    world.deliver(*jobs)
    [day] = world.outbox.reports.read(["abandoned"], [aws.clock().date()])
    assert day.counts == {"fired": 3, "late_ms": 1500, "sent": 2, "unsent:the email address is not valid": 1}
    assert {one.message_id for one in day.recent} == {job.message_id for job in jobs}
