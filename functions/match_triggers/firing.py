"""Queue `timers`: a visit may be due. Its row decides; a timer is only a hint.

A decision is written into the row's outbox first, on the condition that the row is still as it was read; then it is sent; then
the outbox is cleared. The row stays due until then, so after a crash anywhere the next timer, or the sweep, finds the outbox
and sends the same content under the same ids. Sent twice, it is one message: `send_message` sees to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic_core import to_json

from match_triggers.deciding import job_of
from match_triggers.desk import TRIES, Desk
from match_triggers.exits import fired
from match_triggers.matching import Episode, episodes, next_due
from shared.catalogue import Versioned
from shared.errors import Transient
from shared.jobs import MessageJob, TimerJob
from shared.person import as_snapshot
from shared.queues import Batch
from shared.triggers import Trigger
from shared.visits import Visit

_EARLY = timedelta(seconds=2)
"""A timer that comes this much before its deadline is not an old one: clocks differ."""

_LARGEST_SNAPSHOT = 16_000
"""Bytes of a profile that travel with a job: with the cart and the events it still fits a queue message."""

_LARGEST_OUTBOX = 160_000
"""Bytes: what does not fit beside the visit's events waits for its turn, which comes at once."""


def fire(batch: Batch[TimerJob], desk: Desk) -> None:
    """Looks at each visit of a batch once."""
    records = {record.body.visit_id: record for record in batch.records}
    rows = desk.visits.read_all(records)
    due: list[tuple[str, datetime | None]] = []
    for key, record in records.items():
        try:
            due.append((key, _look(rows.get(key), desk, again=record.receives > 1)))
        except Exception as error:  # one visit's failure, whatever it is, must not touch its neighbours
            batch.settle(record, error)
    desk.remind(due)


def _look(visit: Visit | None, desk: Desk, *, again: bool) -> datetime | None:
    """Takes and sends the decisions that are due. Returns when the visit is to be looked at next, if that needs a new timer."""
    for _ in range(TRIES):
        if visit is None or visit.due_at is None:
            return None
        if not visit.outbox and visit.due_at > desk.clock():
            # Whoever wrote this deadline sent its timer, unless they died in between: this one is of an older deadline. If each
            # such timer were sent on, an active visitor would gather more of them with every sweep.
            return visit.due_at if again or visit.due_at <= desk.clock() + _EARLY else None
        triggers = desk.listening(visit.tracker)
        ready = visit if visit.outbox else desk.visits.write(_decided(visit, triggers, desk))
        if ready and ready.outbox:
            desk.messages.send_all(_with_profiles(ready.outbox, desk))
            ready = desk.visits.write(_cleared(ready, triggers))
        if ready:
            return ready.due_at
        visit = desk.visits.read(visit.id)
    raise Transient("the visit is being changed by others")


def _decided(visit: Visit, triggers: Sequence[Versioned[Trigger]], desk: Desk) -> Visit:
    """The visit with what is due in its outbox; with a later deadline if nothing is due after all."""
    now = desk.clock()
    due = [episode for episode in episodes(visit, triggers) if episode.due_at <= now]
    if not due:
        return visit.model_copy(update={"due_at": next_due(visit, triggers)})
    profiles = desk.profiles.find(visit.identifiers)
    jobs = _fitting([job_of(visit, one, profiles, desk.versions.of(one.trigger.definition.integration), now) for one in due])
    consumed = _consumed(visit, due[: len(jobs)], desk)
    return visit.model_copy(update={"outbox": jobs, "consumed": consumed, "fired": fired(visit, jobs, now)})


def _with_profiles(jobs: Sequence[MessageJob], desk: Desk) -> list[MessageJob]:
    """The jobs, each with the profile as it is now, so that sending need not read it: not those that would grow too large."""
    people = desk.profiles.get_all({job.profile_id for job in jobs if job.decided == "send" and job.profile_id})
    snapshots = {key: as_snapshot(person) for key, person in people.items()}
    small = {key: snapshot for key, snapshot in snapshots.items() if len(to_json(snapshot)) <= _LARGEST_SNAPSHOT}
    return [job.model_copy(update={"profile": small[job.profile_id]}) if job.profile_id in small else job for job in jobs]


def _fitting(jobs: Sequence[MessageJob]) -> tuple[MessageJob, ...]:
    room = _LARGEST_OUTBOX
    for index, job in enumerate(jobs):
        room -= len(job.model_dump_json().encode())
        if room < 0 and index:
            return tuple(jobs[:index])
    return tuple(jobs)


def _consumed(visit: Visit, decided: Sequence[Episode], desk: Desk) -> dict[str, datetime]:
    """Through when each trigger has used the visit's events up; triggers that are gone are forgotten."""
    kept = {name: at for name, at in visit.consumed.items() if name in desk.triggers.all()}
    return kept | {episode.trigger.definition.name: episode.through for episode in decided}


def _cleared(visit: Visit, triggers: Sequence[Versioned[Trigger]]) -> Visit:
    sent = visit.model_copy(update={"outbox": ()})
    return sent.model_copy(update={"due_at": next_due(sent, triggers)})
