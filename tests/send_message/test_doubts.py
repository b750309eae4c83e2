"""A message of which nobody knows whether it went out: told of by the ESP, looked up, parked or sent again; never silently."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from connectors.esps.base import Esp, Outgoing, Sent
from connectors.registry import ESPS
from shared.clock import Clock
from shared.definitions import Integration
from shared.errors import Unknown
from shared.exchange import Exchange, Request, Response
from shared.jobs import Engagement, Hop, MessageJob
from tests.aws import Aws
from tests.send_message.world import INTEGRATION, LEASE, TEMPLATE, World

WAIT = 900
CUT = Unknown("no answer")


@pytest.fixture
def world(aws: Aws) -> World:
    made = World(aws)
    define(made)
    return made


def define(world: World, **changes: JsonValue) -> None:
    """An ESP without an idempotency key."""
    world.define("integration", INTEGRATION, **{"idempotency_header": "", **changes})


def in_doubt(world: World) -> MessageJob:
    """A message whose first attempt was cut off."""
    world.esp.script = [CUT]
    job = world.job()
    assert world.deliver(job) == 1
    assert world.why() == ("unknown", "waits", "outcome unknown: no answer")
    return job


def told(world: World) -> None:
    """The ESP's webhook has told of the message."""
    now = world.aws.clock()
    engagement = Engagement(id="e_1", message_id="m_1", integration="postbird", type="delivered", at=now, received_at=now)
    world.ledger.record("m_1", [engagement], [Hop(at=now, hop="record_engagement", what="delivered")])


def test_it_waits_for_the_webhook_and_is_not_posted_again(world: World) -> None:
    job = in_doubt(world)
    for _ in range(3):
        world.aws.clock.forward(WAIT / 4)
        assert world.deliver(job) == 1
    assert len(world.esp.requests) == 1
    assert len(world.message().trace) == 2


def test_the_webhook_settles_it(world: World) -> None:
    job = in_doubt(world)
    told(world)
    assert world.deliver(job) == 0
    assert world.message().status == "sent"
    assert [hop.reason for hop in world.message().trace if hop.what == "sent"] == ["the ESP's webhook tells of it"]
    assert [engagement.type for engagement in world.engagements()] == ["sent"]
    assert len(world.esp.requests) == 1


def test_it_is_parked_when_nobody_has_told_and_never_posted_again(world: World) -> None:
    job = in_doubt(world)
    world.aws.clock.forward(WAIT + 1)
    for _ in range(2):
        assert world.deliver(job) == 0
        assert world.why() == ("parked", "parked", "outcome unknown: an earlier attempt may have reached the ESP")
        assert world.parked() == ["outcome unknown: an earlier attempt may have reached the ESP"]
    assert len(world.esp.requests) == 1


def test_it_is_sent_again_if_the_integration_says_so_and_the_trace_says_that(world: World) -> None:
    define(world, unknown="retry")
    job = in_doubt(world)
    world.define("template", TEMPLATE, subject="Anew")
    world.aws.clock.forward(WAIT + 1)
    assert world.deliver(job) == 0
    assert world.message().status == "sent"
    assert world.message().trace[-1].reason.startswith("sent again, as the integration says, although")
    assert [body["subject"] for body in world.esp.bodies() if isinstance(body, dict)] == ["Ada, your cart", "Anew"]


def test_a_parked_doubt_is_settled_when_its_job_is_sent_back_after_the_webhook(world: World) -> None:
    job = in_doubt(world)
    world.aws.clock.forward(WAIT + 1)
    world.deliver(job)
    told(world)
    assert world.deliver(job) == 0
    assert world.message().status == "sent"
    assert len(world.esp.requests) == 1


@pytest.mark.parametrize("why", ["ordered", "too old"])
def test_what_should_not_go_out_any_more_is_parked_and_not_called_skipped(world: World, why: str) -> None:
    wait = 60 if why == "ordered" else 4000
    define(world, unknown="retry", unknown_wait_seconds=wait)
    job = in_doubt(world)
    if why == "ordered":
        world.ordered(job)
    world.aws.clock.forward(wait + 1)
    assert world.deliver(job, receives=2) == 0
    unknown = "outcome unknown: an earlier attempt may have reached the ESP, and now: "
    reason = unknown + ("order placed" if why == "ordered" else "no longer valid")
    assert world.why() == ("parked", "parked", reason)
    assert world.parked() == [reason]
    assert len(world.esp.requests) == 1


