"""What the formats of trackers have in common: one class each, in one file each. They do no I/O."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from connectors.base import MAX_EVENTS, Post, Read, Rejected
from connectors.bodies import parsed
from shared.clock import Clock, from_iso
from shared.errors import BadRequest
from shared.exchange import Exchange
from shared.ids import digest
from shared.jobs import TrackerEvent
from shared.trackers import Tracker

_RAW_KEPT = 40_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
"""What is before it was in a larger unit."""
_UNITS = {"seconds": timedelta(seconds=1), "milliseconds": timedelta(milliseconds=1), "microseconds": timedelta(microseconds=1)}

EXPECTED_TIME = "must be an ISO 8601 time with its zone, as in 2026-01-31T10:00:00Z"


@dataclass(frozen=True)
class Reply:
    """What is answered to a request that brings no events: a challenge, or the question whether we take any."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Unusable(Exception):
    """An event cannot be taken: the field, and what was expected there."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


class TrackerFormat(ABC):
    """One format in which behaviour is posted to us."""

    names: Mapping[str, str] = {}
    """What the format's event names are called here, where there is a name that is usual in commerce: Segment's."""
    setup: tuple[str, ...] = ()
    """How to have it post here, step by step, as its page says it: where in the vendor's console, and which proof to choose."""
    methods: tuple[str, ...] = ("POST",)
    """By which methods events come."""
    write_key: str = "writeKey"
    """What a write key is called in a URL and in a body (`proof: write_key`)."""
    forgiving: bool = False
    """Whether a post of which nothing can be used is parked and answered with 202. Else it is refused, so that who wrote it sees
    why; but there are vendors who repeat what is refused, and then switch the webhook off."""

    def greeting(self, tracker: Tracker, post: Post) -> Reply | Exchange[Reply] | None:
        """What to answer a request that brings no events; None if it brings some. Asked before anything is verified.

        An exchange if something must be fetched before it can be answered.
        """
        return None

    def verify(self, tracker: Tracker, post: Post, clock: Clock) -> Exchange[None] | None:
        """Verifies in the format's own way (`proof: vendor`). Raises BadRequest (401) that says why it is refused.

        Returns what has to be fetched for it, if anything has.
        """
        raise BadRequest("this format has no signature of its own", field="proof", status=401)

    @abstractmethod
    def events(self, tracker: Tracker, post: Post, clock: Clock) -> list[Read | None]:
        """What each event of the post is, in their order; None for one that says nothing of a visitor.

        Raises BadRequest (400) if it has none that could be read.
        """

    def called(self, tracker: Tracker, name: str) -> str:
        """What an event of this name is called: as the tracker says, else as the format does, else so."""
        return tracker.names.get(name) or self.names.get(name, name)


class EventFormat(TrackerFormat):
    """A format whose events can be read each by itself."""

    def listed(self, tracker: Tracker, post: Post) -> Sequence[JsonValue]:
        """The events of a post as they were posted. Raises BadRequest (400) if it has none that could be read.

        One object, or a list of them, unless a format overrides it.
        """
        return bounded(one_or_many(parsed(post.body)))

    @abstractmethod
    def event(self, tracker: Tracker, posted: JsonValue, post: Post, received_at: datetime) -> TrackerEvent | None:
        """One event, made with `made`; None for one that says nothing of a visitor. Raises Unusable."""

    def events(self, tracker: Tracker, post: Post, clock: Clock) -> list[Read | None]:
        """Each of those that are listed, as `event` reads it. Raises BadRequest as `listed` does."""
        received_at = clock()
        return each(self.listed(tracker, post), lambda posted: self.event(tracker, posted, post, received_at))


def each(listed: Sequence[JsonValue], event: Callable[[JsonValue], TrackerEvent | None]) -> list[Read | None]:
    """What `event` makes of each; a Rejected where it raises Unusable."""
    read: list[Read | None] = []
    for index, posted in enumerate(listed):
        try:
            read.append(event(posted))
        except Unusable as error:
            raw = json.dumps(posted)[:_RAW_KEPT]
            read.append(Rejected(index, error.field[:200], error.reason, raw))
    return read


def one_or_many(body: JsonValue) -> list[JsonValue]:
    """A body that is one event or a list of them. Raises BadRequest (400)."""
    if isinstance(body, dict):
        return [body]
    if isinstance(body, list):
        return body
    raise BadRequest("must be an event, or a list of events", field="body")


