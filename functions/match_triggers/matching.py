"""Which episodes of a visitor's behaviour triggers decide about: pure functions over what happened.

One episode, from its beginning to its end, is gone through in `walking`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from match_triggers.activity import visits
from match_triggers.listeners import Listener
from match_triggers.walking import Behaviour, Episode, Run, walk
from shared.clock import iso
from shared.visits import Visit, VisitEvent


@dataclass(frozen=True)
class Course:
    """What one trigger makes of a visitor."""

    episodes: tuple[Episode, ...] = ()
    """All that come to a decision, in the order in which they begin."""
    attentive_until: datetime | None = None
    """Until when any event may matter for what is undecided."""


def course(visit: Visit, listener: Listener, now: datetime, elsewhere: Sequence[VisitEvent] = ()) -> Course:
    """What a trigger makes of what is not used up, looked at now.

    `elsewhere` is what the same person did on any device that may end it, in order.
    """
    runs = list(_runs(Behaviour.of(visit, listener, elsewhere, now)))
    found = tuple(run.episode for run in runs if run.episode is not None)
    if not (runs and listener.attends and visit.last_at):
        return Course(found)
    return Course(found, max(visit.last_at + listener.session, *(one.due_at for one in found if not one.skipped), visit.last_at))


def episodes(visit: Visit, listeners: Iterable[Listener], now: datetime, elsewhere: Sequence[VisitEvent] = ()) -> list[Episode]:
    """All episodes that come to a decision, in the order in which those are taken."""
    found = (episode for listener in listeners for episode in course(visit, listener, now, elsewhere).episodes)
    return sorted(found, key=lambda episode: episode.order)


def as_of(visit: Visit, moment: datetime) -> Visit:
    """The visitor as they were known at a moment, of what has become known since."""
    spans = tuple((begin, min(end, moment)) for begin, end in visit.active if begin <= moment)
    return visit.model_copy(update={"active": spans, "events": tuple(event for event in visit.events if event.at <= moment)})


def _runs(seen: Behaviour) -> Iterator[Run]:
    if seen.listener.definition.on_sessions:
        return _of_visits(seen)
    return _of_each_event(seen) if seen.listener.definition.type == "event" else _of_events(seen)


def _of_events(seen: Behaviour) -> Iterator[Run]:
    """One episode after the other."""
    events = list(seen.events)
    while first := next((event for event in events if seen.listener.qualifies(event)), None):
        run = walk(seen, first.at, first.id)
        yield run
        events = [event for event in events if event.at > run.over_at]


def _of_each_event(seen: Behaviour) -> Iterator[Run]:
    """An episode for each event that qualifies."""
    done = set(seen.visit.done.get(seen.listener.name, ()))
    for event in seen.events:
        if event.id not in done and seen.listener.qualifies(event):
            yield walk(seen, event.at, event.id)


def _of_visits(seen: Behaviour) -> Iterator[Run]:
    """An episode for each visit, except for those that an earlier one goes on with."""
    used_up = seen.used_up
    for begin, _ in visits(seen.visit.active, seen.listener.session):
        if used_up is None or begin > used_up:
            run = walk(seen, begin, iso(begin))
            yield run
            used_up = run.over_at