def test_a_refusal_after_the_key_was_forgotten_says_nothing_of_the_attempt_before(world: World) -> None:
    define(world, idempotency_header="Idempotency-Key", idempotency_seconds=300, unknown="retry")
    job = in_doubt_with_key(world)
    world.aws.clock.forward(max(WAIT, 300) + 1)
    world.esp.script = [Response(422)]
    world.deliver(job)
    assert len(world.esp.requests) == 2
    assert world.parked() == ["outcome unknown, and now: the ESP answered HTTP 422"]


def test_a_key_is_good_for_as_long_as_the_esp_remembers_it(world: World) -> None:
    define(world, idempotency_header="Idempotency-Key", idempotency_seconds=300)
    job = in_doubt_with_key(world)
    world.aws.clock.forward(200)
    world.esp.script = [CUT]
    assert world.deliver(job) == 1
    assert len(world.esp.requests) == 2
    world.aws.clock.forward(100)
    assert world.deliver(job) == 1
    assert len(world.esp.requests) == 2
    world.aws.clock.forward(WAIT)
    assert world.deliver(job) == 0
    assert world.message().status == "parked"


def in_doubt_with_key(world: World) -> MessageJob:
    world.esp.script = [CUT]
    job = world.job()
    assert world.deliver(job) == 1
    return job


def test_an_order_stops_the_same_bytes_under_the_same_key(world: World) -> None:
    define(world, idempotency_header="Idempotency-Key")
    job = in_doubt_with_key(world)
    world.ordered(job)
    world.aws.clock.forward(LEASE)
    assert world.deliver(job) == 1
    world.aws.clock.forward(WAIT)
    assert world.deliver(job) == 0
    assert world.why()[2].endswith("and now: order placed")
    assert len(world.esp.requests) == 1


def test_what_was_killed_between_post_and_settlement_is_in_doubt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = world.job()

    def die() -> None:
        raise SystemExit

    with monkeypatch.context() as killing:
        killing.setattr(world.outbox.claims, "change", lambda changes: die() if [*changes] else [])
        with pytest.raises(SystemExit):
            world.deliver(job)
    assert world.message().status == "sending"
    world.aws.clock.forward(LEASE + 1)
    assert world.deliver(job) == 1
    assert world.why()[:2] == ("unknown", "waits")
    assert len(world.esp.requests) == 1


class Knowing(Esp):
    """An ESP that can be asked."""

    def look_up(self, integration: Integration, message: Outgoing, clock: Clock) -> Exchange[Sent | None] | None:
        """Its own look-up."""
        return self._look_up(message)

    def _look_up(self, message: Outgoing) -> Exchange[Sent | None]:
        answer = yield Request("GET", f"https://api.postbird.example/v1/messages/{message.id}")
        return Sent(answer.body.decode(), answer.status, 0) if answer.status == 200 else None


@pytest.fixture
def knowing(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(type(ESPS), "load", lambda self, name: Knowing())
    return world


def test_a_look_up_that_knows_it_settles_it(knowing: World) -> None:
    job = in_doubt(knowing)
    knowing.esp.script = [Response(200, {}, b"pb_7")]
    assert knowing.deliver(job) == 0
    assert (knowing.message().status, knowing.message().esp_message_id) == ("sent", "pb_7")
    assert [request.method for request in knowing.esp.requests] == ["POST", "GET"]


def test_a_look_up_that_does_not_know_it_is_believed_once_the_wait_is_over(knowing: World) -> None:
    job = in_doubt(knowing)
    knowing.esp.script = [Response(404)]
    assert knowing.deliver(job) == 1
    knowing.aws.clock.forward(WAIT + 1)
    knowing.esp.script = [Response(404)]
    assert knowing.deliver(job) == 0
    assert knowing.message().status == "sent"
    assert [request.method for request in knowing.esp.requests] == ["POST", "GET", "GET", "POST"]
    assert knowing.message().trace[-1].reason == "the ESP's look-up does not know the earlier attempt"


def test_what_the_look_up_does_not_know_and_nobody_wants_is_skipped(knowing: World) -> None:
    job = in_doubt(knowing)
    knowing.ordered(job)
    knowing.aws.clock.forward(WAIT + 1)
    knowing.esp.script = [Response(404)]
    assert knowing.deliver(job) == 0
    assert knowing.why() == ("skipped", "skipped", "order placed")


def test_a_look_up_that_fails_tells_nothing(knowing: World) -> None:
    job = in_doubt(knowing)
    knowing.aws.clock.forward(WAIT + 1)
    knowing.esp.script = [CUT]
    assert knowing.deliver(job) == 0
    assert knowing.message().status == "parked"
