"""`GET /v1/mirror/{message_id}/{signature}`: shows what was sent."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from shared import aws
from shared.clock import utc_now
from shared.ledger import Ledger
from shared.links import read_links
from shared.mirrors import Mirrors
from shared.observe import observed
from shared.secrets import Secrets
from show_mirror.page import Gallery, show
from show_mirror.settings import Settings

_DAY = 86_400


@cache
def _gallery() -> Gallery:
    settings = Settings.from_environment()
    secrets = Secrets(aws.client("secretsmanager"), settings.secret_prefix)
    ledger = Ledger(aws.client("dynamodb"), settings.messages_table, utc_now, settings.retention_days * _DAY)
    return Gallery(
        read_links(secrets, settings.base_url),
        ledger,
        Mirrors(aws.client("s3"), settings.mirror_bucket),
        timedelta(days=settings.mirror_days),
        utc_now,
    )


@observed
def handle(event: dict[str, object], context: object) -> dict[str, object]:
    """Entry point."""
    return show(event, _gallery())
