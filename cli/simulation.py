"""Recorded behaviour through the code that is deployed, on a simulated clock: what a trigger makes of each visit, and why.

The events arrive in the order in which they came in, each at its time; whatever falls due is looked at at its moment. Caps,
opt-outs and hours, which are asked when a message is sent, are not part of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from cli.memory import Memory, MemoryBatch, MemoryEntities
from cli.recording import Person
from cli.wording import described, spelt
from match_triggers.arrivals import arrive
from match_triggers.cart import cart_of
from match_triggers.deciding import id_of
from match_triggers.firing import fire
from match_triggers.listeners import Listener
from match_triggers.matching import course
from shared.catalogue import Versioned
from shared.clock import from_iso
from shared.entities import Key
from shared.ids import visit_id
from shared.jobs import EventsJob, MessageJob, TimerJob, TrackerEvent
from shared.person import Profile, from_snapshot
from shared.rules import Rule
from shared.trackers import PROFILES
from shared.triggers import Trigger
from shared.visit_rules import any_holds, holds, leaves
from shared.visits import Visit, VisitEvent, in_order

_AT_ONCE = 100
"""Events that came in at the same moment and are worked off together."""

_BEFORE = timedelta(days=1)
"""How long before the recording begins what is known of people was learnt."""


@dataclass(frozen=True)
class Message:
    """What a message would say."""

    subject: str = ""
    text: str = field(default="", repr=False)
    fault: str = ""
    """Why it cannot be rendered."""


Render = Callable[[MessageJob, Profile], Message | None]
"""Renders the message of a decision to a person; None if there is no template."""


@dataclass(frozen=True)
class Decision:
    """What was decided about an episode."""

    message_id: str
    begins_at: datetime
    due_at: datetime
    fired: bool
    reason: str
    """Why it was skipped."""
    profile_id: str | None
    last: str
    """The newest event that qualified."""
    last_at: datetime | None
    message: Message | None = None
    taken_back: str = ""
    """Why the message was taken back after it had fired, if it was."""


@dataclass(frozen=True)
class Report:
    """What the trigger made of one visit."""

    visit_id: str
    """Of the visitor."""
    began_at: datetime
    ended_at: datetime
    events: int
    decisions: tuple[Decision, ...] = ()
    waiting_until: datetime | None = None
    """When the next decision about it falls due, if nothing else happens."""
    why: str = ""
    """Why there is no decision."""

    def includes(self, at: datetime) -> bool:
        """Whether something happened during the visit."""
        return self.began_at <= at <= self.ended_at

    @property
    def matched(self) -> bool:
        """Whether all that it must include was there."""
        return bool(self.decisions) or self.waiting_until is not None


@dataclass
class _Visitor:
    """What is known of a visitor beside the row."""

    times: set[tuple[datetime, str]] = field(default_factory=set)
    """Of its events, each with its id: they may come twice."""
    events: dict[str, VisitEvent] = field(default_factory=dict)
    """Those that the trigger names."""
    decisions: dict[str, Decision] = field(default_factory=dict)
    """By message: they may be told twice."""


class Simulation:
    """One trigger, with others that may cancel it, the people who are known before, and the rows of custom entities."""

    def __init__(
        self,
        trigger: Versioned[Trigger],
        others: Iterable[Versioned[Trigger]] = (),
        people: Iterable[Person] = (),
        rows: Mapping[Key, dict[str, JsonValue]] | None = None,
        render: Render = lambda job, profile: None,
    ) -> None:
        self._trigger, self._people, self._render = trigger.definition, list(people), render
        self._listener = Listener(trigger)
        triggers = {one.definition.name: one for one in (*others, trigger)}
        self._memory = Memory(triggers, entities=MemoryEntities(rows))
        self._now = datetime.min.replace(tzinfo=UTC)
        self._desk = self._memory.desk(lambda: self._now)
        self._visitors: dict[str, _Visitor] = {}

    def run(self, events: Iterable[TrackerEvent], until: datetime | timedelta = timedelta(0)) -> list[Report]:
        """What becomes of each visit, in the order in which they began.

        The events are in the order in which they came in. The clock stops at `until`, or so long after the last of them.
        """
        people = self._people
        for received_at, together in itertools.groupby(events, key=lambda event: event.received_at):
            for person in people:
                self._memory.profiles.upsert(person.names, person.attributes, received_at - _BEFORE)
            people = []
            self._work_off(received_at)
            self._now = received_at
            while part := tuple(itertools.islice(together, _AT_ONCE)):
                self._note(part)
                arrive(MemoryBatch([EventsJob(events=part)]), self._desk)
        end = until if isinstance(until, datetime) else self._now + until
        self._work_off(end, inclusive=True)
        self._now = max(self._now, end)
        return self._reports()

    def _work_off(self, until: datetime, *, inclusive: bool = False) -> None:
        """Looks at what falls due before a time, each at its moment."""
        visits = self._memory.visits
        while (due := visits.next_due()) is not None and (due < until or (inclusive and due == until)):
            self._now = max(due, self._now)
            fire(MemoryBatch([TimerJob(visit_ids=tuple(visits.take_due(due)))]), self._desk)
            self._take_decisions()

    def _note(self, events: Iterable[TrackerEvent]) -> None:
        """Keeps what is needed to tell visits apart, and why nothing came of one."""
        for event in events:
            if self._trigger.type != "profile_change" and event.tracker in (self._trigger.trackers or (event.tracker,)):
                visitor = self._visitor(visit_id(event.tracker, event.anonymous_id, event.user_id))
                visitor.times.add((event.at, event.id))
                if event.name in self._listener.names:
                    visitor.events[event.id] = _as_kept(event)

    def _visitor(self, key: str) -> _Visitor:
        return self._visitors.setdefault(key, _Visitor())

    def _take_decisions(self) -> None:
        for job in self._memory.taken():
            if job.trigger == self._trigger.name:
                self._visitor(job.visit_id).decisions[job.message_id] = self._decision(job)

    def _decision(self, job: MessageJob) -> Decision:
        event = job.context.get("event")
        last = event if isinstance(event, dict) else {}
        time = last.get("time")
        return Decision(
            message_id=job.message_id,
            begins_at=job.begins_at or job.anchor_at,
            due_at=job.anchor_at + timedelta(seconds=self._trigger.wait_seconds),
            fired=job.decided == "send",
            reason=job.reason,
            profile_id=job.profile_id,
            last=str(last.get("name", "")),
            last_at=from_iso(time) if isinstance(time, str) else None,
            message=self._rendered(job) if job.decided == "send" else None,
        )

    def _rendered(self, job: MessageJob) -> Message | None:
        known = self._memory.profiles.get_all([job.profile_id or ""])
        profile = from_snapshot(job.profile) if job.profile is not None else known.get(job.profile_id or "")
        return self._render(job, profile) if profile is not None else None

    def _reports(self) -> list[Report]:
        if self._trigger.type == "profile_change":
            for row in self._memory.visits.rows.values():
                if row.tracker == PROFILES:
                    self._visitor(row.id).times |= {(event.at, event.id) for event in row.events}
                    self._visitor(row.id).events |= {event.id: event for event in row.events}
        found = (report for key, visitor in self._visitors.items() for report in self._of(key, visitor))
        return sorted(found, key=lambda report: (report.began_at, report.visit_id))

    def _of(self, key: str, visitor: _Visitor) -> Iterator[Report]:
        """The visits of a visitor."""
        taken_back = self._memory.ledger.taken_back
        decisions = [
            replace(one, taken_back=taken_back[one.message_id][-1].reason) if one.message_id in taken_back else one
            for one in visitor.decisions.values()
        ]
        waiting = self._waiting(self._memory.visits.rows.get(key))
        for times in _visits(sorted(at for at, _ in visitor.times), self._listener.session):
            report = Report(key, times[0], times[-1], len(times))
            theirs = tuple(one for one in decisions if report.includes(one.begins_at))
            due = next((due for begins_at, due in waiting if report.includes(begins_at)), None)
            why = "" if theirs or due else self._part_of(report, decisions, waiting) or self._why(report, visitor)
            yield replace(report, decisions=theirs, waiting_until=due, why=why)

    def _waiting(self, row: Visit | None) -> list[tuple[datetime, datetime]]:
        """What is not decided yet: when it began, and when it falls due."""
        if row is None:
            return []
        found = course(row, self._listener, self._now).episodes
        return [(one.begins_at, max(one.due_at, row.held.get(id_of(row, one), one.due_at))) for one in found]

    def _part_of(self, report: Report, decisions: Iterable[Decision], waiting: Iterable[tuple[datetime, datetime]]) -> str:
        spans = [*((one.begins_at, one.due_at) for one in decisions), *waiting]
        begins_at = next((begins for begins, due in spans if begins < report.began_at <= due), None)
        return f"part of what began at {spelt(begins_at)}" if begins_at else ""

    def _why(self, report: Report, visitor: _Visitor) -> str:
        """Why nothing came of a visit."""
        trigger, known = self._trigger, in_order(visitor.events.values())
        window = [event for event in known if report.includes(event.at)]
        if not trigger.on_sessions:
            window = [*itertools.dropwhile(lambda event: not self._listener.qualifies(event), window)]
            if not window:
                return f"never qualified: no {' and no '.join(dict.fromkeys(map(described, _beginning(trigger))))}"

        def cart() -> list[dict[str, JsonValue]]:
            return cart_of((event for event in known if event.at <= report.ended_at), trigger.cart)

        lacking = [rule for rule in trigger.must_include if not holds([rule], window, cart, trigger.cart)]
        if lacking:
            return f"not satisfied: no {', no '.join(map(described, lacking))}"
        ended = any_holds(trigger.ended_by, window, cart, trigger.cart)
        return f"ended before it was satisfied: {trigger.cancelled_as}" if ended else "used up by what was decided before"


def _beginning(trigger: Trigger) -> Iterator[Rule]:
    """The rules that an event has to meet to begin with."""
    return leaves(trigger.must_include, counting=True)


def _visits(times: Sequence[datetime], session: timedelta) -> Iterator[list[datetime]]:
    """The times of each visit."""
    visit: list[datetime] = []
    for at in times:
        if visit and at - visit[-1] > session:
            yield visit
            visit = []
        visit.append(at)
    if visit:
        yield visit


def _as_kept(event: TrackerEvent) -> VisitEvent:
    return VisitEvent(
        id=event.id,
        name=event.name,
        at=event.at,
        received_at=event.received_at,
        matched_at=event.received_at,
        properties=event.properties,
    )
