from __future__ import annotations

import json
from pathlib import Path

import pytest

from send_message import handler
from send_message.settings import Settings
from shared.clock import utc_now
from shared.jobs import MessageJob
from tests.aws import Aws
from tests.sandbox.esp import EspSandbox
from tests.send_message.world import INTEGRATION, LEASE, World


class Context:
    """Lambda's context object, as far as it is used."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def settings(aws: Aws, origin: str) -> Settings:
    return Settings(
        environment="test",
        definitions_table=aws.table("definitions"),
        definitions_ttl=30,
        profiles_table=aws.table("profiles"),
        messages_table=aws.table("messages"),
        retention_days=400,
        state_table=aws.table("state"),
        mirror_bucket=aws.mirror_bucket(),
        secret_prefix=aws.secret_prefix,
        base_url="https://sendbridge.example",
        allowed_origins=(origin,),
        messages_queue_url=aws.queue("messages"),
        messages_parked_url=aws.queue("messages-parked"),
        engagements_queue_url=aws.queue("engagements"),
        lease_seconds=LEASE,
    )


@pytest.fixture
def deployed(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world that the handler finds through its environment."""
    world = World(aws)
    aws.secretsmanager.create_secret(Name=f"{aws.secret_prefix}/links", SecretString='{"key": "key"}')
    for cached in (handler._settings, handler._sqs, handler._http, handler._outbox):
        cached.cache_clear()
    return world


def test_the_handler_sends(deployed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with EspSandbox.run() as esp:
        for name, value in settings(deployed.aws, esp.url).to_environment().items():
            monkeypatch.setenv(name, value)
        deployed.define(
            "integration",
            INTEGRATION,
            url=f"{esp.url}/v1/messages",
            auth={"type": "none"},
            secret_headers={"Authorization": "Bearer " + esp.tokens.issue("postbird-client", 60)},
        )
        now = utc_now()
        job = deployed.job(valid_until=now.replace(year=now.year + 1))
        first = handler.handle(deployed.aws.delivery("messages", job), Context())
        handler._http().close()
        assert first == {"batchItemFailures": []}
        assert [m.message.subject for m in esp.inbox()] == ["Ada, your cart"]
    assert deployed.message().status == "sent"
    calls = deployed.message().trace[-1].data["aws_calls"]
    assert isinstance(calls, int)
    assert calls > 0
    for cached in (handler._settings, handler._sqs, handler._http, handler._outbox):
        cached.cache_clear()


@pytest.mark.parametrize("path", sorted(Path("events/send_message").glob("*.json")), ids=lambda path: path.stem)
def test_the_samples_are_message_jobs(path: Path) -> None:
    for record in json.loads(path.read_text())["Records"]:
        assert MessageJob.model_validate_json(record["body"]).message_id.startswith("m_")
