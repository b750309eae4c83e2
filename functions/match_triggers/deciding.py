"""From an episode that is due to the job for `send_message`: who is meant, what the template gets, and how it came to this."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import JsonValue
from pydantic_core import to_json

from match_triggers.cart import cart_of
from match_triggers.matching import Episode
from shared.clock import iso
from shared.ids import message_id
from shared.jobs import Hop, MessageJob, TrackerEvent
from shared.visits import Visit, VisitEvent

_LARGEST_LIST = 60_000
"""Bytes of the cart, and of the events, that go with a message: with one event of 32 kB they fit a queue message."""


@dataclass(frozen=True)
class Verdict:
    """What is decided, and about whom."""

    decided: Literal["send", "skip"]
    profile_id: str | None
    reason: str = ""


def verdict(episode: Episode, profiles: Sequence[str]) -> Verdict:
    """The decision about an episode of a visit whose identifiers belong to these profiles."""
    only = profiles[0] if len(profiles) == 1 else None
    if episode.excluded is not None:
        return Verdict("skip", only, episode.trigger.definition.cancelled_as)
    if only is None:
        return Verdict("skip", None, "several profiles" if profiles else "no profile")
    return Verdict("send", only)


def job_of(visit: Visit, episode: Episode, profiles: Sequence[str], integration_version: int, now: datetime) -> MessageJob:
    """The job that carries the decision, with its trace so far."""
    trigger, what = episode.trigger.definition, verdict(episode, profiles)
    return MessageJob(
        message_id=message_id(trigger.name, visit.id, episode.first.id),
        trigger=trigger.name,
        trigger_version=episode.trigger.version,
        visit_id=visit.id,
        profile_id=what.profile_id,
        decided=what.decided,
        reason=what.reason,
        campaign=trigger.campaign,
        delivery=trigger.delivery,
        template=trigger.template,
        integration=trigger.integration,
        integration_version=integration_version,
        decided_at=now,
        anchor_at=visit.last_at,
        begins_at=episode.first.at,
        # From the deadline, not from now: a timer that an outage held up must not make old news fresh.
        valid_until=episode.due_at + timedelta(seconds=trigger.validity_seconds),
        context=_context(visit, episode),
        hops=tuple(_hops(episode, what, now)),
    )


def _context(visit: Visit, episode: Episode) -> dict[str, JsonValue]:
    events = [event for event in visit.events if event.at <= episode.through]
    cart: list[JsonValue] = list(cart_of(events, episode.trigger.definition))
    shown: list[JsonValue] = [_shown(event) for event in events if event.at >= episode.first.at]
    return {"cart": _newest(cart), "events": _newest(shown), "event": _shown(episode.last)}


def _shown(event: VisitEvent) -> dict[str, JsonValue]:
    return {"id": event.id, "name": event.name, "time": iso(event.at), "properties": event.properties}


def _newest(values: list[JsonValue]) -> list[JsonValue]:
    """The last of the values that fit into `_LARGEST_LIST` bytes."""
    room = _LARGEST_LIST
    for index in range(len(values) - 1, -1, -1):
        room -= len(to_json(values[index]))
        if room < 0:
            return values[index + 1 :]
    return values


def _hops(episode: Episode, what: Verdict, now: datetime) -> Iterable[Hop]:
    first, last, trigger = episode.first, episode.last, episode.trigger.definition
    for event in dict.fromkeys(e.id for e in (first, last)):
        yield received(first if event == first.id else last)
    if episode.excluded is not None:
        yield received(episode.excluded)
    yield Hop(at=last.matched_at, hop="match_triggers", what="matched", data={"trigger": trigger.name, "first_event": first.id})
    timer: dict[str, JsonValue] = {
        "due_at": iso(episode.due_at),
        "fired_at": iso(now),
        "lateness": round((now - episode.due_at).total_seconds(), 3),
    }
    yield Hop(at=now, hop="match_triggers", what="timer", data=timer)
    yield Hop(at=now, hop="match_triggers", what=what.decided, reason=what.reason)


def received(event: VisitEvent | TrackerEvent) -> Hop:
    """The step of an event's arrival."""
    lag = round((event.received_at - event.at).total_seconds(), 3)
    data: dict[str, JsonValue] = {"event": event.id, "event_time": iso(event.at), "lag": lag}
    return Hop(at=event.received_at, hop="receive_event", what=f"received {event.name}", data=data)
