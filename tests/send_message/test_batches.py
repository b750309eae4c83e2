"""Many messages at a time: joined, limited, failed over, at the same time, and in what order."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta

import pytest
from pydantic import JsonValue

from shared.errors import Misconfigured, Transient, Unknown
from shared.exchange import Request, Response
from shared.jobs import MessageJob
from shared.person import as_snapshot
from tests.aws import Aws
from tests.send_message.world import INTEGRATION, TRIGGER, World

OTHER: dict[str, JsonValue] = {**INTEGRATION, "name": "other", "url": "https://api.other.example/v1/messages"}
JOINED: dict[str, JsonValue] = {
    **INTEGRATION,
    "connector": "postmark",
    "message_id_path": "MessageID",
    "idempotency_header": "",
    "body": {"To": "{{ to }}", "Metadata": {"message_id": "{{ message.id }}"}},
}


@pytest.fixture
def world(aws: Aws) -> World:
    return World(aws)


def jobs(world: World, number: int, **changes: object) -> list[MessageJob]:
    """To as many people."""
    people = [
        world.profiles.upsert([("user_id", f"u{n}")], {"email": f"u{n}@example.com", "first_name": f"U{n}"}, world.aws.clock())
        for n in range(number)
    ]
    return [world.job(message_id=f"m_{n}", profile_id=people[n], **changes) for n in range(number)]


def statuses(world: World, number: int) -> list[str]:
    return [world.message(f"m_{n}").status for n in range(number)]


def joined(parts: list[dict[str, object]]) -> Response:
    return Response(200, {}, json.dumps(parts).encode(), 0.001)


def test_a_batch_asks_little_of_aws(world: World) -> None:
    some = [
        job.model_copy(update={"profile": as_snapshot(profile)})
        for job in jobs(world, 10)
        if (profile := world.profiles.get(job.profile_id or ""))
    ]
    calls: list[str] = []
    for client in (world.aws.dynamodb, world.aws.s3, world.aws.sqs):
        client.meta.events.register("before-call.*", lambda model, **_: calls.append(model.name))
    assert world.deliver(*some) == 0
    test_s_own = ("CreateQueue", "ReceiveMessage", "Query", "BatchGetItem")
    writes = [name for name in calls if name not in test_s_own]
    taken, claimed, settled = ["BatchExecuteStatement"], ["PutObject", "BatchExecuteStatement"], ["BatchExecuteStatement"]
    assert writes[10:] == [*taken, *claimed, *settled, "SendMessage", "UpdateItem"]
    assert statuses(world, 10) == ["sent"] * 10


def test_a_vendor_that_takes_many_gets_many_and_each_has_its_own_end(world: World) -> None:
    world.define("integration", JOINED)
    codes = [0, 406, 0]
    world.esp.script = [joined([{"ErrorCode": code, "MessageID": f"pm_{n}"} for n, code in enumerate(codes)])]
    assert world.deliver(*jobs(world, 3)) == 0
    (request,) = world.esp.requests
    assert len(json.loads(request.body)) == 3
    assert statuses(world, 3) == ["sent", "parked", "sent"]
    kept = [world.mirrors.read(world.message(f"m_{n}").claim.kept) for n in range(3)]
    assert [content.html[:6] for content in kept if content] == ["<p>U0:", "<p>U1:", "<p>U2:"]


def test_several_under_one_key_go_out_once_more_together_and_then_have_no_key(world: World) -> None:
    world.define("integration", JOINED, idempotency_header="Idempotency-Key")
    world.esp.script = [Unknown("cut"), Unknown("cut again")]
    some = jobs(world, 3)
    assert world.deliver(*some) == 3
    first, second = world.esp.requests
    assert (first.body, first.headers["idempotency-key"]) == (second.body, second.headers["idempotency-key"])
    assert statuses(world, 3) == ["unknown"] * 3
    world.aws.clock.forward(61)
    assert world.deliver(*some) == 3
    assert [request.method for request in world.esp.requests].count("POST") == 2


def test_a_limit_lets_so_many_through_and_the_others_come_back(world: World) -> None:
    world.define("integration", INTEGRATION, limit={"messages": 4, "seconds": 60})
    assert world.deliver(*jobs(world, 6)) > 0
    assert 1 <= len(world.esp.requests) <= 4


def test_the_most_important_goes_first(world: World) -> None:
    world.define("policy", {"name": "email", "cap": {"times": 1}})
    world.define("trigger", {**TRIGGER, "name": "vip"}, priority=9)
    assert world.deliver(world.job(message_id="m_low"), world.job(message_id="m_high", trigger="vip")) == 0
    assert world.message("m_high").status == "sent"
    assert world.why("m_low") == ("skipped", "skipped", "frequency cap of the channel: 1 in 24 h")


def test_an_esp_that_is_down_is_failed_over_from(world: World) -> None:
    world.define("integration", OTHER)
    world.define("integration", INTEGRATION, failover="other")
    world.outbox.circuits.failed("integration#postbird", Transient("down", retry_after=30))
    assert world.deliver(world.job()) == 0
    assert [request.url for request in world.esp.requests] == ["https://api.other.example/v1/messages"]
    assert (world.message().status, world.message().integration) == ("sent", "other")
    assert [engagement.integration for engagement in world.engagements()] == ["other"]


def test_what_waited_is_failed_over_once_the_circuit_is_open(world: World) -> None:
    world.define("integration", OTHER)
    world.define("integration", INTEGRATION, failover="other")
    world.esp.script = [Misconfigured("no right")]
    job = world.job()
    assert world.deliver(job) == 1
    assert world.message().integration == "postbird"
    assert world.deliver(job) == 0
    assert (world.message().status, world.message().integration) == ("sent", "other")


def test_what_may_have_gone_out_through_the_first_never_goes_through_the_second(world: World) -> None:
    world.define("integration", OTHER)
    world.define("integration", INTEGRATION, failover="other")
    world.esp.script = [Unknown("cut")]
    job = world.job()
    assert world.deliver(job) == 1
    world.outbox.circuits.failed("integration#postbird", Transient("down", retry_after=30))
    assert world.deliver(job) == 1
    assert len(world.esp.requests) == 1
    world.aws.clock.forward(61)
    assert world.deliver(job) == 0
    assert {request.url for request in world.esp.requests} == {"https://api.postbird.example/v1/messages"}


def test_nobody_is_failed_over_to_another_channel_or_to_what_is_down_too(world: World) -> None:
    world.define("integration", OTHER)
    world.define("integration", INTEGRATION, failover="other")
    for name in ("postbird", "other"):
        world.outbox.circuits.failed(f"integration#{name}", Transient("down", retry_after=30))
    assert world.deliver(world.job()) == 1
    world.define("integration", OTHER, channel="sms", enabled=False)
    assert world.deliver(world.job()) == 1
    assert world.esp.requests == []


def test_while_the_integration_is_switched_off_messages_wait_until_they_are_too_old(world: World) -> None:
    world.define("integration", INTEGRATION, enabled=False)
    job = world.job(valid_until=world.aws.clock() + timedelta(seconds=100))
    for _ in range(2):
        assert world.deliver(job, receives=2) == 1
    assert world.why() == ("waiting", "waits", "the integration postbird is paused")
    assert len(world.message().trace) == 2
    world.aws.clock.forward(101)
    assert world.deliver(job, receives=2) == 0
    assert world.why() == ("skipped", "skipped", "no longer valid")
    assert world.esp.requests == []


def test_a_pause_that_the_esp_announces_is_kept(world: World) -> None:
    quota = {"ratelimit-remaining": "0", "ratelimit-reset": "30"}
    world.esp.script = [Response(202, quota, b'{"id": "pb_1"}', 0.001)]
    assert world.deliver(world.job()) == 0
    assert world.deliver(world.job(message_id="m_2")) == 1
    world.aws.clock.forward(31)
    assert world.deliver(world.job(message_id="m_2")) == 0


def test_a_slow_esp_is_asked_for_several_at_a_time_and_each_is_settled(world: World) -> None:
    running: list[int] = []
    lock = threading.Lock()

    def slow(request: Request) -> Response:
        with lock:
            running.append(1)
            most.append(len(running))
        time.sleep(0.05)
        with lock:
            running.pop()
        message_id = json.loads(request.body)["metadata"]["message_id"]
        if message_id == "m_5":
            raise RuntimeError("a bug")
        return Response(202, {}, json.dumps({"id": f"pb_{message_id}"}).encode(), 0.05)

    most: list[int] = []
    assert world.deliver(*jobs(world, 10), outbox=world.process(slow)) == 1
    assert max(most) == 4
    assert statuses(world, 10) == ["sent"] * 5 + ["unknown"] + ["sent"] * 4
    assert [world.message(f"m_{n}").esp_message_id for n in (0, 9)] == ["pb_m_0", "pb_m_9"]


def test_a_message_in_flight_keeps_its_version(world: World) -> None:
    world.define("integration", INTEGRATION)
    job = world.job(integration_version=world.version())
    world.define("integration", INTEGRATION, url="https://api.postbird.example/v2/messages")
    assert world.deliver(job) == 0
    assert [request.url for request in world.esp.requests] == ["https://api.postbird.example/v1/messages"]


def test_an_old_snapshot_is_decided_anew(world: World) -> None:
    job = world.job()
    profile = world.profiles.get(job.profile_id or "")
    assert profile is not None
    brought = job.model_copy(update={"profile": as_snapshot(profile)})
    world.aws.clock.forward(1)
    world.person(first_name="Augusta")
    assert world.deliver(brought) == 0
    assert [body["subject"] for body in world.esp.bodies() if isinstance(body, dict)] == ["Augusta, your cart"]


def test_two_messages_to_one_person_in_a_batch_keep_the_cap(world: World) -> None:
    world.define("policy", {"name": "email", "cap": {"times": 1}})
    profile = world.profiles.get(world.person())
    assert profile is not None
    some = [world.job(message_id=f"m_{n}", profile=as_snapshot(profile)) for n in range(3)]
    assert world.deliver(*some) == 0 or len(world.esp.requests) == 1
    assert len(world.esp.requests) == 1


@pytest.mark.parametrize("why", ["refused", "not to be rendered", "ordered"])
def test_what_surely_does_not_go_out_gives_its_slot_back(world: World, why: str) -> None:
    world.define("policy", {"name": "email", "cap": {"times": 1}})
    job = world.job(context={} if why == "not to be rendered" else {"cart": [{"name": "Lamp"}]})
    world.esp.script = [Response(422)] if why == "refused" else []
    if why == "ordered":
        world.ordered(job)
    assert world.deliver(job) == 0
    assert world.message().status == ("skipped" if why == "ordered" else "parked")
    assert world.deliver(world.job(message_id="m_2")) == 0
    assert world.message("m_2").status == "sent"
