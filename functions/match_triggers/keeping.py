"""From tracker events to the visitor's row: what is kept of them, and when the row must be looked at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from pydantic import JsonValue
from pydantic_core import to_json

from match_triggers.activity import joined
from match_triggers.deciding import id_of
from match_triggers.identity import gathered
from match_triggers.listeners import Listening
from match_triggers.matching import course
from match_triggers.walking import Episode
from shared.jobs import TrackerEvent
from shared.visits import EVERYWHERE, Span, Visit, VisitEvent, in_order

_MOST_EVENTS = 200
_MOST_ELSEWHERE = 50
_LARGEST_PROPERTIES = 32_000
_LARGEST_EVENTS = 140_000
"""Bytes: with decisions on their way out the row stays under DynamoDB's 400 kB."""
_NEVER_TOO_LARGE = _LARGEST_EVENTS // (_LARGEST_PROPERTIES + 2_500)

_SAYS_WHO = frozenset({"Identified", "Signed In", "Signed Up"})


def merged(visit_id: str, old: Visit | None, events: Sequence[TrackerEvent], listening: Listening, now: datetime) -> Visit | None:
    """The visitor with these events. `old` itself (or None) if they change nothing that a trigger needs: nothing is written then.

    `due_at` is only ever moved to an earlier time here. A later deadline is found when the old one comes: until then,
    moving it costs no write to the index.
    """
    fresh = _fresh(old, [event for event in events if event.name in listening.names], now)
    identifiers = gathered(old.identifiers if old else (), events)
    # A visit by user id has that id in each of its events: nothing need be learnt for it.
    learnt = events[0].anonymous_id is not None and identifiers != (old.identifiers if old else ())
    active = _active(old, events, fresh, listening)
    moved = active != (old.active if old else ())
    if not (fresh or moved or (learnt and (old is not None or any(map(says_who, events))))):
        return old
    changes = {"active": active, "identifiers": identifiers, "events": _bounded([*(old.events if old else ()), *fresh])}
    new = (old or Visit(id=visit_id, tracker=events[0].tracker)).model_copy(update=changes)
    due, attentive_until = outlook(new, listening, now)
    return new.model_copy(update={"due_at": _earlier(new.due_at, due), "attentive_until": attentive_until})


def merged_elsewhere(visit_id: str, old: Visit | None, events: Sequence[TrackerEvent], now: datetime) -> Visit | None:
    """The row of what a person did on any tracker, with these events that may end something. `old` if it has them."""
    fresh = [event.model_copy(update={"tracker": one.tracker}) for one in events for event in _fresh(old, [one], now)]
    if not fresh:
        return old
    kept = _bounded({event.id: event for event in [*(old.events if old else ()), *fresh]}.values(), _MOST_ELSEWHERE)
    return (old or Visit(id=visit_id, tracker=EVERYWHERE)).model_copy(update={"events": kept})


def outlook(
    visit: Visit, listening: Listening, now: datetime, elsewhere: Sequence[VisitEvent] = ()
) -> tuple[datetime | None, datetime | None]:
    """When the row must be looked at, None if there is nothing to decide; and until when an event of any name may matter."""
    due: list[datetime] = []
    attentive: list[datetime | None] = []
    names = {event.name for event in visit.events}
    for listener in listening.listeners:
        if listener.definition.on_sessions or not listener.names.isdisjoint(names):
            found = course(visit, listener, now, elsewhere)
            due += [due_at(visit, episode) for episode in found.episodes]
            attentive.append(found.attentive_until)
    return min(due, default=None), max((until for until in attentive if until is not None), default=None)


def due_at(visit: Visit, episode: Episode) -> datetime:
    """When an episode is to be decided about: later than its deadline, if its message waits for what it lacks."""
    return max(episode.due_at, visit.held.get(id_of(visit, episode), episode.due_at)) if visit.held else episode.due_at


def says_who(event: TrackerEvent) -> bool:
    """Whether an event is there to say who the visitor is."""
    return event.alias or bool(event.traits) or event.name in _SAYS_WHO


def _active(
    old: Visit | None, events: Sequence[TrackerEvent], fresh: Sequence[VisitEvent], listening: Listening
) -> tuple[Span, ...]:
    """When the visitor was active, of which only what may matter is kept."""
    known = old.active if old else ()
    until = old.attentive_until if old else None
    if listening.on_sessions or (listening.attends and (fresh or (until and any(event.at <= until for event in events)))):
        return joined(known, (event.at for event in events), listening.shortest_silence)
    return joined(known, (event.at for event in fresh), listening.shortest_silence) if fresh else known


def _fresh(old: Visit | None, events: Iterable[TrackerEvent], now: datetime) -> list[VisitEvent]:
    """Those of the events that are not in the row yet, each once."""
    known: Collection[str] = {event.id for event in old.events} if old else ()
    return [_kept(event, now) for event in {event.id: event for event in events if event.id not in known}.values()]


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


def _bounded(events: Iterable[VisitEvent], most: int = _MOST_EVENTS) -> tuple[VisitEvent, ...]:
    """The newest events that a row has room for."""
    kept = in_order(events)[-most:]
    while len(kept) > _NEVER_TOO_LARGE and len(to_json(kept)) > _LARGEST_EVENTS:
        kept = kept[len(kept) // 4 :]
    return tuple(kept)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one and other else one or other
