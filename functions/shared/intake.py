"""What is taken of what a tracker says, and what is kept of the rest: the same for a post and for what is read in a journal."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from shared.bounds import Bounds
from shared.jobs import EventsJob, TrackerEvent
from shared.queues import MAX_BODY, as_text, packed


@dataclass(frozen=True)
class Rejected:
    """One event of a post that cannot be taken: its position, the field, what was expected there, and the event as text."""

    index: int
    field: str
    reason: str
    raw: str = dataclasses.field(repr=False)


def sorted_out(
    read: Sequence[TrackerEvent | Rejected | None], bounds: Bounds, now: datetime
) -> tuple[list[TrackerEvent], list[Rejected]]:
    """The events that are taken, and those that are not: they could not be read, or are out of bounds."""
    taken: list[TrackerEvent] = []
    rejected: list[Rejected] = []
    for index, one in enumerate(read):
        if one is None:
            continue
        if isinstance(one, Rejected):
            rejected.append(one)
        elif fault := bounds.fault(one, now):
            rejected.append(Rejected(index, *fault, one.model_dump_json()[:40_000]))
        else:
            taken.append(one)
    return taken, rejected


def shown(one: Rejected) -> dict[str, JsonValue]:
    """What whoever posted it is told."""
    return {"index": one.index, "field": one.field, "reason": one.reason}


def jobs(events: Sequence[TrackerEvent]) -> Iterator[str]:
    """The events in as few jobs as halving makes, each at most `MAX_BODY` bytes: no event alone is larger than that."""
    if not events:
        return
    job = as_text(EventsJob.model_construct(events=tuple(events)))
    if len(events) == 1 or len(job.encode()) <= MAX_BODY:
        yield job
        return
    middle = len(events) // 2
    yield from jobs(events[:middle])
    yield from jobs(events[middle:])


def parcels(tracker: str, rejected: Sequence[Rejected]) -> Iterator[tuple[str, str]]:
    """The rejected events as bodies to park, a few in each, with the reason of the first."""
    # As text within JSON an event may double, and its field and reason stand beside it.
    for some in packed(rejected, lambda one: 2 * len(one.raw) + 1_000, most=len(rejected)):
        events: list[JsonValue] = [shown(one) | {"event": one.raw} for one in some]
        more = f" (and {len(some) - 1} more)" if len(some) > 1 else ""
        yield json.dumps({"tracker": tracker, "rejected": events}), f"{some[0].field}: {some[0].reason}{more}"
