"""`POST /v1/events/{tracker}`: verifies, normalises, queues, and answers at once."""

from __future__ import annotations

from functools import cache

from botocore.exceptions import BotoCoreError, ClientError

from receive_event.bounds import Bounds
from receive_event.posting import Desk, take
from receive_event.settings import Settings
from shared import aws
from shared.catalogue import Definitions
from shared.clock import utc_now
from shared.errors import BadRequest, Misconfigured, Transient
from shared.observe import count, logger, observed
from shared.problem import problem
from shared.queues import Queue
from shared.secrets import Secrets
from shared.trackers import Tracker

_RETRY_AFTER = 5


@cache
def _desk() -> Desk:
    settings = Settings.from_environment()
    sqs = aws.client("sqs")
    secrets = Secrets(aws.client("secretsmanager"), settings.secret_prefix)
    definitions = Definitions(settings.definitions_table, aws.client("dynamodb"), utc_now, settings.definitions_ttl, secrets)

    def _counted(name: str, value: int, tracker: str) -> None:
        if value:
            count(name, settings.environment, value, tracker=tracker)

    return Desk(
        trackers=definitions.catalogue(Tracker),
        queue=Queue(sqs, settings.events_queue_url),
        parked=Queue(sqs, settings.events_parked_url),
        bounds=Bounds(settings.max_age_seconds, settings.max_ahead_seconds),
        clock=utc_now,
        count=_counted,
    )


def answered(event: dict[str, object], desk: Desk) -> dict[str, object]:
    """The answer to one post, whatever it is and whatever is down."""
    try:
        return take(event, desk)
    except BadRequest as error:
        logger.info("refused", status=error.status, reason=error.reason)
        return problem(error)
    except (Transient, Misconfigured, BotoCoreError, ClientError) as error:
        logger.exception("not taken", error=type(error).__name__)
        refusal = problem(BadRequest("the events could not be queued: post them again", status=503))
        refusal["headers"] = {"content-type": "application/problem+json", "retry-after": str(_RETRY_AFTER)}
        return refusal


@observed
def handle(event: dict[str, object], context: object) -> dict[str, object]:
    """Entry point."""
    return answered(event, _desk())
