"""`POST /v1/events/{tracker}`: verifies, normalises, queues, and answers at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache, partial
from typing import cast

from botocore.exceptions import BotoCoreError, ClientError

from receive_event.browsers import cors
from receive_event.fetching import Fetcher, elsewhere
from receive_event.posting import Desk, take, tracker_of
from receive_event.settings import Settings
from shared import aws
from shared.bounds import Bounds
from shared.catalogue import Definitions
from shared.clock import utc_now
from shared.errors import BadRequest, Misconfigured, Transient
from shared.exchange import Request, Response
from shared.heard import Heard
from shared.limits import Limits
from shared.observe import count, logger, observed
from shared.problem import headers_of, problem
from shared.queues import Queue
from shared.secrets import Secrets
from shared.trackers import Tracker

_LATER = (("retry-after", "5"),)


@cache
def _desk() -> Desk:
    settings = Settings.from_environment()
    sqs = aws.client("sqs")
    secrets = Secrets(aws.client("secretsmanager"), settings.secret_prefix)
    dynamodb = aws.client("dynamodb")
    definitions = Definitions(settings.definitions_table, dynamodb, utc_now, settings.definitions_ttl, secrets)

    def _counted(name: str, value: int, tracker: str) -> None:
        if value:
            count(name, settings.environment, value, tracker=tracker)

    return Desk(
        tracker=definitions.catalogue(Tracker).get,
        queue=Queue(sqs, settings.events_queue_url),
        parked=Queue(sqs, settings.events_parked_url),
        bounds=Bounds(settings.max_age_seconds, settings.max_ahead_seconds),
        clock=utc_now,
        grant=Limits(dynamodb, settings.state_table, utc_now, random.Random()).take,
        fetch=Fetcher(partial(_sender, settings), utc_now).run,
        heard=Heard(dynamodb, settings.state_table, utc_now).of,
        count=_counted,
    )


def _sender(settings: Settings) -> Callable[[Request], Response]:
    # Imported here, as few trackers have anything fetched.
    from shared.http import Http  # noqa: PLC0415

    return elsewhere(Http(settings.allowed_origins).send, settings.stand_ins)


def answered(event: dict[str, object], desk: Desk) -> dict[str, object]:
    """The answer to one request, whatever it is and whatever is down."""
    for_browsers: dict[str, str] = {}
    try:
        tracker = tracker_of(event, desk)
        for_browsers = cors(tracker, headers_of(event))
        answer = take(event, tracker, desk)
    except BadRequest as error:
        logger.info("refused", status=error.status, reason=error.reason)
        answer = problem(error)
    except (Transient, Misconfigured, BotoCoreError, ClientError) as error:
        logger.exception("not taken", error=type(error).__name__)
        answer = problem(BadRequest("the events could not be queued: post them again", status=503, headers=_LATER))
    answer["headers"] = {**cast("dict[str, str]", answer["headers"]), **for_browsers}
    return answer


@observed
def handle(event: dict[str, object], context: object) -> dict[str, object]:
    """Entry point."""
    return answered(event, _desk())
