"""Keeps visits, fires timers. Invoked by the queues `events` and `timers`, and every minute by a schedule."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from match_triggers.arrivals import arrive
from match_triggers.desk import Desk
from match_triggers.firing import fire
from match_triggers.recording import Recorder
from match_triggers.settings import Settings
from match_triggers.sweeping import sweep
from match_triggers.versions import Versions
from shared import aws
from shared.catalogue import Definitions
from shared.clock import Clock, utc_now
from shared.entities import Entities
from shared.jobs import EventsJob, TimerJob
from shared.ledger import Ledger
from shared.observe import count, logger, observed
from shared.profiles import Profiles
from shared.queues import Batch, Queue
from shared.recordings import Recordings
from shared.reports import SHARDS, Reports
from shared.triggers import Trigger
from shared.visits import Visits

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

_DAY = 86_400

B = TypeVar("B", EventsJob, TimerJob)


@dataclass(frozen=True)
class App:
    """The function with its collaborators."""

    settings: Settings
    sqs: SQSClient
    desk: Desk
    reports: Reports
    recorder: Recorder | None
    """Keeps what arrived; None where nothing of it is kept."""

    def invoked(self, event: dict[str, object]) -> dict[str, object]:
        """Does what the event asks for. What comes from no queue comes from the schedule."""
        records = event.get("Records")
        if not isinstance(records, list):
            logger.info("swept", visits=sweep(self.desk, self.settings.sweep_limit))
            return {}
        settings = self.settings
        if records and _queue_name(records[0]["eventSourceARN"], ":") == _queue_name(settings.timers_queue_url, "/"):
            return {**self._worked_off(event, TimerJob, settings.timers_queue_url, settings.timers_parked_url, fire).response()}
        batch = self._worked_off(event, EventsJob, settings.events_queue_url, settings.events_parked_url, arrive)
        if self.recorder is not None:
            self.recorder.record([event for record in batch.done() for event in record.body.events])
        return {**batch.response()}

    def _worked_off(
        self,
        event: dict[str, object],
        body: type[B],
        queue_url: str,
        parked_url: str,
        work: Callable[[Batch[B], Desk], None],
    ) -> Batch[B]:
        parked = Queue(self.sqs, parked_url)
        batch = Batch(event, body, client=self.sqs, queue_url=queue_url, parked=parked, clock=self.desk.clock)
        try:
            work(batch, self.desk)
        except Exception as error:  # what the whole batch needs: without this it would come back only after its visibility
            for record in batch.records:
                batch.settle(record, error)
        self.reports.add(self.desk.counts.taken())
        return batch


def _queue_name(address: str, separator: str) -> str:
    return address.rsplit(separator, 1)[-1]


def compose(settings: Settings, dynamodb: DynamoDBClient, sqs: SQSClient, clock: Clock) -> App:
    """The function, of these settings and clients."""
    desk = Desk(
        visits=Visits(dynamodb, settings.visits_table, timedelta(days=settings.visit_days)),
        profiles=Profiles(dynamodb, settings.profiles_table, timedelta(days=settings.profile_days)),
        entities=Entities(dynamodb, settings.profiles_table),
        ledger=Ledger(dynamodb, settings.messages_table, clock, settings.retention_days * _DAY),
        versions=Versions(dynamodb, settings.definitions_table, clock, settings.definitions_ttl),
        triggers=Definitions(settings.definitions_table, dynamodb, clock, settings.definitions_ttl).catalogue(Trigger),
        timers=Queue(sqs, settings.timers_queue_url),
        messages=Queue(sqs, settings.messages_queue_url),
        clock=clock,
        horizon=timedelta(seconds=settings.horizon_seconds),
    )
    reports = Reports(dynamodb, settings.messages_table, settings.retention_days * _DAY, random.randrange(SHARDS))
    return App(settings, sqs, desk, reports, _recorder(settings, clock) if settings.events_bucket else None)


def _recorder(settings: Settings, clock: Clock) -> Recorder:
    # The client of S3 is made when the first events have been worked off: nothing waits for it.
    return Recorder(
        lambda: Recordings(aws.hasty_s3(), settings.events_bucket),
        clock,
        lambda events: count("EventsNotRecorded", settings.environment, events),
    )


@cache
def _app() -> App:
    return compose(Settings.from_environment(), aws.client("dynamodb"), aws.client("sqs"), utc_now)


@observed
def handle(event: dict[str, object], context: object) -> dict[str, object]:
    """Entry point."""
    return _app().invoked(event)