def batched(body: JsonValue, own: str) -> list[JsonValue]:
    """A body that is one event, a list of them, or has them as `batch`. An event is known by its field `own`.

    Raises BadRequest (400).
    """
    if not isinstance(body, dict) or "batch" not in body or own in body:
        return bounded(one_or_many(body))
    batch = body["batch"]
    if not isinstance(batch, list):
        raise BadRequest("must be a list of events", field="batch")
    return bounded(batch)


def bounded(events: list[JsonValue]) -> list[JsonValue]:
    """The same events: none, if there are none, as some post an empty batch to see whether somebody answers.

    Raises BadRequest (400) if there are too many to be answered one by one.
    """
    if len(events) > MAX_EVENTS:
        raise BadRequest(f"must have at most {MAX_EVENTS} events", field="body")
    return events


def fields_of(posted: JsonValue) -> dict[str, JsonValue]:
    """An event's fields. Raises Unusable if it is no object."""
    if not isinstance(posted, dict):
        raise Unusable("event", "must be an object")
    return posted


def content_id(tracker: Tracker, posted: JsonValue) -> str:
    """An id for an event that has none: made of its content, so that the same posted again is the same."""
    return digest("event", tracker.name, json.dumps(posted, sort_keys=True))


def time_of(value: JsonValue, where: str) -> datetime:
    """An ISO 8601 time with its zone, in UTC. Raises Unusable."""
    try:
        return from_iso(value if isinstance(value, str) else "")
    except (ValueError, OverflowError):
        raise Unusable(where, EXPECTED_TIME) from None


def unix_time_of(value: JsonValue, where: str, unit: str = "seconds") -> datetime:
    """A Unix time in seconds, milliseconds or microseconds, as a number or as its text, in UTC. Raises Unusable."""
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        at = _EPOCH + float(value) * _UNITS[unit]
        if at < _FIRST:
            raise ValueError
    except (ValueError, OverflowError):
        raise Unusable(where, f"must be a Unix time in {unit}") from None
    return at


def text_of(value: JsonValue, where: str) -> str | None:
    """A text or a whole number as text; None if there is none. Raises Unusable if it is something else."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Unusable(where, "must be a text")
    return str(value)


def object_of(value: JsonValue, where: str) -> dict[str, JsonValue]:
    """An object; an empty one if there is none. Raises Unusable if it is something else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unusable(where, "must be an object")
    return value


def made(
    tracker: Tracker,
    *,
    id: str,  # what it is called in an event
    name: str,
    at: datetime,
    received_at: datetime,
    anonymous_id: str | None = None,
    user_id: str | None = None,
    identifiers: tuple[tuple[str, str], ...] = (),
    alias: bool = False,
    properties: dict[str, JsonValue] | None = None,
    traits: dict[str, JsonValue] | None = None,
) -> TrackerEvent:
    """A tracker event of values that are of these types already: a second look at each would cost as much as all the rest.

    It is what `TrackerEvent.model_construct` makes, at a fifth of its price, which was an eighth of all that an event costs. Ids
    that programs write when they know nobody are left out.
    """
    event = TrackerEvent.__new__(TrackerEvent)
    fields: dict[str, object] = {
        "id": id,
        "tracker": tracker.name,
        "name": name,
        "at": at,
        "received_at": received_at,
        "anonymous_id": _somebody(anonymous_id),
        "user_id": _somebody(user_id),
        "identifiers": tuple(one for one in identifiers if _somebody(one[1])) if identifiers else (),
        "alias": alias,
        "properties": properties or {},
        "traits": traits or {},
    }
    _set(event, "__dict__", fields)
    _set(event, "__pydantic_fields_set__", _FIELDS)
    _set(event, "__pydantic_extra__", None)
    _set(event, "__pydantic_private__", None)
    return event


_NOBODY = frozenset(
    {
        "undefined",
        "null",
        "nil",
        "none",
        "nan",
        "[object object]",
        "anonymous",
        "guest",
        "unknown",
        "not_authenticated",
        "true",
        "false",
        "0",
        "00000000-0000-0000-0000-000000000000",
    }
)
"""In small letters. Were these ids, all strangers would be one person, and one of them would get what another left behind."""


def _somebody(text: str | None) -> str | None:
    return None if text is None or text.lower() in _NOBODY else text


_set = object.__setattr__
_FIELDS = set(TrackerEvent.model_fields)
