"""What triggers make of a visitor: pure functions over what happened, sorted by time.

An *episode* is a part of a visitor's behaviour that one trigger decides about. It begins with the first event that qualifies and
is not used up; for triggers on sessions, with a visit. It is *satisfied* while all that must be included holds over what happened
since. A visit that ends unsatisfied ends the episode too, without a decision. Once satisfied it waits, and then

- it fires at its deadline: that of an unbroken wait, which what the trigger is `restarted_by` begins anew;
- or something ended it before: an excluded rule that holds over what happened since it began, on whatever device; or, if the
  trigger says so, that the visitor came back for a new visit. Then the decision is to skip.

An episode that was ended unsatisfied is over without a decision. What was decided about is used up: the next one begins after it.

No decision is taken before its time, a skip neither: `SETTLING` (or the wait, if that is shorter) after what ended the episode.
So an event that comes late, out of order or again before that time changes nothing about which decisions are taken.

What comes at the very moment of a deadline is in time. Things that happen at the same moment count as having happened together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from match_triggers.cart import Item, cart_of
from match_triggers.listeners import Listener
from shared.visit_rules import any_holds, holds
from shared.visits import Visit, VisitEvent, in_order

SETTLING = timedelta(minutes=5)

CAME_BACK = "came back"


@dataclass(frozen=True)
class Episode:
    """A part of a visitor's behaviour that a trigger decides about."""

    listener: Listener
    begins_at: datetime
    key: str
    """What the message gets its id from: the first event, or the time of a visit's first event."""
    events: Sequence[VisitEvent]
    """Those that the trigger names, from the first that qualifies on."""
    skipped: str
    """Why nothing is to be sent; empty if it fires."""
    ended_with: VisitEvent | None
    """What ended it."""
    due_at: datetime
    through: datetime
    """The decision uses up what happened through this time."""

    @property
    def qualifying(self) -> list[VisitEvent]:
        """Those that had a part in it."""
        return [event for event in self.events if self.listener.qualifies(event)]

    @property
    def order(self) -> tuple[datetime, int, str, datetime]:
        """Decisions are taken in this order: by time, and at the same time the trigger of the highest priority first."""
        trigger = self.listener.definition
        return self.due_at, -trigger.priority, trigger.name, self.begins_at


@dataclass(frozen=True)
class Run:
    """One episode from its beginning to its end, or to what is known so far."""

    over_at: datetime
    """What happened through this time belongs to it."""
    episode: Episode | None = None
    """None if it comes to no decision, or to none yet."""


@dataclass(frozen=True)
class Behaviour:
    """What a visitor did, as one trigger sees it."""

    visit: Visit
    listener: Listener
    events: Sequence[VisitEvent]
    """Those that the trigger names and that are not used up."""
    elsewhere: Sequence[VisitEvent]
    """What the same person did elsewhere."""
    used_up: datetime | None
    now: datetime
    """When it is looked at."""

    @classmethod
    def of(cls, visit: Visit, listener: Listener, elsewhere: Sequence[VisitEvent], now: datetime) -> Behaviour:
        """What is left of a visitor's behaviour for a trigger to decide about."""
        used_up = visit.consumed.get(listener.name)
        events = [e for e in visit.events if e.name in listener.names and (used_up is None or e.at > used_up)]
        return cls(visit, listener, events, elsewhere, used_up, now)

    def cart(self, until: datetime) -> list[Item]:
        """The visitor's cart at that time: carts outlive visits."""
        return cart_of((event for event in self.visit.events if event.at <= until), self.listener.definition.cart)


def walk(seen: Behaviour, begins_at: datetime, key: str) -> Run:
    """What becomes of the episode that begins then. `key` is what the message gets its id from."""
    return _Walk(seen, begins_at, key).run()


