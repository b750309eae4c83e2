"""On a schedule: which trackers are silent, and what journals have that webhooks missed."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from shared import aws
from shared.bounds import Bounds
from shared.catalogue import Definitions
from shared.clock import iso, utc_now
from shared.errors import Misconfigured
from shared.heard import Heard
from shared.http import Http
from shared.observe import count, logger, observed
from shared.queues import Queue
from shared.secrets import Secrets
from shared.state import Leases
from shared.tokens import Tokens
from shared.trackers import Tracker
from watch_trackers.journals import Caught, Desk, catch_up
from watch_trackers.positions import Positions
from watch_trackers.settings import Settings
from watch_trackers.silence import silent

_AT_ONCE = 8


class _App:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._dynamodb, self._sqs = aws.client("dynamodb"), aws.client("sqs")
        secrets = Secrets(aws.client("secretsmanager"), settings.secret_prefix)
        self._leases = Leases(self._dynamodb, settings.state_table, utc_now)
        self._http = Http(settings.allowed_origins)
        self._tokens = Tokens(secrets, self._leases, self._http.send, utc_now)
        self._heard = Heard(self._dynamodb, settings.state_table, utc_now)
        definitions = Definitions(settings.definitions_table, self._dynamodb, utc_now, settings.definitions_ttl, secrets)
        self._trackers = definitions.catalogue(Tracker)

    def listen(self) -> None:
        """Counts the silent ones, and says which they are."""
        trackers = [one.definition for one in self._trackers.all().values()]
        found = silent(trackers, self._heard, utc_now())
        if any(one.silence_seconds for one in trackers):
            count("TrackersSilent", self._settings.environment, len(found))
        for name, since in found.items():
            count("TrackersSilent", self._settings.environment, tracker=name)
            logger.warning("tracker silent", tracker=name, since=iso(since))

    def read(self, monotonic: Callable[[], float]) -> None:
        """Reads on in all journals at once: a slow one keeps no other waiting."""
        desk = self._desk(monotonic)
        journals = [(one.definition, one.definition.journal) for one in self._trackers.all().values()]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            reading = [pool.submit(catch_up, tracker, journal, desk) for tracker, journal in journals if journal is not None]
        for one in reading:
            self._report(one.result())

    def _desk(self, monotonic: Callable[[], float]) -> Desk:
        settings = self._settings
        ends = monotonic() + settings.timeout_seconds / 2
        return Desk(
            positions=Positions(self._dynamodb, settings.state_table, utc_now),
            leases=self._leases,
            tokens=self._tokens,
            send=self._http.send,
            queue=Queue(self._sqs, settings.events_queue_url),
            parked=Queue(self._sqs, settings.events_parked_url),
            bounds=Bounds(settings.max_age_seconds, settings.max_ahead_seconds),
            clock=utc_now,
            more=lambda: monotonic() < ends,
            patience=min(10, settings.timeout_seconds / 3),
            lease_seconds=settings.timeout_seconds,
        )

    def _report(self, caught: Caught) -> None:
        figures = {"EventsFromJournal": caught.taken, "EventsRejected": caught.rejected, "JournalExpired": caught.expired}
        for name, value in figures.items():
            if value:
                count(name, self._settings.environment, value, tracker=caught.tracker)
        if isinstance(caught.problem, Misconfigured):
            count("Misconfigured", self._settings.environment)
        if caught.problem is not None:
            logger.warning("journal not read", tracker=caught.tracker, reason=caught.problem.reason)


@cache
def _app() -> _App:
    return _App(Settings.from_environment())


@observed
def handle(event: dict[str, object], context: object) -> None:
    """Entry point; the schedule's event says nothing."""
    app = _app()
    app.listen()
    app.read(time.monotonic)
