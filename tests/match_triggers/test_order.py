"""Any order, any repetition, any split into batches: the decisions are the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from match_triggers.arrivals import arrive
from match_triggers.desk import Desk
from match_triggers.firing import fire
from match_triggers.versions import Versions
from shared.catalogue import Catalogue, Versioned
from shared.jobs import EventsJob, MessageJob, TimerJob, TrackerEvent
from shared.ledger import Ledger
from shared.person import Identifier, Profile
from shared.profiles import Profiles
from shared.queues import Batch, Queue
from shared.triggers import Trigger
from shared.visits import Visit, Visits
from tests.aws import Now
from tests.match_triggers.shop import START, tracker_event, versioned

TRIGGERS = {
    versioned.definition.name: versioned
    for versioned in (
        versioned(),
        versioned(name="viewed", must_include=["Product Viewed", "Product Added"], wait_seconds=1000),
        versioned(name="added", must_not_include=[], wait_seconds=2000, cart={"add": "Product Viewed"}),
    )
}
NAMES = ("Product Added", "Product Viewed", "Order Completed", "Page Viewed", "Product Removed", "Signed In")


class MemoryVisits:
    """`Visits` in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, Visit] = {}

    def read_all(self, ids: Iterable[str]) -> dict[str, Visit]:
        return {key: self.rows[key] for key in ids if key in self.rows}

    def read(self, key: str) -> Visit | None:
        return self.rows.get(key)

    def write(self, visit: Visit) -> Visit | None:
        known = self.rows.get(visit.id)
        if (known.version if known else 0) != visit.version:
            return None
        # As through the table: whatever JSON does to it.
        text = visit.model_dump_json(exclude_defaults=True)
        self.rows[visit.id] = Visit.model_validate_json(text).model_copy(update={"version": visit.version + 1})
        return self.rows[visit.id]


class MemoryProfiles:
    """Whoever logs in has a profile."""

    def find(self, identifiers: Iterable[Identifier]) -> list[str]:
        return sorted(f"p_{value}" for _, value in identifiers)

    def get_all(self, ids: Iterable[str]) -> dict[str, Profile]:
        return {}

    def upsert(self, *_: object) -> str:
        return ""


@dataclass
class MemoryQueue:
    sent: list[BaseModel] = field(default_factory=list)

    def send_all(self, bodies: Iterable[BaseModel | tuple[BaseModel, int]]) -> None:
        self.sent += [body[0] if isinstance(body, tuple) else body for body in bodies]


class MemoryLedger:
    """Forgets whatever it is told."""

    def skip(self, *_: object) -> None:
        return


class MemoryVersions:
    def of(self, integration: str) -> int:
        return 1


class MemoryCatalogue:
    def get(self, name: str) -> Versioned[Trigger] | None:
        return TRIGGERS.get(name)

    def all(self) -> dict[str, Versioned[Trigger]]:
        return TRIGGERS


class Site:
    """The function with everything around it in memory."""

    def __init__(self) -> None:
        self.clock = Now(START + timedelta(seconds=900))
        self.visits, self.messages, self.timers = MemoryVisits(), MemoryQueue(), MemoryQueue()
        self.desk = Desk(
            visits=cast("Visits", self.visits),
            profiles=cast("Profiles", MemoryProfiles()),
            ledger=cast("Ledger", MemoryLedger()),
            versions=cast("Versions", MemoryVersions()),
            triggers=cast("Catalogue[Trigger]", MemoryCatalogue()),
            timers=cast("Queue", self.timers),
            messages=cast("Queue", self.messages),
            clock=self.clock,
            horizon=timedelta(seconds=90),
        )

    def post(self, *jobs: EventsJob) -> None:
        """Events arrive, and timers go off for whatever is due by now."""
        arrive(self._batch(jobs, EventsJob), self.desk)
        due = [visit.id for visit in self.visits.rows.values() if visit.due_at and visit.due_at <= self.clock()]
        fire(self._batch([TimerJob(visit_id=visit_id) for visit_id in due], TimerJob), self.desk)

    def decisions(self) -> list[tuple[object, ...]]:
        """What was decided once time has gone by, without what legitimately depends on when events came in."""
        while pending := [visit for visit in self.visits.rows.values() if visit.due_at]:
            self.clock.at = max(self.clock.at, min(visit.due_at for visit in pending if visit.due_at))
            fire(self._batch([TimerJob(visit_id=visit.id) for visit in pending], TimerJob), self.desk)
        jobs = [cast("MessageJob", job) for job in self.messages.sent]
        return sorted((j.message_id, j.decided, j.reason, j.profile_id, j.begins_at, str(j.context)) for j in jobs)

    def _batch(self, bodies: Iterable[BaseModel], body: type[BaseModel]) -> Batch:  # type: ignore[type-arg]
        return Batch(_event(bodies), body, client=None, queue_url="", parked=None, clock=self.clock)  # type: ignore[arg-type]


def _event(bodies: Iterable[BaseModel]) -> dict[str, object]:
    attributes = {"ApproximateReceiveCount": "1"}
    numbered = enumerate(bodies)
    return {
        "Records": [
            {"messageId": str(i), "receiptHandle": "", "body": body.model_dump_json(), "attributes": attributes}
            for i, body in numbered
        ]
    }


@st.composite
def visits(draw: st.DrawFn) -> list[TrackerEvent]:
    """Two visitors' quarter of an hour, shorter than any wait and than what a skip waits for late events."""
    happened = draw(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 290), st.integers(0, 1)), min_size=1, max_size=14))
    made = [
        tracker_event(
            name,
            second,
            id=f"{number}",
            anonymous_id=f"browser-{visitor}",
            user_id=f"u{visitor}" if name == "Signed In" else None,
            properties={"product_id": f"p{number % 3}"},
        )
        for number, (name, second, visitor) in enumerate(happened)
    ]
    return made


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[TrackerEvent], list[list[EventsJob]]]:
    """A history, and the same history shuffled, some of it repeated, cut into jobs and the jobs into batches."""
    history = draw(visits())
    repeated = history + draw(st.lists(st.sampled_from(history), max_size=6))
    shuffled = draw(st.permutations(repeated))
    jobs = [EventsJob(events=tuple(part)) for part in cut(shuffled, draw(st.lists(st.integers(1, 5), min_size=20, max_size=20)))]
    return history, [list(part) for part in cut(jobs, draw(st.lists(st.integers(1, 3), min_size=20, max_size=20)))]


def cut(items: list, sizes: list[int]) -> Iterator[list]:  # type: ignore[type-arg]
    rest = iter(items)
    for size in sizes:
        if part := list(itertools.islice(rest, size)):
            yield part


@settings(max_examples=200, deadline=None)
@given(deliveries())
def test_the_same_history_leads_to_the_same_decisions(delivered: tuple[list[TrackerEvent], list[list[EventsJob]]]) -> None:
    history, batches = delivered
    straight, crooked = Site(), Site()
    straight.clock.at = crooked.clock.at = START + timedelta(seconds=299)
    for event in sorted(history, key=lambda event: (event.at, event.id)):
        straight.post(EventsJob(events=(event,)))
    for batch in batches:
        crooked.post(*batch)
    assert crooked.decisions() == straight.decisions()
