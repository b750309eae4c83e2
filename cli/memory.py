"""What `match_triggers` works with, in memory: for recorded behaviour on a simulated clock, and for tests."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar, cast

from pydantic import BaseModel, JsonValue

from match_triggers.desk import Desk
from match_triggers.versions import Versions
from shared.catalogue import Catalogue, Versioned
from shared.clock import Clock
from shared.entities import Entities, Key
from shared.ids import profile_id
from shared.jobs import EventsJob, Hop, MessageJob, TimerJob
from shared.joining import both
from shared.ledger import Ledger
from shared.person import PERSONAL, PROFILE, Identifier, Profile, learnt, owner_of, stranger
from shared.profile_table import identifier_key
from shared.profiles import Profiles
from shared.queues import Batch, Queue, Record
from shared.triggers import Trigger
from shared.visits import Fired, Visit, Visits

B = TypeVar("B", EventsJob, TimerJob)


class MemoryVisits:
    """`Visits`, and when each is due."""

    def __init__(self) -> None:
        self.rows: dict[str, Visit] = {}
        self._due: list[tuple[datetime, str]] = []

    def read(self, visit_id: str) -> Visit | None:
        """One visit; None if there is no row."""
        return self.rows.get(visit_id)

    def read_all(self, visit_ids: Iterable[str]) -> dict[str, Visit]:
        """Those that have a row."""
        return {key: self.rows[key] for key in visit_ids if key in self.rows}

    def write(self, visit: Visit) -> Visit | None:
        """Writes the visit if its row is still as it was read."""
        known = self.rows.get(visit.id)
        if (known.version if known else 0) != visit.version:
            return None
        # As through the table: whatever JSON does to it.
        text = visit.model_dump_json(exclude_defaults=True)
        written = Visit.model_validate_json(text).model_copy(update={"version": visit.version + 1})
        self.rows[visit.id] = written
        if written.due_at is not None:
            heapq.heappush(self._due, (written.due_at, written.id))
        return written

    def write_all(self, visits: Iterable[Visit]) -> list[Visit | None]:
        """Writes each for itself."""
        return [self.write(visit) for visit in visits]

    def next_due(self) -> datetime | None:
        """When the first row is to be looked at; None if none is."""
        while self._due and not self._is_current(*self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def take_due(self, until: datetime) -> list[str]:
        """The rows that are due by then, each once. Who takes one has to look at it: it is not told again."""
        found: dict[str, None] = {}
        while (at := self.next_due()) is not None and at <= until:
            found[heapq.heappop(self._due)[1]] = None
        return [*found]

    def _is_current(self, at: datetime, visit_id: str) -> bool:
        return self.rows[visit_id].due_at == at


class MemoryProfiles:
    """`Profiles`, but for opt-outs, which only matter when a message is sent."""

    def __init__(self) -> None:
        self.people: dict[str, Profile] = {}
        self._owners: dict[str, str] = {}
        self._joined: dict[str, str] = {}

    def owners(self, visitors: Iterable[Iterable[Identifier]]) -> dict[Identifier, str]:
        """To whom the identifiers belong, of those that belong to anybody."""
        asked = dict.fromkeys(one for identifiers in visitors for one in identifiers)
        return {one: owner for one in asked if (owner := self._owner(one))}

    def _owner(self, identifier: Identifier) -> str:
        return self._now(identifier[1] if identifier[0] == PROFILE else self._owners.get(identifier_key(identifier), ""))

    def _now(self, person: str) -> str:
        while person in self._joined:
            person = self._joined[person]
        return person

    def get_all(self, ids: Iterable[str]) -> dict[str, Profile]:
        """Those that exist, by the id that was asked for."""
        return {one: self.people[now] for one in ids if (now := self._now(one)) in self.people}

    def upsert(
        self,
        identifiers: Sequence[Identifier],
        attributes: Mapping[str, JsonValue],
        at: datetime,
        *,
        alias: bool = False,
        watched: Collection[str] = (),
    ) -> str:
        """What was learnt of a person: of each attribute the newest wins. Returns the profile's id."""
        if alias:
            named = [one for one in identifiers if one[0] in PERSONAL]
            self._join(sorted({*self.owners([named]).values()}))
        owners = self.owners([identifiers])
        person = owner_of(identifiers, owners, self.people) or profile_id(*identifiers[0])
        theirs = [one for one in identifiers if owners.get(one, person) == person]
        self.people[person] = learnt(self.people.get(person, stranger(person)), theirs, attributes, at, watched)
        self._owners |= {identifier_key(one): person for one in theirs}
        return person

    def _join(self, people: Sequence[str]) -> None:
        for gone in people[1:]:
            self.people[people[0]] = both(self.people[people[0]], self.people.pop(gone))
            self._joined[gone] = people[0]


