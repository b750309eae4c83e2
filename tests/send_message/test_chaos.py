"""An ESP that fails in every way, and functions that die: at the end the ESP has what the ledger says, and nobody got two."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random

import pytest
from pydantic import JsonValue

from shared.jobs import MessageJob
from shared.ledger_rows import Message
from tests.aws import Aws
from tests.sandbox.control import Sandbox
from tests.sandbox.esp import EspSandbox, EspSettings
from tests.sandbox.esps.postmark import PostmarkSandbox
from tests.sandbox.faults import Fault
from tests.send_message.chaos import Chaos
from tests.send_message.test_handler import settings
from tests.send_message.world import INTEGRATION, World

pytestmark = pytest.mark.slow

MESSAGES = 120
ROUNDS = 24
"""With faults; then it is quiet."""
MODES = ("429", "500", "down", "slow", "cut_before", "cut_after", "garbage", "revoked")
LATE = 0.6
"""Seconds after which an ESP that is slow takes a message, twice as long as we wait for it."""
UNKNOWN = "outcome unknown"


@dataclass
class Storm:
    """A deployment in which everything goes wrong for a while."""

    world: World
    esp: Sandbox
    chaos: Chaos
    jobs: Sequence[MessageJob]
    revoke: Callable[[], object] = lambda: None

    def blow(self) -> None:
        """Has it send all messages under faults, then until none is left."""
        chance = Random(self.chaos.seed)
        for number in range(ROUNDS):
            for job in self.jobs[number::ROUNDS]:
                self.chaos.add(job)
            self._fail(MODES[number % len(MODES)], chance)
            if number % 5 == 3:
                self.revoke()
            # So long that no circuit stays open: each fault is to be met.
            self.turn(chance.uniform(5, 60) if number % 2 else 310)
        self.esp.faults.clear()
        self.chaos.calm()
        for _ in range(60):
            if not self.chaos.waits:
                return
            self.turn(60)
        left = self.ledger().values()
        raise AssertionError([(one.status, one.trace[-1].what, one.trace[-1].reason) for one in left if one.status != "sent"])

    def _fail(self, mode: str, chance: Random) -> None:
        elsewhere = chance.random() < 0.2 and mode not in ("cut_after", "slow")
        target = chance.choice(sorted(self.esp.targets)) if elsewhere else self._api()
        values = {"times": chance.randint(1, 4), "after": chance.randint(0, 2), "retry_after": chance.randint(1, 30)}
        self.esp.faults.clear()
        self.esp.faults.add(Fault.model_validate({"target": target, "mode": mode, "seconds": LATE, **values}))

    def _api(self) -> str:
        return next(target for target in sorted(self.esp.targets) if target != "token")

    def turn(self, seconds: float) -> None:
        """Has all functions work off what is due, and lets time go by."""
        self.chaos.round()
        while any(traffic.in_flight for traffic in self.esp.faults.traffic.values()):
            time.sleep(0.02)
        self.world.aws.clock.forward(seconds)
        self.esp.clock.advance(seconds)

    def ledger(self) -> Mapping[str, Message]:
        """What the ledger says of each message."""
        found = self.world.ledger.read_all(f"m_{number}" for number in range(MESSAGES))
        assert len(found) == MESSAGES, "no message is lost"
        return found

    def met(self) -> Counter[str]:
        """The faults that calls really met."""
        return Counter(call.fault for call in self.esp.faults.calls if call.fault)


@contextlib.contextmanager
def storm(aws: Aws, esp: Sandbox, integration: Mapping[str, JsonValue], seed: int) -> Iterator[Storm]:
    """A deployment with this integration, and messages to as many people."""
    world = World(aws)
    aws.secretsmanager.create_secret(Name=f"{aws.secret_prefix}/links", SecretString='{"key": "key"}')
    world.define("integration", {**INTEGRATION, "timeout_seconds": LATE / 2, "unknown_wait_seconds": 60, **integration})
    jobs = []
    for number in range(MESSAGES):
        email = f"p{number}@example.com"
        person = world.profiles.upsert([("user_id", str(number))], {"email": email, "first_name": "P"}, aws.clock())
        ends = aws.clock() + timedelta(days=1)
        jobs.append(world.job(message_id=f"m_{number}", profile_id=person, visit_id=f"v{number}", valid_until=ends))
    chaos = Chaos(aws, settings(aws, esp.url), seed)
    yield Storm(world, esp, chaos, jobs)
    chaos.close()


def postbird(esp: EspSandbox, **changes: JsonValue) -> Mapping[str, JsonValue]:
    auth: dict[str, JsonValue] = {
        "type": "oauth2",
        "token_url": f"{esp.url}/oauth/token",
        "client_id": "postbird-client",
        "client_secret": "postbird-secret",
    }
    return {"url": f"{esp.url}/v1/messages", "auth": auth, **changes}


def postmark(esp: PostmarkSandbox) -> Mapping[str, JsonValue]:
    return {
        "connector": "postmark",
        "url": f"{esp.url}/email/batch",
        "secret_headers": {"X-Postmark-Server-Token": esp.settings.token},
        "idempotency_header": "",
        "message_id_path": "MessageID",
        "body": {
            "From": "shop@example.com",
            "To": "{{ to }}",
            "Subject": "{{ message.subject }}",
            "HtmlBody": "{{ message.html }}",
            "Metadata": {"message_id": "{{ message.id }}"},
        },
    }


def taken_by(esp: EspSandbox) -> dict[str, list[str]]:
    """The ESP's own ids of each of our messages that it took."""
    taken: dict[str, list[str]] = {}
    for accepted in esp.inbox():
        taken.setdefault(accepted.message.metadata["message_id"], []).append(accepted.id)
    return taken