class _Walk:
    """Goes through what happened from an episode's beginning on, moment by moment."""

    def __init__(self, seen: Behaviour, begins_at: datetime, key: str) -> None:
        self._seen, self._listener, self._begins_at, self._key = seen, seen.listener, begins_at, key
        self._trigger = seen.listener.definition
        self._wait = seen.listener.wait
        if self._trigger.type == "session_end":
            self._wait += seen.listener.session
        self._events = [event for event in seen.events if event.at >= begins_at]
        self._spans = [(begin, end) for begin, end in seen.visit.active if end >= begins_at]
        self._window: list[VisitEvent] = []
        self._satisfied = False
        self._same_visit = True
        # A visit's beginning has its deadline from the start, whatever comes of the rules until then.
        self._deadline = begins_at + self._wait if self._trigger.type == "session_start" else None
        self._restarted_at = begins_at
        self._ender = _ender(seen, begins_at, self._events)

    def run(self) -> Run:
        """What becomes of the episode."""
        before = self._begins_at
        for moment in self._moments():
            over = self._between(before, moment)
            if over is not None:
                return over
            was = self._satisfied
            self._at(moment)
            if self._ender is not None and self._ender.at == moment:
                # What ends it may by itself undo what was asked for, as an order empties the cart.
                self._satisfied |= was
                return self._ended(self._ender)
            before = moment
        return self._afterwards(before)

    def _moments(self) -> list[datetime]:
        times = {event.at for event in self._events}
        times.update(time for span in self._spans for time in span if time >= self._begins_at)
        return sorted({self._begins_at, *times})

    def _between(self, before: datetime, moment: datetime) -> Run | None:
        """What comes to its end after one moment and before the next; None if nothing does."""
        silent = moment > before and not any(begin <= before and moment <= end for begin, end in self._spans)
        if not silent:
            self._go_on(moment)
        over = self._over_before(moment, before)
        if over is None and silent and moment - before > self._listener.session:
            return self._new_visit(before, moment)
        return over

    def _over_before(self, moment: datetime | None, last: datetime) -> Run | None:
        """What comes first: what ends it, or its deadline; of what comes before a moment, if there is one."""
        ender, deadline = self._ender, self._deadline
        if moment is not None:
            ender = ender if ender is not None and ender.at < moment else None
            deadline = deadline if deadline is not None and deadline < moment else None
        if ender is not None and (deadline is None or ender.at <= deadline):
            return self._ended(ender)
        return self._fires(deadline, last) if deadline is not None else None

    def _go_on(self, moment: datetime) -> None:
        """The visitor is active without a silence up to this moment."""
        if self._deadline is not None and self._any_event_restarts():
            self._deadline, self._restarted_at = moment + self._wait, moment

    def _any_event_restarts(self) -> bool:
        """A visit's end comes after its last event, whatever begins the wait anew afterwards."""
        return self._trigger.restart == "any_event" or (self._trigger.type == "session_end" and self._same_visit)

    def _new_visit(self, before: datetime, moment: datetime) -> Run | None:
        if not self._satisfied:
            return Run(self._through(before))
        if self._trigger.new_visit == "cancels":
            return self._skipped(CAME_BACK, None, moment, self._through(before))
        self._same_visit = False
        return None

    def _at(self, moment: datetime) -> None:
        """What happened at this moment becomes known."""
        self._go_on(moment)
        group = [event for event in self._events if event.at == moment]
        if not group and moment > self._begins_at:
            return
        self._window += group
        was, self._satisfied = self._satisfied, self._holds(moment)
        begins = self._satisfied and not was and self._deadline is None
        qualifies = self._trigger.restart == "qualifying_event" and any(self._listener.qualifies(event) for event in group)
        if not self._satisfied and self._trigger.type != "session_start":
            self._deadline = None
        elif begins or qualifies:
            self._deadline, self._restarted_at = moment + self._wait, moment

    def _holds(self, moment: datetime) -> bool:
        if self._satisfied and self._listener.lasts:
            return True
        if self._listener.satisfied_at_once and not self._trigger.on_sessions:
            return True
        return holds(self._trigger.must_include, self._window, lambda: self._seen.cart(moment), self._trigger.cart)

    def _afterwards(self, last: datetime) -> Run:
        """After all that happened so far."""
        return self._over_before(None, last) or Run(self._through(last))

    def _fires(self, deadline: datetime, last: datetime) -> Run:
        if not self._satisfied:
            return Run(self._through(last))
        # What ended it after its deadline, but before anybody looked, ends it still.
        ender = self._ender if self._ender is not None and self._ender.at <= self._seen.now else None
        through = self._through(deadline)
        return Run(through, self._episode(self._trigger.cancelled_as if ender else "", ender, deadline, through))

    def _ended(self, ender: VisitEvent) -> Run:
        through = self._through(ender.at)
        return self._skipped(self._trigger.cancelled_as, ender, ender.at, through) if self._satisfied else Run(through)

    def _skipped(self, reason: str, ender: VisitEvent | None, at: datetime, through: datetime) -> Run:
        due_at = at + min(self._listener.wait, SETTLING)
        return Run(through, self._episode(reason, ender, due_at, through))

    def _through(self, moment: datetime) -> datetime:
        """Through when the episode uses up what happened: of visits those that it went on with, by their beginnings."""
        return self._restarted_at if self._trigger.on_sessions else moment

    def _episode(self, skipped: str, ender: VisitEvent | None, due_at: datetime, through: datetime) -> Episode:
        return Episode(
            listener=self._listener,
            begins_at=self._begins_at,
            key=self._key,
            events=self._window,
            skipped=skipped,
            ended_with=ender,
            due_at=due_at,
            through=through,
        )


def _ender(seen: Behaviour, begins_at: datetime, events: Sequence[VisitEvent]) -> VisitEvent | None:
    """The event with which something that ends the episode first holds; None if nothing does."""
    listener, rules, cart = seen.listener, seen.listener.definition.ended_by, seen.listener.definition.cart
    known = {event.id for event in events}
    since = [event for event in seen.elsewhere if event.at >= begins_at and event.id not in known]
    others = [event for event in since if listener.hears(event.tracker) and listener.ends(event)]
    events = in_order([*events, *others]) if others else events
    if listener.ended_at_once:
        return next((event for event in events if listener.ends(event)), None)
    for index, event in enumerate(events):
        last = index + 1 == len(events) or events[index + 1].at > event.at
        if last and any_holds(rules, events[: index + 1], lambda at=event.at: seen.cart(at), cart):  # type: ignore[misc]
            together = [one for one in events[: index + 1] if one.at == event.at]
            return next((one for one in together if listener.ends(one)), event)
    return None
