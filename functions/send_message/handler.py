"""Queue `messages`: the last checks, the content, and the post to the ESP."""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING, Protocol, cast

from send_message.outbox import Outbox
from send_message.sending import send_all
from send_message.settings import Settings
from send_message.slot_table import SlotTable
from shared import aws
from shared.catalogue import Definitions
from shared.claims import Claims
from shared.clock import Clock, utc_now
from shared.definitions import Integration, Policy, Template
from shared.http import Http
from shared.jobs import MessageJob
from shared.ledger import Ledger
from shared.limits import Limits
from shared.links import read_links
from shared.mirrors import Mirrors
from shared.observe import observed
from shared.profiles import Profiles
from shared.queues import Batch, Queue
from shared.reports import SHARDS, Reports
from shared.secrets import Secrets
from shared.state import Circuits, Leases
from shared.tokens import Send, Tokens
from shared.triggers import Trigger

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_DAY = 86_400


class Context(Protocol):
    """What is used of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Until Lambda ends the invocation."""


@cache
def _settings() -> Settings:
    return Settings.from_environment()


@cache
def _http() -> Http:
    return Http(_settings().allowed_origins)


@cache
def _sqs() -> SQSClient:
    return aws.client("sqs")


@cache
def _outbox() -> Outbox:
    return compose(_settings(), _sqs(), _http().send, utc_now)


def compose(settings: Settings, sqs: SQSClient, http_send: Send, clock: Clock) -> Outbox:
    """All that sending works with, of the deployment that the settings describe."""
    dynamodb, state = aws.client("dynamodb"), settings.state_table
    secrets = Secrets(aws.client("secretsmanager"), settings.secret_prefix)
    definitions = Definitions(settings.definitions_table, dynamodb, clock, settings.definitions_ttl, secrets)
    return Outbox(
        triggers=definitions.catalogue(Trigger),
        templates=definitions.catalogue(Template),
        integrations=definitions.catalogue(Integration),
        policies=definitions.catalogue(Policy),
        profiles=Profiles(dynamodb, settings.profiles_table),
        slots=SlotTable(dynamodb, settings.profiles_table),
        ledger=Ledger(dynamodb, settings.messages_table, clock, settings.retention_days * _DAY),
        claims=Claims(dynamodb, settings.messages_table, settings.retention_days * _DAY),
        mirrors=Mirrors(aws.client("s3"), settings.mirror_bucket),
        links=read_links(secrets, settings.base_url),
        circuits=Circuits(dynamodb, state, clock, random.Random()),
        limits=Limits(dynamodb, state, clock, random.Random()),
        tokens=Tokens(secrets, Leases(dynamodb, state, clock), http_send, clock),
        http_send=http_send,
        engagements=Queue(sqs, settings.engagements_queue_url),
        reports=Reports(dynamodb, settings.messages_table, settings.retention_days * _DAY, random.randrange(SHARDS)),
        clock=clock,
        environment=settings.environment,
        lease_seconds=settings.lease_seconds,
        concurrency=settings.concurrency,
    )


@observed
def handle(event: dict[str, object], context: object) -> dict[str, list[dict[str, str]]]:
    """Entry point."""
    settings, sqs = _settings(), _sqs()
    batch = Batch(
        event,
        MessageJob,
        client=sqs,
        queue_url=settings.messages_queue_url,
        parked=Queue(sqs, settings.messages_parked_url),
        clock=utc_now,
    )
    send_all(batch, _outbox(), lambda: cast("Context", context).get_remaining_time_in_millis() / 1000)
    return batch.response()
