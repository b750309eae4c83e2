"""One integration, and posts signed as its ESP signs them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest
from pydantic import JsonValue

from receive_engagement import handler
from receive_engagement.settings import Settings
from shared.clock import utc_now
from shared.jobs import Engagement, EngagementsJob
from tests.aws import Aws

SAMPLE = Path(__file__).parents[2] / "events" / "receive_engagement" / "batch_with_a_bad_event.json"
SECRET = "whsec_" + base64.b64encode(b"a sample key, never a real one!!").decode()
INTEGRATION: dict[str, object] = {
    "name": "postbird",
    "url": "https://api.postbird.example.com/v1/messages",
    "body": {"to": "{{ profile.email }}"},
    "webhook": {
        "secrets": [SECRET],
        "events": "events",
        "types": {f"message.{kind}": kind for kind in ("delivered", "opened", "clicked", "bounced")},
    },
}


def sample() -> dict[str, object]:
    """The sample post."""
    event: dict[str, object] = json.loads(SAMPLE.read_text())
    return event


def post(body: bytes, *, at: int | None = None, secret: str = SECRET, name: str = "postbird") -> dict[str, object]:
    """A signed post, as API Gateway hands it over."""
    time = at or int(utc_now().timestamp())
    signed = f"msg_1.{time}.".encode() + body
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    return {
        "headers": {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(time),
            "webhook-signature": "v1," + base64.b64encode(mac).decode(),
        },
        "pathParameters": {"integration": name},
        "isBase64Encoded": True,
        "body": base64.b64encode(body).decode(),
    }


def events(*changes: Mapping[str, object]) -> bytes:
    """A body with one event for each of these."""
    base = {"type": "message.opened", "time": "2026-11-21T11:58:00Z", "metadata": {"message_id": "m_ada"}}
    return json.dumps({"events": [{"id": f"evt_{n}", **base, **change} for n, change in enumerate(changes)]}).encode()


def handle(event: dict[str, object]) -> Mapping[str, object]:
    """The function's answer."""
    return cast("Mapping[str, object]", handler.handle(event, None))


class World:
    """The deployed function."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws

    def ask(self, event: dict[str, object]) -> tuple[int, dict[str, JsonValue]]:
        """Status and JSON body of the answer."""
        answer = handle(event)
        body: dict[str, JsonValue] = json.loads(str(answer["body"]))
        return int(str(answer["statusCode"])), body

    def jobs(self) -> list[EngagementsJob]:
        """Takes what is queued."""
        return [EngagementsJob.model_validate_json(body) for body in self.aws.received("engagements")]

    def engagements(self) -> list[Engagement]:
        """Takes what is queued."""
        return [engagement for job in self.jobs() for engagement in job.engagements]

    def parked(self) -> list[tuple[str, str]]:
        """Takes what is parked: reason and body."""
        return [
            (message["MessageAttributes"]["reason"]["StringValue"], message["Body"])
            for message in self.aws.received_messages("engagements-parked")
        ]


@pytest.fixture
def settings(aws: Aws) -> Settings:
    return Settings(
        environment="test",
        definitions_table=aws.table("definitions"),
        definitions_ttl=0,
        secret_prefix=aws.secret_prefix,
        engagements_queue_url=aws.queue("engagements"),
        engagements_parked_url=aws.queue("engagements-parked"),
    )


@pytest.fixture
def world(aws: Aws, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    aws.define("integration", **INTEGRATION)
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    handler._intake.cache_clear()
    yield World(aws)
    handler._intake.cache_clear()
