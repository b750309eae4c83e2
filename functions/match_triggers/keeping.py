"""From tracker events to the visit's row: what is kept of them, and when the row must be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import JsonValue
from pydantic_core import to_json

from match_triggers.matching import names_of, next_due
from shared.catalogue import Versioned
from shared.jobs import TrackerEvent
from shared.person import Identifier
from shared.triggers import Trigger
from shared.visits import Visit, VisitEvent, in_order

_MOST_EVENTS = 200
_MOST_IDENTIFIERS = 10
_LARGEST_PROPERTIES = 32_000
_LARGEST_EVENTS = 140_000
"""Bytes: with decisions on their way out the row stays under DynamoDB's 400 kB."""
_NEVER_TOO_LARGE = _LARGEST_EVENTS // (_LARGEST_PROPERTIES + 2_500)


def merged(
    visit_id: str, old: Visit | None, events: Sequence[TrackerEvent], triggers: Sequence[Versioned[Trigger]], now: datetime
) -> Visit | None:
    """The visit with these events. `old` itself (or None) if they change nothing that a trigger needs: then nothing is written.

    `due_at` is only ever moved to an earlier time here. A later deadline is found when the old one comes: until then,
    moving it costs no write to the index.
    """
    fresh = _fresh(old, events, triggers, now)
    identifiers = _identifiers(old, events)
    last_at = max([event.at for event in events] + ([old.last_at] if old else []))
    # A visit by user id has that id in each of its events: nothing need be learnt for it.
    learnt = events[0].anonymous_id is not None and identifiers != (old.identifiers if old else ())
    restarted = old is not None and old.due_at is not None and last_at > old.last_at
    if not (fresh or learnt or restarted):
        return old
    new = (old or Visit(id=visit_id, tracker=events[0].tracker, last_at=last_at)).model_copy(
        update={
            "last_at": last_at,
            "identifiers": identifiers,
            "events": _bounded(in_order([*(old.events if old else ()), *fresh])),
        }
    )
    return new.model_copy(update={"due_at": _earlier(new.due_at, next_due(new, triggers))})


def identifiers_of(event: TrackerEvent) -> list[Identifier]:
    """Who the event says the visitor is."""
    found: list[Identifier] = [("user_id", event.user_id)] if event.user_id else []
    email = event.traits.get("email")
    if isinstance(email, str) and "@" in email and len(email) <= 254:
        found.append(("email", email.strip().lower()))
    return found


def _fresh(
    old: Visit | None, events: Iterable[TrackerEvent], triggers: Sequence[Versioned[Trigger]], now: datetime
) -> list[VisitEvent]:
    """The events that a trigger names and that are not in the visit yet, each once."""
    names = names_of(triggers)
    known = {event.id for event in old.events} if old else set()
    fresh = {event.id: event for event in events if event.name in names and event.id not in known}
    return [_kept(event, now) for event in fresh.values()]


def _kept(event: TrackerEvent, now: datetime) -> VisitEvent:
    return VisitEvent(
        id=event.id,
        name=event.name,
        at=event.at,
        received_at=event.received_at,
        matched_at=now,
        properties=_within(event.properties),
    )


def _within(properties: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """As many of the properties, from the first, as a row has room for."""
    if len(to_json(properties)) <= _LARGEST_PROPERTIES:
        return properties
    kept: dict[str, JsonValue] = {}
    room = _LARGEST_PROPERTIES
    for key, value in properties.items():
        room -= len(to_json({key: value}))
        if room >= 0:
            kept[key] = value
    return kept


def _identifiers(old: Visit | None, events: Iterable[TrackerEvent]) -> tuple[Identifier, ...]:
    """All that the visitor was ever said to be."""
    known = old.identifiers if old else ()
    said = {identifier for event in events for identifier in identifiers_of(event)}
    return tuple(sorted({*known, *said})[:_MOST_IDENTIFIERS])


def _bounded(events: Sequence[VisitEvent]) -> tuple[VisitEvent, ...]:
    """The newest events that a row has room for."""
    kept = events[-_MOST_EVENTS:]
    while len(kept) > _NEVER_TOO_LARGE and len(to_json(kept)) > _LARGEST_EVENTS:
        kept = kept[len(kept) // 4 :]
    return tuple(kept)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one and other else one or other
