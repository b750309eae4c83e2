"""One post of behaviour: who may post, what can be taken, and what is answered.

The order of things is what makes 202 a promise: first the taken events are in the queue, then the others are parked, then we
answer. Whoever gets no 202 posts again, and repeats change nothing further on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from connectors.base import Post, Rejected
from connectors.bodies import LARGEST_POST, unzipped
from connectors.registry import TRACKERS
from connectors.trackers.base import Reply, TrackerFormat
from connectors.trackers.proving import prove
from receive_event.browsers import check_origin, preflight
from shared.bounds import Bounds
from shared.catalogue import Versioned
from shared.clock import Clock
from shared.errors import BadRequest
from shared.exchange import Exchange
from shared.fields import Limit
from shared.intake import jobs, parcels, shown, sorted_out
from shared.limits import Grant
from shared.problem import answer, headers_of, method_of, query_of, raw_body, url_of
from shared.queues import Queue
from shared.trackers import Tracker

T = TypeVar("T")

_WINDOW = 60
"""Seconds over which a limit is kept, at least."""


_ZIPPED = b"\x1f\x8b"
"""How gzip begins, and nothing else that is posted. PostHog's library for browsers says in the URL alone that it packs: a header
would make the browser ask first (posthog-js's source, read 2026-11-22)."""


class Fetch(Protocol):
    """What runs an exchange."""

    def __call__(self, exchange: Exchange[T]) -> T:
        """What it comes to. Raises what the exchange raises, Transient if something cannot be fetched now."""


@dataclass(frozen=True)
class Desk:
    """What taking a post needs."""

    tracker: Callable[[str], Versioned[Tracker] | None]
    """The tracker of this name."""
    queue: Queue
    parked: Queue
    bounds: Bounds
    clock: Clock
    grant: Callable[[str, Limit, int], Grant]
    """Lets so many through under a limit of this name (`shared.limits`)."""
    fetch: Fetch
    """Runs what a format has to fetch before it can verify a post, or answer it."""
    heard: Callable[[str], None]
    """Is told of each tracker that is watched for silence when something came from it."""
    count: Callable[[str, int, str], None]
    """Is told of each metric: its name, how many, and the tracker."""


def tracker_of(event: dict[str, object], desk: Desk) -> Tracker:
    """The tracker that a request (API Gateway, payload 2.0) is for. Raises BadRequest (404)."""
    parameters = event.get("pathParameters")
    name = parameters.get("tracker") if isinstance(parameters, dict) else None
    found = desk.tracker(name) if isinstance(name, str) else None
    if found is None:
        raise BadRequest("there is no tracker of this name", field="tracker", status=404)
    return found.definition


def take(event: dict[str, object], tracker: Tracker, desk: Desk) -> dict[str, object]:
    """Answers one request. Raises BadRequest, or whatever the queue or what is fetched raises: then nothing is promised."""
    connector, post = TRACKERS.load(tracker.format), _post(event)
    reply = preflight(tracker, connector, post) or connector.greeting(tracker, post) or _silent(connector, post)
    if isinstance(reply, Generator):
        reply = desk.fetch(reply)
    if reply is not None:
        return {"statusCode": reply.status, "headers": dict(reply.headers), "body": reply.body}
    check_origin(tracker, post)
    to_fetch = prove(connector, tracker, post, desk.clock)
    if to_fetch is not None:
        desk.fetch(to_fetch)
    _keep_to_limit(tracker, desk)
    answered = _queued(connector, tracker, post, desk)
    if tracker.silence_seconds is not None:
        desk.heard(tracker.name)
    return answered


def _post(event: dict[str, object]) -> Post:
    headers, raw = headers_of(event), raw_body(event, LARGEST_POST)
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("gzip", "x-gzip") or (not encoding and raw.startswith(_ZIPPED)):
        raw = unzipped(raw)
    elif encoding not in ("", "identity"):
        accepted = (("accept-encoding", "gzip"),)
        raise BadRequest("must be gzip, or nothing", field="content-encoding", status=415, headers=accepted)
    return Post(headers, raw, url_of(event), method_of(event), query_of(event))


def _silent(connector: TrackerFormat, post: Post) -> Reply | None:
    """The answer to a request by a method that brings no events; None if it may bring some."""
    if post.method in connector.methods:
        return None
    if post.method == "HEAD":  # somebody looks whether we are here
        return Reply(204)
    allowed = ", ".join(connector.methods)
    raise BadRequest(f"events come by {allowed}", field="method", status=405, headers=(("allow", allowed),))


def _keep_to_limit(tracker: Tracker, desk: Desk) -> None:
    if tracker.limit is None:
        return
    grant = desk.grant(f"tracker#{tracker.name}", stretched(tracker.limit), 1)
    if not grant.granted:
        wait = (("retry-after", str(max(1, math.ceil(grant.retry_after)))),)
        raise BadRequest("more is posted than the tracker's limit allows: come back later", status=429, headers=wait)


def stretched(limit: Limit) -> Limit:
    """The same rate over a minute at least.

    What a process takes of a limit ahead is good for a twentieth of the window. Were that milliseconds, each post would cost a
    write, and all of them on one row.
    """
    times = math.ceil(_WINDOW / limit.seconds)
    return Limit.model_construct(messages=limit.messages * times, seconds=limit.seconds * times)


def _queued(connector: TrackerFormat, tracker: Tracker, post: Post, desk: Desk) -> dict[str, object]:
    taken, rejected = sorted_out(connector.events(tracker, post, desk.clock), desk.bounds, desk.clock())
    desk.count("EventsRejected", len(rejected), tracker.name)
    if rejected and not taken and not connector.forgiving:
        raise _nothing_taken(rejected)
    desk.queue.send_texts(jobs(taken))
    desk.parked.park_all(parcels(tracker.name, rejected), desk.clock)
    desk.count("EventsAccepted", len(taken), tracker.name)
    return answer(202, {"accepted": len(taken), "rejected": [shown(one) for one in rejected]})


def _nothing_taken(rejected: Sequence[Rejected]) -> BadRequest:
    faults = tuple((f"events.{one.index}.{one.field}", one.reason) for one in rejected)
    return BadRequest(rejected[0].reason, field=faults[0][0], faults=faults)
