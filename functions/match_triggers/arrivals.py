"""Queue `events`: what arrived is merged into the rows of its visits.

One read for all visits of a batch, then one conditional write for each visit that the events change. Who has no row, and did
nothing that a trigger names, costs nothing more; visits of trackers to which no trigger listens are not even read. The read
cannot be left out for the others: any action restarts a pending silence, and only the row says whether one is pending. Of a
batched read it is the cheaper half of what a conditional update per visit would cost, which DynamoDB charges also when its
condition fails.

Events of any name only move `last_at`, by their own time. So a repeat changes nothing, without a list of ids seen. What a
visitor does before the first event that a trigger names is not kept; it cannot be later than what comes after it, but for
events that overtake each other on their way, and then silence counts from the one that was kept.

No decision is taken here. What is due at once gets a timer without delay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from match_triggers.desk import TRIES, Desk
from match_triggers.exits import take_back
from match_triggers.keeping import identifiers_of, merged
from shared.errors import Transient
from shared.ids import visit_id
from shared.jobs import EventsJob, TrackerEvent
from shared.person import Identifier
from shared.queues import Batch, Record
from shared.visits import Visit

_Group = tuple[list[TrackerEvent], dict[str, None]]
"""The events of one visit, and the SQS ids of the records that they came in."""


def arrive(batch: Batch[EventsJob], desk: Desk) -> None:
    """Works a batch off. A record is retried if any of its visits could not be written."""
    groups = _by_visit(batch.records)
    rows = desk.visits.read_all(key for key, (events, _) in groups.items() if desk.listening(events[0].tracker))
    due: list[tuple[str, datetime | None]] = []
    failed: dict[str, Exception] = {}
    received_before = {record.message_id for record in batch.records if record.receives > 1}
    for key, (events, records) in groups.items():
        try:
            _learn(events, desk)
            due += _keep(key, events, rows, not received_before.isdisjoint(records), desk)
        except Exception as error:  # one visit's failure, whatever it is, must not touch its neighbours
            failed |= dict.fromkeys(records, error)
    desk.remind(due)
    for record in batch.records:
        if record.message_id in failed:
            batch.settle(record, failed[record.message_id])


def _by_visit(records: Iterable[Record[EventsJob]]) -> dict[str, _Group]:
    groups: dict[str, _Group] = {}
    for record in records:
        for event in record.body.events:
            events, sources = groups.setdefault(visit_id(event.tracker, event.anonymous_id, event.user_id), ([], {}))
            events.append(event)
            sources[record.message_id] = None
    return groups


def _learn(events: Sequence[TrackerEvent], desk: Desk) -> None:
    """Takes what the events tell of the person into the profile; the same told twice only once, at its newest time."""
    told: dict[str, tuple[list[Identifier], TrackerEvent]] = {}
    for event in sorted(events, key=lambda event: event.at):
        if event.traits and (identifiers := identifiers_of(event)):
            told[json.dumps([identifiers, event.traits], sort_keys=True)] = (identifiers, event)
    for identifiers, event in told.values():
        desk.profiles.upsert(identifiers, event.traits, event.at)


def _keep(
    key: str, events: Sequence[TrackerEvent], rows: Mapping[str, Visit], again: bool, desk: Desk
) -> list[tuple[str, datetime | None]]:
    """Writes the visit's row if need be. Returns when it is to be looked at, if that may not be known to the timers yet."""
    triggers = desk.listening(events[0].tracker)
    if not triggers:
        return []
    old = rows.get(key)
    for _ in range(TRIES):
        new = merged(key, old, events, triggers, desk.clock())
        if new is old or new is None:
            if old is not None:
                take_back(old, events, desk)
            # Whoever wrote this row may have died before its timer was sent.
            return [(key, old.due_at)] if old and again else []
        if desk.visits.write(new):
            take_back(new, events, desk)
            return [(key, new.due_at)] if again or old is None or new.due_at != old.due_at else []
        old = desk.visits.read(key)
    raise Transient("the visit is being changed by others")
