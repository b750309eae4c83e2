"""`GET` and `POST /v1/unsubscribe/{message_id}/{profile_id}/{channel}/{signature}`: who wants no more gets no more."""

from __future__ import annotations

from functools import cache

from botocore.exceptions import BotoCoreError, ClientError

from shared import aws
from shared.clock import utc_now
from shared.errors import SendbridgeError
from shared.ledger import Ledger
from shared.links import read_links
from shared.observe import logger, observed
from shared.profiles import Profiles
from shared.queues import Queue
from shared.secrets import Secrets
from unsubscribe.opting_out import Desk, answer
from unsubscribe.page import LATER, page
from unsubscribe.settings import Settings

_DAY = 86_400


@cache
def _desk() -> Desk:
    settings, dynamodb = Settings.from_environment(), aws.client("dynamodb")
    return Desk(
        links=read_links(Secrets(aws.client("secretsmanager"), settings.secret_prefix), settings.base_url),
        profiles=Profiles(dynamodb, settings.profiles_table),
        ledger=Ledger(dynamodb, settings.messages_table, utc_now, settings.retention_days * _DAY),
        engagements=Queue(aws.client("sqs"), settings.engagements_queue_url),
        clock=utc_now,
    )


@observed
def handle(event: dict[str, object], context: object) -> dict[str, object]:
    """Entry point."""
    try:
        return answer(event, _desk())
    except (SendbridgeError, BotoCoreError, ClientError) as error:
        logger.warning("not taken", reason=type(error).__name__, exc_info=error)
        return page(503, LATER)
