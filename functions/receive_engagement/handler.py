"""`/v1/engagements/{integration}`: what an ESP tells of messages, by POST or GET, is verified, queued and answered at once."""

from __future__ import annotations

from functools import cache

from botocore.exceptions import BotoCoreError, ClientError

from receive_engagement.post import Intake, receive
from receive_engagement.settings import Settings
from shared import aws
from shared.catalogue import Definitions
from shared.clock import utc_now
from shared.definitions import Integration
from shared.errors import BadRequest, SendbridgeError
from shared.observe import logger, observed
from shared.problem import problem
from shared.queues import Queue
from shared.secrets import Secrets


@cache
def _intake() -> Intake:
    settings = Settings.from_environment()
    secrets = Secrets(aws.client("secretsmanager"), settings.secret_prefix)
    definitions = Definitions(settings.definitions_table, aws.client("dynamodb"), utc_now, settings.definitions_ttl, secrets)
    sqs = aws.client("sqs")
    return Intake(
        definitions.catalogue(Integration),
        Queue(sqs, settings.engagements_queue_url),
        Queue(sqs, settings.engagements_parked_url),
        utc_now,
    )


@observed
def handle(event: dict[str, object], context: object) -> dict[str, object]:
    """Entry point."""
    try:
        return receive(event, _intake())
    except BadRequest as error:
        logger.info("refused", status=error.status, reason=error.reason)
        return problem(error)
    except (SendbridgeError, BotoCoreError, ClientError) as error:
        logger.warning("not taken", reason=type(error).__name__, exc_info=error)
        return _later()


def _later() -> dict[str, object]:
    """Nothing was lost as long as the ESP posts it again.

    It is no 503: every vendor repeats what is answered with 429, but Brevo drops what is answered with 5xx ("Retry mechanism",
    read 2026-11-21).
    """
    made = problem(BadRequest("the post cannot be taken now, please repeat it", status=429))
    return {**made, "headers": {"content-type": "application/problem+json", "retry-after": "10"}}
