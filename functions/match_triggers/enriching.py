"""What a message knows: the profile, what the visit's events say, and rows of custom entities, read when its trigger fires.

All decisions that fall due together are finished together: one read for all profiles, and one for all rows of entities.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue
from pydantic_core import to_json

from match_triggers.deciding import skipped
from shared.conditions import compiled
from shared.entities import Entities, Key
from shared.jobs import MessageJob
from shared.mapping import at, text_at
from shared.person import Profile, as_snapshot
from shared.profiles import Profiles
from shared.triggers import Metadata, Trigger
from shared.visits import VisitEvent

_LARGEST_SNAPSHOT = 16_000
_LARGEST_METADATA = 16_000
_LARGEST_LOOKUPS = 48_000
"""Bytes that travel with a job: with the cart, the events and the last of them they still fit a queue message."""

_AGAIN = timedelta(minutes=1)

_LONGEST_REASON = 300


@dataclass(frozen=True)
class Pending:
    """A decision that is due. `job` has its context of events already; what skips is not touched."""

    job: MessageJob
    trigger: Trigger
    events: Sequence[VisitEvent]
    """Those of the visit that the decision knows of, in order."""
    due_at: datetime


@dataclass(frozen=True)
class Later:
    """Something that the message must have is missing: it is to be finished anew at this time."""

    at: datetime


def finish(pending: Sequence[Pending], profiles: Profiles, entities: Entities, now: datetime) -> list[MessageJob | Later]:
    """Each of these decisions with all that its message knows, or as a skip, in their order.

    A job that sends has the profile as it is now, as `MessageJob.profile`, so that sending need not read it; unless it is too
    large to travel. A profile that was joined with another is the other one from here on.
    """
    people = profiles.get_all({one.job.profile_id for one in pending if _sends(one) and one.job.profile_id})
    drafts = [_drafted(one, people.get(one.job.profile_id or "")) for one in pending]
    wanted = {key for draft in drafts if isinstance(draft, _Draft) for key in draft.keys.values()}
    rows = entities.get_all(wanted) if wanted else {}
    return [_finished(draft, rows, now) if isinstance(draft, _Draft) else draft for draft in drafts]


@dataclass(frozen=True)
class _Draft:
    """A message for somebody who is in the audience, as far as it is known without custom entities."""

    pending: Pending
    job: MessageJob
    variables: Mapping[str, JsonValue]
    """All that paths of a trigger may ask for, but for `lookup`."""
    keys: Mapping[str, Key]
    """Name of a lookup → the row it is of."""


def _sends(one: Pending) -> bool:
    return one.job.decided == "send"


def _drafted(one: Pending, profile: Profile | None) -> _Draft | MessageJob:
    """Somebody who was deleted just now is left to whoever sends."""
    if not _sends(one) or profile is None:
        return one.job
    job = one.job.model_copy(update={"profile_id": profile.id, "profile": snapshot_of(profile)})
    if not compiled(one.trigger.audience)(profile.attributes, one.due_at):
        return skipped(job, "not in the audience")
    metadata = _metadata(one.trigger.metadata, one.events)
    context: dict[str, JsonValue] = {**job.context, **({"metadata": metadata} if one.trigger.metadata else {})}
    variables: dict[str, JsonValue] = {**context, "profile": {**profile.attributes}}
    wanted = {name: Key(lookup.entity, text_at(variables, lookup.key)) for name, lookup in one.trigger.lookups.items()}
    keys = {name: key for name, key in wanted.items() if key.is_possible}
    return _Draft(one, job.model_copy(update={"context": context}), variables, keys)


def snapshot_of(profile: Profile) -> dict[str, JsonValue] | None:
    """The profile as it travels with a job; None if it is too large to."""
    snapshot = as_snapshot(profile)
    return snapshot if len(to_json(snapshot)) <= _LARGEST_SNAPSHOT else None


def _metadata(named: Mapping[str, Metadata], events: Sequence[VisitEvent]) -> dict[str, JsonValue]:
    return _fitting(((name, _taken(metadata, events)) for name, metadata in named.items()), _LARGEST_METADATA)


def _taken(metadata: Metadata, events: Sequence[VisitEvent]) -> JsonValue:
    said = (at(event.properties, metadata.path) for event in events if metadata.event in ("", event.name))
    values = [value for value in said if value is not None]
    if metadata.take == "all":
        return [*{to_json(value): value for value in values}.values()]
    return (values[0] if metadata.take == "first" else values[-1]) if values else None


def _finished(draft: _Draft, rows: Mapping[Key, dict[str, JsonValue]], now: datetime) -> MessageJob | Later:
    trigger, job = draft.pending.trigger, draft.job
    if trigger.lookups:
        found = _fitting(((name, rows.get(key)) for name, key in draft.keys.items()), _LARGEST_LOOKUPS)
        job = job.model_copy(update={"context": {**job.context, "lookup": found}})
    missing = _missing(trigger.requires, {**draft.variables, **job.context})
    if not missing:
        return job
    if trigger.if_missing == "send":
        return _incomplete(job, missing)
    ends = draft.pending.due_at + timedelta(seconds=trigger.missing_wait_seconds)
    if trigger.if_missing == "wait" and now < ends:
        return Later(min(now + _AGAIN, ends))
    return skipped(job, f"missing: {', '.join(missing)}"[:_LONGEST_REASON])


def _incomplete(job: MessageJob, missing: list[str]) -> MessageJob:
    """The job whose trace says what the message lacks."""
    listed: list[JsonValue] = [*missing]
    last = job.hops[-1]
    return job.model_copy(update={"hops": (*job.hops[:-1], last.model_copy(update={"data": {**last.data, "missing": listed}}))})


def _missing(requires: Iterable[str], variables: Mapping[str, JsonValue]) -> list[str]:
    return [path for path in requires if at({**variables}, path) in (None, "", [])]


def _fitting(values: Iterable[tuple[str, JsonValue]], room: int) -> dict[str, JsonValue]:
    """Those that there are, from the first, as far as there is room for them, in bytes."""
    kept: dict[str, JsonValue] = {}
    for name, value in values:
        size = len(to_json(value))
        if value is not None and size <= room:
            kept[name] = value
            room -= size
    return kept
