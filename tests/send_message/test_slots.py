"""Caps and quiet hours through the whole of a send, on real rows."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from send_message.sending import send_all
from shared.exchange import Response
from shared.jobs import MessageJob
from shared.person import as_snapshot
from shared.queues import Batch, Queue
from shared.sends import Slot
from tests.aws import Aws
from tests.send_message.world import DAY, World


@pytest.fixture
def world(aws: Aws) -> World:
    """Without a policy: a channel's cap holds all the same."""
    made = World(aws)
    made.undefine("policy", "email")
    return made


def again(world: World, job: MessageJob) -> int:
    """A second delivery of the same queue message."""
    batch = batch_of(world, job, receives=2)
    send_all(batch, world.outbox, lambda: 30)
    return len(batch.response()["batchItemFailures"])


def batch_of(world: World, *jobs: MessageJob, receives: int = 1) -> Batch[MessageJob]:
    """These jobs as they come to a function."""
    event = world.aws.delivery(world.queue, *jobs)
    for record in event["Records"]:  # type: ignore[attr-defined]  # as Lambda gives it
        record["attributes"]["ApproximateReceiveCount"] = str(receives)
    url, parked = world.aws.queue(world.queue), Queue(world.aws.sqs, world.aws.queue(f"{world.queue}-parked"))
    return Batch(event, MessageJob, client=world.aws.sqs, queue_url=url, parked=parked, clock=world.aws.clock, chance=Random(1))


def slots(world: World, job: MessageJob) -> Mapping[str, Slot]:
    found = world.profiles.get(job.profile_id or "")
    assert found is not None
    return found.sends


def test_a_sent_message_has_a_slot(world: World) -> None:
    job = world.job()
    world.deliver(job)
    assert {name: slot.state for name, slot in slots(world, job).items()} == {"m_1": "taken"}


def test_what_an_outage_made_too_old_gives_its_slot_back(world: World) -> None:
    world.esp.script = [Response(503)]
    job = world.job()
    assert world.deliver(job) == 1
    assert slots(world, job)["m_1"].state == "taken"
    world.aws.clock.at = job.valid_until
    world.aws.clock.forward(1)
    assert again(world, job) == 0
    assert world.why() == ("skipped", "skipped", "no longer valid")
    assert slots(world, job) == {}


def test_what_may_have_gone_out_keeps_its_slot(world: World) -> None:
    world.esp.script = [RuntimeError("cut off")]
    job = world.job()
    assert world.deliver(job) == 1
    world.aws.clock.at = job.valid_until
    world.aws.clock.forward(1)
    again(world, job)
    assert world.message().status in ("unknown", "parked")
    assert slots(world, job)["m_1"].state == "taken"


def test_the_sixth_message_of_a_day_waits_for_the_first_to_be_a_day_old(world: World) -> None:
    jobs = [world.job(message_id=f"m_{number}", valid_until=world.aws.clock.at.replace(year=2027)) for number in range(6)]
    assert world.deliver(*jobs) == 1
    assert len(world.esp.requests) == 5
    [waiting] = [job for job in jobs if world.message(job.message_id).status == "waiting"]
    assert world.why(waiting.message_id)[2] == "frequency cap of the channel: 5 in 24 h"
    world.aws.clock.forward(DAY)
    assert again(world, waiting) == 0
    assert len(world.esp.requests) == 6


def test_two_functions_at_once_keep_the_cap_together(world: World) -> None:
    year = world.aws.clock.at.replace(year=2027)
    jobs = [world.job(message_id=f"m_{number}", valid_until=year) for number in range(12)]
    batches = [batch_of(world, *jobs[:6]), batch_of(world, *jobs[6:])]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda batch: send_all(batch, world.process(world.esp), lambda: 30), batches))
    sent = [job for job in jobs if (row := world.ledger.read(job.message_id)) and row.status == "sent"]
    assert len(world.esp.requests) == len(sent) == 5
    assert {name for name, slot in slots(world, jobs[0]).items() if slot.state == "taken"} == {job.message_id for job in sent}


def test_somebody_who_was_joined_with_another_meanwhile_gets_it_once(world: World) -> None:
    """The job knows them by the row that forwards by now, as it was before."""
    names = [("user_id", "guest"), ("user_id", "ada")]
    guest, ada = world.profiles.upsert(names[:1], {"email": "ada@example.com"}, world.aws.clock()), world.person()
    before = as_snapshot(world.profiles.get_all([guest, ada])[max(guest, ada)])
    one = world.profiles.upsert(names, {}, world.aws.clock(), alias=True)
    job = world.job(profile_id=max(guest, ada)).model_copy(update={"profile": before})
    assert world.deliver(job) == 1
    assert again(world, job) == again(world, job) == 0
    assert len(world.esp.requests) == 1
    assert world.profiles.get_all([one])[one].sends.keys() == {"m_1"}