def all_are_sent_once(played: Storm, taken: Mapping[str, Sequence[str]]) -> None:
    ledger = played.ledger()
    assert Counter(message.status for message in ledger.values()) == {"sent": MESSAGES}
    assert {message_id: [message.esp_message_id] for message_id, message in ledger.items()} == taken
    assert played.chaos.sqs.parked == {}
    assert set(played.chaos.sqs.told) == set(ledger)


@pytest.mark.parametrize("seed", range(2))
def test_an_esp_with_idempotency_keys_has_each_message_once(aws: Aws, seed: int) -> None:
    with EspSandbox.run(EspSettings(token_seconds=300)) as esp, storm(aws, esp, postbird(esp), seed) as played:
        played.revoke = esp.tokens.revoke
        played.blow()
        all_are_sent_once(played, taken_by(esp))
        assert len(played.met()) >= 6
        assert played.chaos.killed >= 3


@pytest.mark.parametrize("seed", range(2))
def test_an_esp_without_has_none_twice_and_what_nobody_knows_is_parked_as_that(aws: Aws, seed: int) -> None:
    account = EspSettings(token_seconds=300, honours_idempotency=False)
    with EspSandbox.run(account) as esp, storm(aws, esp, postbird(esp, idempotency_header=""), seed) as played:
        played.revoke = esp.tokens.revoke
        played.blow()
        ledger, taken, parked = played.ledger(), taken_by(esp), played.chaos.sqs.parked
        assert {message_id for message_id, ids in taken.items() if len(ids) > 1} == set()
        sent = {message_id: [message.esp_message_id] for message_id, message in ledger.items() if message.status == "sent"}
        assert sent == {message_id: ids for message_id, ids in taken.items() if message_id in sent}
        assert {message_id for message_id, message in ledger.items() if message.status == "parked"} == set(parked)
        assert len(sent) + len(parked) == MESSAGES
        assert all(UNKNOWN in reason for reason in parked.values())
        assert set(taken) <= set(sent) | set(parked)
        assert parked, "an ESP that was cut off left something in doubt"


@pytest.mark.parametrize("seed", range(2))
def test_an_esp_that_takes_batches_and_can_be_asked_has_each_message_once(aws: Aws, seed: int) -> None:
    with PostmarkSandbox.run() as esp, storm(aws, esp, postmark(esp), seed) as played:
        played.blow()
        taken: dict[str, list[str]] = {}
        for one in esp.taken:
            taken.setdefault(one.ours, []).append(one.id)
        all_are_sent_once(played, taken)
        assert len(played.met()) >= 6


def test_a_limit_is_kept_by_all_functions_together(aws: Aws) -> None:
    account = EspSettings(token_seconds=300, rate_limit=10, rate_window_seconds=1)
    limit: JsonValue = {"messages": 10, "seconds": 1}
    with EspSandbox.run(account) as esp, storm(aws, esp, postbird(esp, limit=limit), 1) as played:
        played.chaos.deadly = 0.03
        for job in played.jobs:
            played.chaos.add(job)
        rounds = 0
        while played.chaos.waits:
            rounds += 1
            assert rounds < 200
            played.turn(1.3)
        all_are_sent_once(played, taken_by(esp))
        assert [refused for refused in esp.refused if refused["status"] == 429] == []
        assert played.chaos.killed
