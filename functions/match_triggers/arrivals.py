"""Queue `events`: what arrived is merged into the rows of its visitors.

One read for all visitors of a batch, then one conditional write for each visitor whom the events change, 25 a request. An event
that no trigger names, on a tracker whose triggers wait for nothing but what they name, costs nothing at all. Where one of them
attends to all that a visitor does, the read cannot be left out: any event restarts a pending silence, or goes on with a visit,
and only the row says whether one is pending. It is the cheaper half of what a conditional update per visitor would cost, which
DynamoDB charges also when its condition fails.

Events of any name only make the visitor active, by their own time. So a repeat changes nothing, without a list of ids seen. What
a visitor does before the first event that a trigger names is not kept, but for triggers on sessions; it cannot be later than what
comes after it, but for events that overtake each other on their way, and then silence counts from the one that was kept.

An event that may end something, and says which user it is, goes to a second row: of that user, on all trackers and devices. It is
read when a trigger fires (`firing`). So an order that a server tells of ends what a browser began, if both say the same user id.

No decision is taken here. What is due at once gets a timer without delay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from match_triggers.desk import TRIES, Desk
from match_triggers.exits import take_back
from match_triggers.identity import learn
from match_triggers.keeping import merged, merged_elsewhere, says_who
from shared.errors import Transient
from shared.ids import visit_id
from shared.jobs import EventsJob, TrackerEvent
from shared.queues import Batch, Record
from shared.trackers import PROFILES
from shared.visits import EVERYWHERE, Visit


@dataclass(frozen=True)
class _Group:
    """The events of one row, and the SQS ids of the records that they came in."""

    key: str
    tracker: str
    events: list[TrackerEvent] = field(default_factory=list)
    sources: dict[str, None] = field(default_factory=dict)

    def add(self, event: TrackerEvent, sources: Iterable[str]) -> None:
        """Takes an event in."""
        self.events.append(event)
        self.sources.update(dict.fromkeys(sources))


def arrive(batch: Batch[EventsJob], desk: Desk) -> None:
    """Works a batch off. A record is retried if any of its visitors could not be written."""
    arrival = _Arrival(desk, {record.message_id for record in batch.records if record.receives > 1})
    arrival.take(batch.records)
    desk.remind(arrival.due)
    for record in batch.records:
        if record.message_id in arrival.failed:
            batch.settle(record, arrival.failed[record.message_id])


class _Arrival:
    """A batch of events on its way into the rows."""

    def __init__(self, desk: Desk, received_before: set[str]) -> None:
        self._desk, self._received_before = desk, received_before
        self.due: list[tuple[str, datetime | None]] = []
        """Rows that are to be looked at, if that may not be known to the timers yet."""
        self.failed: dict[str, Exception] = {}

    def take(self, records: Iterable[Record[EventsJob]]) -> None:
        """Merges all events into their rows."""
        rows: dict[str, _Group] = {}
        for record in records:
            for event in record.body.events:
                _group(rows, event).add(event, [record.message_id])
        for group in [*rows.values()]:
            self._learn(group, rows)
        concerned = [group for group in rows.values() if self._concerns_a_trigger(group) and not self._has_failed(group)]
        self._keep({group.key: group for group in (*concerned, *self._elsewhere(concerned))})

    def _learn(self, group: _Group, rows: dict[str, _Group]) -> None:
        """Takes what the events tell of the person into the profile. What changes in it is an event too."""
        try:
            for change in learn(group.events, self._desk.profiles, self._desk.listening(PROFILES).watched):
                _group(rows, change).add(change, group.sources)
        except Exception as error:  # one visitor's failure, whatever it is, must not touch its neighbours
            self._fail(group, error)

    def _fail(self, group: _Group, error: Exception) -> None:
        self.failed |= dict.fromkeys(group.sources, error)

    def _has_failed(self, group: _Group) -> bool:
        return not group.sources.keys().isdisjoint(self.failed)

    def _concerns_a_trigger(self, group: _Group) -> bool:
        """Whether a trigger may need to know of one of the events; if not, not even the row is read."""
        listening = self._desk.listening(group.tracker)
        if not listening.listeners:
            return False
        return listening.attends or any(event.name in listening.names or says_who(event) for event in group.events)

    def _elsewhere(self, groups: Iterable[_Group]) -> Iterable[_Group]:
        """What may end something for a person, whatever device it was done on."""
        found: dict[str, _Group] = {}
        for group in groups:
            ends = self._desk.listening(group.tracker).ends
            for event in group.events if group.tracker != PROFILES else ():
                if event.user_id and ends(event):
                    key = visit_id(EVERYWHERE, None, event.user_id)
                    found.setdefault(key, _Group(key, EVERYWHERE)).add(event, group.sources)
        return found.values()

    def _keep(self, groups: Mapping[str, _Group]) -> None:
        """Writes the rows that the events change, again and again where others do so too."""
        pending = [*groups.values()]
        for _ in range(TRIES):
            rows = self._desk.visits.read_all(group.key for group in pending)
            pending = self._written(pending, rows)
            if not pending:
                return
        for group in pending:
            self._fail(group, Transient("the visit is being changed by others"))

    def _written(self, groups: Iterable[_Group], rows: Mapping[str, Visit]) -> list[_Group]:
        """Writes what is new. Returns the groups whose rows somebody else has changed meanwhile."""
        changed: list[tuple[_Group, Visit]] = []
        for group in groups:
            try:
                old = rows.get(group.key)
                new = self._merged(group, old)
                if new is None or new is old:
                    self._unchanged(group, old)
                else:
                    changed.append((group, new))
            except Exception as error:
                self._fail(group, error)
        overtaken: list[_Group] = []
        for (group, _), written in zip(changed, self._desk.visits.write_all(new for _, new in changed), strict=True):
            if isinstance(written, Exception):
                self._fail(group, written)
            elif written is None:
                overtaken.append(group)
            else:
                self._changed(group, rows.get(group.key), written)
        return overtaken

    def _merged(self, group: _Group, old: Visit | None) -> Visit | None:
        now = self._desk.clock()
        if group.tracker == EVERYWHERE:
            return merged_elsewhere(group.key, old, group.events, now)
        return merged(group.key, old, group.events, self._desk.listening(group.tracker), now)

    def _unchanged(self, group: _Group, row: Visit | None) -> None:
        if row is not None:
            take_back(row, group.events, self._desk)
            if self._came_before(group):
                # Whoever wrote this row may have died before its timer was sent.
                self.due.append((group.key, row.due_at))

    def _changed(self, group: _Group, old: Visit | None, new: Visit) -> None:
        """After the row has been written: what was told by these events is now known for good."""
        try:
            take_back(new, group.events, self._desk)
        except Exception as error:
            self._fail(group, error)
        if old is None or new.due_at != old.due_at or self._came_before(group):
            self.due.append((group.key, new.due_at))

    def _came_before(self, group: _Group) -> bool:
        return not self._received_before.isdisjoint(group.sources)


def _group(rows: dict[str, _Group], event: TrackerEvent) -> _Group:
    """Where an event belongs."""
    key = visit_id(event.tracker, event.anonymous_id, event.user_id)
    return rows.setdefault(key, _Group(key, event.tracker))
