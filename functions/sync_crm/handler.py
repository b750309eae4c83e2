"""Queues `crm-{destination}`: engagements onto the timelines of a CRM's contacts."""

from __future__ import annotations

import random
from functools import cache

from connectors.registry import CRMS
from shared import aws
from shared.catalogue import Definitions
from shared.clock import utc_now
from shared.definitions import Destination
from shared.errors import Misconfigured
from shared.http import Http
from shared.jobs import CrmJob
from shared.ledger import Ledger
from shared.observe import count, observed
from shared.profiles import Profiles
from shared.queues import Batch, Queue, urls_by_name
from shared.secrets import Secrets
from shared.state import Circuits, Leases
from shared.tokens import Tokens
from sync_crm.contacts import Finder
from sync_crm.settings import Settings
from sync_crm.timeline import Crm, synchronise

_DAY = 86_400


class _App:
    def __init__(self, settings: Settings) -> None:
        self.environment = settings.environment
        self._dynamodb, self._sqs = aws.client("dynamodb"), aws.client("sqs")
        secrets = Secrets(aws.client("secretsmanager"), settings.secret_prefix)
        definitions = Definitions(settings.definitions_table, self._dynamodb, utc_now, settings.definitions_ttl, secrets)
        self._destinations = definitions.catalogue(Destination)
        self._http = Http(settings.allowed_origins)
        self._tokens = Tokens(secrets, Leases(self._dynamodb, settings.state_table, utc_now), self._http.send, utc_now)
        self._profiles = Profiles(self._dynamodb, settings.profiles_table)
        self._ledger = Ledger(self._dynamodb, settings.messages_table, utc_now, settings.retention_days * _DAY)
        self._circuits = Circuits(self._dynamodb, settings.state_table, utc_now, random.Random())
        self._queues, self._parked = urls_by_name(settings.crm_queue_urls), urls_by_name(settings.crm_parked_urls)
        self._crms: dict[tuple[str, int], Crm] = {}

    def destination_of(self, event: dict[str, object]) -> str:
        """The destination whose queue a batch came from."""
        arn = event["Records"][0]["eventSourceARN"]  # type: ignore[index]  # the event's shape is AWS's promise
        queue = arn.rpartition(":")[2]
        return next(name for name, url in self._queues.items() if url.rpartition("/")[2] == queue)

    def batch(self, event: dict[str, object], destination: str) -> Batch[CrmJob]:
        """The batch's jobs."""
        return Batch(
            event,
            CrmJob,
            client=self._sqs,
            queue_url=self._queues[destination],
            parked=Queue(self._sqs, self._parked[destination]),
            clock=utc_now,
        )

    def crm(self, name: str) -> Crm:
        """The destination, with what was learnt of it as long as its definition stays the same.

        Raises Misconfigured if there is no such destination.
        """
        found = self._destinations.require(name)
        if (name, found.version) not in self._crms:
            self._crms[name, found.version] = self._compose(found.definition)
        return self._crms[name, found.version]

    def _compose(self, destination: Destination) -> Crm:
        connector = CRMS.load(destination.connector)(destination, utc_now)
        send = self._tokens.authorised("destination", destination.name, destination.auth, self._http.send)
        finder = Finder(destination.name, connector, send, self._profiles)
        return Crm(finder, self._circuits, self._ledger, utc_now, self.environment)


@cache
def _app() -> _App:
    return _App(Settings.from_environment())


@observed
def handle(event: dict[str, object], context: object) -> dict[str, list[dict[str, str]]]:
    """Entry point."""
    app = _app()
    name = app.destination_of(event)
    batch = app.batch(event, name)
    try:
        crm = app.crm(name)
    except Misconfigured as error:
        count("Misconfigured", app.environment)
        for record in batch.records:
            batch.retry(record, error)
    else:
        synchronise(batch, crm)
    return batch.response()
