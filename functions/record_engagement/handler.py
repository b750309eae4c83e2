"""Queue `engagements`: writes the ledger, stops mail to dead addresses, and passes on what CRMs want to know."""

from __future__ import annotations

from functools import cache

from record_engagement.recording import Books, record_all
from record_engagement.settings import Settings
from shared import aws
from shared.catalogue import Definitions
from shared.claims import Claims
from shared.clock import utc_now
from shared.definitions import Destination
from shared.jobs import EngagementsJob
from shared.ledger import Ledger
from shared.links import read_links
from shared.observe import observed
from shared.profiles import Profiles
from shared.queues import Batch, Queue, urls_by_name
from shared.secrets import Secrets

_DAY = 86_400


@cache
def _settings() -> Settings:
    return Settings.from_environment()


@cache
def _books() -> Books:
    settings, dynamodb, sqs = _settings(), aws.client("dynamodb"), aws.client("sqs")
    definitions = Definitions(settings.definitions_table, dynamodb, utc_now, settings.definitions_ttl)
    return Books(
        Ledger(dynamodb, settings.messages_table, utc_now, settings.retention_days * _DAY),
        Claims(dynamodb, settings.messages_table, settings.retention_days * _DAY),
        Profiles(dynamodb, settings.profiles_table),
        definitions.catalogue(Destination, secrets=False),
        {name: Queue(sqs, url) for name, url in urls_by_name(settings.crm_queue_urls).items()},
        Queue(sqs, settings.engagements_parked_url),
        read_links(Secrets(aws.client("secretsmanager"), settings.secret_prefix), settings.base_url),
        utc_now,
        settings.environment,
    )


@observed
def handle(event: dict[str, object], context: object) -> dict[str, list[dict[str, str]]]:
    """Entry point."""
    books = _books()
    batch = Batch(
        event,
        EngagementsJob,
        client=aws.client("sqs"),
        queue_url=_settings().engagements_queue_url,
        parked=books.parked,
        clock=utc_now,
    )
    record_all(batch, books)
    return batch.response()