class MemoryEntities:
    """`Entities`, read only."""

    def __init__(self, rows: Mapping[Key, dict[str, JsonValue]] | None = None) -> None:
        self.rows = rows or {}

    def get_all(self, keys: Iterable[Key]) -> dict[Key, dict[str, JsonValue]]:
        """The rows that exist."""
        return {key: self.rows[key] for key in keys if key in self.rows}


@dataclass
class MemoryQueue:
    """`Queue`, which keeps what it is sent."""

    sent: list[BaseModel] = field(default_factory=list)

    def send_all(self, bodies: Iterable[BaseModel | tuple[BaseModel, int]]) -> None:
        """Keeps the bodies."""
        self.sent += [body[0] if isinstance(body, tuple) else body for body in bodies]

    def send_texts(self, texts: Iterable[str]) -> None:
        """Keeps messages that are written out already."""
        self.sent += [MessageJob.model_validate_json(text) for text in texts]


@dataclass
class MemoryLedger:
    """`Ledger`, which only keeps what is taken back."""

    taken_back: dict[str, tuple[Hop, ...]] = field(default_factory=dict)
    """Message → the last steps of its trace."""

    def skip(self, message: Fired, hops: Sequence[Hop]) -> None:
        """The message does not go out; whatever is said of it afterwards changes nothing."""
        self.taken_back.setdefault(message.message_id, tuple(hops))


class MemoryVersions:
    """`Versions` of integrations that never changed."""

    def of(self, integration: str) -> int:
        """The current version."""
        return 1


@dataclass
class MemoryCatalogue:
    """`Catalogue` of these triggers."""

    triggers: Mapping[str, Versioned[Trigger]]

    def all(self) -> Mapping[str, Versioned[Trigger]]:
        """Every trigger."""
        return self.triggers

    def get(self, name: str) -> Versioned[Trigger] | None:
        """The trigger of this name."""
        return self.triggers.get(name)


class MemoryBatch(Batch[B]):
    """A batch that came from no queue: what goes wrong with a record goes wrong with all."""

    def __init__(self, bodies: Iterable[B]) -> None:
        self.records = [Record(body, str(index), "", 1, "") for index, body in enumerate(bodies)]

    def settle(self, record: Record[B], error: Exception) -> None:
        """Raises the error."""
        raise error


@dataclass
class Memory:
    """All of it together."""

    triggers: Mapping[str, Versioned[Trigger]]
    visits: MemoryVisits = field(default_factory=MemoryVisits)
    profiles: MemoryProfiles = field(default_factory=MemoryProfiles)
    entities: MemoryEntities = field(default_factory=MemoryEntities)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    timers: MemoryQueue = field(default_factory=MemoryQueue)
    messages: MemoryQueue = field(default_factory=MemoryQueue)

    def desk(self, clock: Clock) -> Desk:
        """What matching needs, made of this.."""
        return Desk(
            visits=cast("Visits", self.visits),
            profiles=cast("Profiles", self.profiles),
            entities=cast("Entities", self.entities),
            ledger=cast("Ledger", self.ledger),
            versions=cast("Versions", MemoryVersions()),
            triggers=cast("Catalogue[Trigger]", MemoryCatalogue(self.triggers)),
            timers=cast("Queue", self.timers),
            messages=cast("Queue", self.messages),
            clock=clock,
            horizon=timedelta(seconds=90),
        )

    def taken(self) -> list[MessageJob]:
        """The decisions that were sent since this was asked last, in their order."""
        jobs, self.messages.sent = self.messages.sent, []
        return [cast("MessageJob", job) for job in jobs]
