"""Killed anywhere, delivered again: the ESP has exactly one message, and the ledger knows it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
from pydantic import JsonValue

from shared.http import Http
from tests.aws import Aws
from tests.crash import Executioner, Killed
from tests.sandbox.esp import EspSandbox, EspSettings
from tests.sandbox.faults import Fault
from tests.send_message.world import INTEGRATION, LEASE, TEMPLATE, World

pytestmark = pytest.mark.slow

MOMENTS = 60


@pytest.fixture(scope="module")
def esp() -> Iterator[EspSandbox]:
    with EspSandbox.run(EspSettings(token_seconds=60)) as sandbox:
        yield sandbox


def auth(esp: EspSandbox) -> dict[str, JsonValue]:
    return {
        "type": "oauth2",
        "token_url": f"{esp.url}/oauth/token",
        "client_id": "postbird-client",
        "client_secret": "postbird-secret",
    }


@pytest.fixture
def world(aws: Aws, esp: EspSandbox) -> Iterator[World]:
    esp.control("reset")
    http = Http((esp.url,))
    made = World(aws, http.send)
    made.define("integration", INTEGRATION, url=f"{esp.url}/v1/messages", auth=auth(esp))
    yield made
    http.close()


def killed_once(world: World, at: int | None, message_id: str, send: Http) -> Executioner:
    """One delivery to a new process, killed at this moment."""
    executioner = Executioner(at)
    clients = (world.aws.dynamodb, world.aws.s3, world.aws.sqs, world.aws.secretsmanager)
    outbox = world.process(executioner.sending(send.send))
    world.queue = f"messages-{message_id}"
    job = world.job(message_id=message_id)
    for client in clients:
        executioner.watch(client)
    with contextlib.suppress(Killed):
        world.deliver(job, outbox=outbox)
    for client in clients:
        executioner.unwatch(client)
    return executioner


def test_killed_at_any_moment_a_message_goes_out_once(world: World, esp: EspSandbox) -> None:
    http = Http((esp.url,))
    executioner = None
    for at in range(MOMENTS):
        message_id = f"m_{at}"
        executioner = killed_once(world, at, message_id, http)
        # Meanwhile everything that the message is made of changes.
        world.define("template", TEMPLATE, subject=f"Edited {at}")
        world.person(first_name=f"Ada {at}")
        world.aws.clock.forward(LEASE + 1)
        job = world.job(message_id=message_id)
        assert world.deliver(job, outbox=world.process(http.send)) == 0
        sent = [m for m in esp.inbox() if m.message.metadata["message_id"] == message_id]
        assert len(sent) == 1, f"killed at {at}"
        assert world.message(message_id).status == "sent"
        assert world.message(message_id).esp_message_id == sent[0].id
        assert len({(told.message_id, told.id) for told in world.engagements()}) == 1
        if executioner.calls <= at:
            break
    assert executioner is not None
    assert 20 < executioner.calls < MOMENTS, "the last round was not killed, so every moment was tried"
    http.close()


def test_killed_at_any_moment_a_message_to_an_esp_without_a_key_goes_out_at_most_once_and_every_doubt_is_seen(
    world: World, esp: EspSandbox
) -> None:
    world.define("integration", INTEGRATION, url=f"{esp.url}/v1/messages", auth=auth(esp), idempotency_header="")
    http = Http((esp.url,))
    ends: list[tuple[str, int]] = []
    for at in range(MOMENTS):
        message_id = f"m_{at}"
        executioner = killed_once(world, at, message_id, http)
        world.aws.clock.forward(LEASE + 1)
        job = world.job(message_id=message_id)
        while world.deliver(job, outbox=world.process(http.send), receives=2):
            assert world.message(message_id).status == "unknown"
            world.aws.clock.forward(900)
        status, _, reason = world.why(message_id)
        posts = len([m for m in esp.inbox() if m.message.metadata["message_id"] == message_id])
        assert (status, posts) == ("sent", 1) or (status, reason[:15], world.parked()) == ("parked", "outcome unknown", [reason])
        ends.append((status, posts))
        if executioner.calls <= at:
            break
    assert set(ends) == {("sent", 1), ("parked", 0), ("parked", 1)}
    http.close()


@pytest.mark.parametrize("mode", ["cut_before", "cut_after", "garbage", "500", "429", "down", "slow", "revoked"])
def test_whatever_the_esp_does_a_message_goes_out_once(world: World, esp: EspSandbox, mode: str) -> None:
    world.define("integration", INTEGRATION, url=f"{esp.url}/v1/messages", timeout_seconds=0.5, auth=auth(esp))
    esp.faults.add(Fault.model_validate({"target": "messages", "mode": mode, "times": 2, "seconds": 1.5}))
    job = world.job()
    rounds = 0
    while world.deliver(job):
        rounds += 1
        assert rounds < 8
        world.define("template", TEMPLATE, subject=f"Edited {rounds}")
        world.aws.clock.forward(LEASE + 1)
    time.sleep(1.6 if mode == "slow" else 0)  # the ESP is still busy with what we have stopped waiting for
    assert len(esp.inbox()) == 1
    assert world.message().status == "sent"
    assert world.message().esp_message_id == esp.inbox()[0].id
    assert world.parked() == []


@pytest.mark.parametrize("mode", ["down", "500", "429", "cut_before", "garbage"])
def test_while_no_token_can_be_had_messages_wait(world: World, esp: EspSandbox, mode: str) -> None:
    esp.faults.add(Fault.model_validate({"target": "token", "mode": mode, "times": 1}))
    job = world.job()
    assert world.deliver(job) == 1
    assert esp.inbox() == []
    assert world.message().status == "waiting"
    world.aws.clock.forward(LEASE + 1)
    assert world.deliver(job) == 0
    assert len(esp.inbox()) == 1
    assert {call.target for call in esp.faults.calls} == {"token", "messages"}


def test_wrong_credentials_open_the_circuit(world: World, esp: EspSandbox) -> None:
    wrong: dict[str, JsonValue] = {**auth(esp), "client_secret": "wrong"}
    world.define("integration", INTEGRATION, url=f"{esp.url}/v1/messages", auth=wrong)
    assert world.deliver(world.job(), world.job(message_id="m_2")) == 2
    assert [call.target for call in esp.faults.calls] == ["token"]
    statuses = sorted(str(world.ledger.read(m) and world.message(m).status) for m in ("m_1", "m_2"))
    assert statuses == ["waiting", "waiting"]


def test_what_a_batch_decides_anew_does_not_overwrite_what_it_kept_before(world: World, esp: EspSandbox) -> None:
    esp.faults.add(Fault.model_validate({"target": "token", "mode": "down", "times": 1}))
    early, late = (world.job(message_id=f"m_{name}", context={"cart": [{"name": name}]}) for name in ("early", "late"))
    assert world.deliver(early) == 1
    world.aws.clock.forward(LEASE + 1)
    esp.faults.add(Fault.model_validate({"target": "messages", "mode": "cut_before", "times": 1}))
    # As if it came for the first time, so that its row is met only when it is claimed: after the other was posted.
    world.queue = "messages-again"
    assert world.deliver(late, early) == 1
    world.aws.clock.forward(LEASE + 1)
    world.queue = "messages-once-more"
    assert world.deliver(late) == 0
    assert sorted((m.message.metadata["message_id"], m.message.text) for m in esp.inbox()) == [
        ("m_early", "early"),
        ("m_late", "late"),
    ]
