"""What triggers make of a visit: pure functions over its events, which are sorted by time.

An episode begins with the first qualifying event that is not used up. It ends at the first excluded event, or stays open.
If it has every event that must be included, it comes to a decision: skip if it was ended, send if it is still open once the
visit has been silent for the trigger's wait.

No decision is taken before its time, a skip neither: `SETTLING` (or the wait, if that is shorter) after the excluded event. So an
event that comes late, out of order or again before that time changes nothing about which decisions are taken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.catalogue import Versioned
from shared.triggers import Trigger
from shared.visits import Visit, VisitEvent

SETTLING = timedelta(minutes=5)


@dataclass(frozen=True)
class Episode:
    """A part of a visit that a trigger decides about."""

    trigger: Versioned[Trigger]
    qualifying: Sequence[VisitEvent]
    excluded: VisitEvent | None
    due_at: datetime
    through: datetime
    """The decision uses up the events through this time."""

    @property
    def first(self) -> VisitEvent:
        """The event that gives the message its id."""
        return self.qualifying[0]

    @property
    def last(self) -> VisitEvent:
        """The newest qualifying event."""
        return self.qualifying[-1]


def listening(triggers: Iterable[Versioned[Trigger]], tracker: str) -> list[Versioned[Trigger]]:
    """The enabled triggers that look at visits of this tracker, by name."""
    those = (t for t in triggers if t.definition.enabled and tracker in (t.definition.trackers or (tracker,)))
    return sorted(those, key=lambda versioned: versioned.definition.name)


def names_of(triggers: Iterable[Versioned[Trigger]]) -> frozenset[str]:
    """The names of the events that these triggers need to know of."""
    return frozenset(name for versioned in triggers for name in _names(versioned.definition))


def _names(trigger: Trigger) -> Iterator[str]:
    yield from trigger.must_include
    yield from trigger.ended_by
    yield from (trigger.cart.add, trigger.cart.remove)


def episodes(visit: Visit, triggers: Iterable[Versioned[Trigger]]) -> list[Episode]:
    """All episodes that come to a decision, in the order in which they fall due."""
    found = [episode for trigger in triggers for episode in _episodes(visit, trigger)]
    return sorted(found, key=lambda episode: (episode.due_at, episode.trigger.definition.name))


def next_due(visit: Visit, triggers: Iterable[Versioned[Trigger]]) -> datetime | None:
    """When the first decision falls due; None if there is nothing to decide."""
    found = episodes(visit, triggers)
    return found[0].due_at if found else None


def _episodes(visit: Visit, versioned: Versioned[Trigger]) -> Iterator[Episode]:
    trigger = versioned.definition
    wait = timedelta(seconds=trigger.wait_seconds)
    events = _after(visit.events, visit.consumed.get(trigger.name))
    while first := _first(events, trigger.must_include):
        excluded = _first([event for event in events if event.at >= first.at], trigger.ended_by)
        through = excluded.at if excluded else visit.last_at
        due_at = excluded.at + min(wait, SETTLING) if excluded else visit.last_at + wait
        qualifying = [event for event in events if event.name in trigger.must_include and event.at <= through]
        if {event.name for event in qualifying} == set(trigger.must_include):
            yield Episode(versioned, qualifying, excluded, due_at, through)
        if excluded is None:
            return
        events = _after(events, through)


def _after(events: Sequence[VisitEvent], time: datetime | None) -> Sequence[VisitEvent]:
    return [event for event in events if event.at > time] if time else events


def _first(events: Sequence[VisitEvent], names: Collection[str]) -> VisitEvent | None:
    return next((event for event in events if event.name in names), None)
