"""One post of behaviour: who may post, what can be taken, and what is answered.

The order of things is what makes 202 a promise: first the taken events are in the queue, then the others are parked, then we
answer. Whoever gets no 202 posts again, and repeats change nothing further on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from connectors.base import Post, Rejected
from connectors.registry import TRACKERS
from receive_event.bounds import Bounds
from shared.catalogue import Catalogue
from shared.clock import Clock
from shared.errors import BadRequest
from shared.jobs import EventsJob, TrackerEvent
from shared.problem import answer, raw_body
from shared.queues import MAX_BODY, Queue, as_text, packed
from shared.trackers import Tracker

LARGEST_POST = 1_000_000

_NEVER_TOO_LARGE = MAX_BODY // 10
"""Bytes of a post whose events fit one job in any case: no event becomes ten times as large as it was posted."""


@dataclass(frozen=True)
class Desk:
    """What taking a post needs."""

    trackers: Catalogue[Tracker]
    queue: Queue
    parked: Queue
    bounds: Bounds
    clock: Clock
    count: Callable[[str, int, str], None]
    """Is told of each metric: its name, how many, and the tracker."""


def take(event: dict[str, object], desk: Desk) -> dict[str, object]:
    """Answers one post (API Gateway, payload 2.0). Raises BadRequest, or whatever the queue raises: then nothing is promised."""
    tracker = _tracker(event, desk)
    connector = TRACKERS.load(tracker.format)
    post = Post(_headers(event), raw_body(event, LARGEST_POST))
    connector.verify(tracker, post, desk.clock)
    taken, rejected = _sorted_out(connector.events(tracker, post, desk.clock), desk)
    desk.count("EventsRejected", len(rejected), tracker.name)
    if not taken:
        raise _nothing_taken(rejected)
    small = len(post.body) <= _NEVER_TOO_LARGE
    desk.queue.send_all([EventsJob.model_construct(events=tuple(taken))] if small else _jobs(taken))
    desk.parked.park_all(_parcels(tracker.name, rejected), desk.clock)
    desk.count("EventsAccepted", len(taken), tracker.name)
    return answer(202, {"accepted": len(taken), "rejected": [_shown(one) for one in rejected]})


def _tracker(event: dict[str, object], desk: Desk) -> Tracker:
    parameters = event.get("pathParameters")
    name = parameters.get("tracker") if isinstance(parameters, dict) else None
    found = desk.trackers.get(name) if isinstance(name, str) else None
    if found is None:
        raise BadRequest("there is no tracker of this name", field="tracker", status=404)
    return found.definition


def _headers(event: dict[str, object]) -> dict[str, str]:
    headers = event.get("headers")
    return {key.lower(): value for key, value in headers.items()} if isinstance(headers, dict) else {}


def _sorted_out(read: Sequence[TrackerEvent | Rejected], desk: Desk) -> tuple[list[TrackerEvent], list[Rejected]]:
    now = desk.clock()
    taken: list[TrackerEvent] = []
    rejected: list[Rejected] = []
    for index, one in enumerate(read):
        if isinstance(one, Rejected):
            rejected.append(one)
        elif fault := desk.bounds.fault(one, now):
            rejected.append(Rejected(index, *fault, one.model_dump_json()[:40_000]))
        else:
            taken.append(one)
    return taken, rejected


def _nothing_taken(rejected: Sequence[Rejected]) -> BadRequest:
    faults = tuple((f"events.{one.index}.{one.field}", one.reason) for one in rejected)
    return BadRequest(rejected[0].reason, field=faults[0][0], faults=faults)


def _shown(one: Rejected) -> dict[str, JsonValue]:
    return {"index": one.index, "field": one.field, "reason": one.reason}


def _jobs(events: Sequence[TrackerEvent]) -> Iterator[EventsJob]:
    """The events in as few jobs as halving makes, each at most `MAX_BODY` bytes: no event alone is larger than that."""
    job = EventsJob.model_construct(events=tuple(events))
    if len(events) == 1 or len(as_text(job).encode()) <= MAX_BODY:
        yield job
        return
    middle = len(events) // 2
    yield from _jobs(events[:middle])
    yield from _jobs(events[middle:])


def _parcels(tracker: str, rejected: Sequence[Rejected]) -> Iterator[tuple[str, str]]:
    """The rejected events as bodies to park, a few in each, with the reason of the first."""
    # As text within JSON an event may double, and its field and reason stand beside it.
    for some in packed(rejected, lambda one: 2 * len(one.raw) + 1_000, most=len(rejected)):
        events: list[JsonValue] = [_shown(one) | {"event": one.raw} for one in some]
        more = f" (and {len(some) - 1} more)" if len(some) > 1 else ""
        yield json.dumps({"tracker": tracker, "rejected": events}), f"{some[0].field}: {some[0].reason}{more}"
