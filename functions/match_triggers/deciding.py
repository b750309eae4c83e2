"""From an episode that is due to the job for `send_message`: who is meant, what the template gets, and how it came to this."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from pydantic import JsonValue
from pydantic_core import to_json

from match_triggers.activity import visits
from match_triggers.cart import cart_of
from match_triggers.identity import Meant
from match_triggers.walking import Episode
from shared.clock import iso
from shared.ids import message_id
from shared.jobs import Hop, MessageJob, TrackerEvent
from shared.visits import Visit, VisitEvent

_LARGEST_LIST = 60_000
"""Bytes of the cart, and of the events, that go with a message: with one event of 32 kB they fit a queue message."""


def id_of(visit: Visit, episode: Episode) -> str:
    """The id of the message that this episode leads to."""
    return message_id(episode.listener.name, visit.id, episode.key)


def job_of(visit: Visit, episode: Episode, who: Meant, integration_version: int, now: datetime) -> MessageJob:
    """The job that carries the decision, with its trace so far."""
    trigger = episode.listener.definition
    reason = episode.skipped or who.fault
    return MessageJob(
        message_id=id_of(visit, episode),
        trigger=trigger.name,
        trigger_version=episode.listener.version,
        visit_id=visit.id,
        profile_id=who.only,
        decided="skip" if reason else "send",
        reason=reason,
        campaign=trigger.campaign,
        delivery=trigger.delivery,
        template=trigger.template,
        integration=trigger.integration,
        integration_version=integration_version,
        decided_at=now,
        anchor_at=episode.due_at - timedelta(seconds=trigger.wait_seconds),
        begins_at=episode.begins_at,
        # From the deadline, not from now: a timer that an outage held up must not make old news fresh.
        valid_until=episode.due_at + timedelta(seconds=trigger.validity_seconds),
        context=_context(visit, episode),
        hops=tuple(_hops(episode, who, reason, now)),
    )


def skipped(job: MessageJob, reason: str) -> MessageJob:
    """The same decision as a skip, for a reason that only became known after it was made up."""
    last = job.hops[-1].model_copy(update={"what": "skip", "reason": reason})
    return job.model_copy(update={"decided": "skip", "reason": reason, "profile": None, "hops": (*job.hops[:-1], last)})


def known_events(visit: Visit, episode: Episode) -> list[VisitEvent]:
    """What the decision knows of the visit, or visits, that the episode is in: from their beginning to its deadline."""
    spans = visits(visit.active, episode.listener.session)
    begin = next((begin for begin, end in spans if begin <= episode.begins_at <= end), episode.begins_at)
    return [event for event in visit.events if begin <= event.at <= episode.due_at]


def _context(visit: Visit, episode: Episode) -> dict[str, JsonValue]:
    events = [event for event in visit.events if event.at <= episode.due_at]
    cart: list[JsonValue] = list(cart_of(events, episode.listener.definition.cart))
    own = [event for event in events if event.at >= episode.begins_at]
    shown: list[JsonValue] = [_shown(event) for event in own]
    last = next(iter([*episode.qualifying[-1:], *own[-1:]]), None)
    return {"cart": _newest(cart), "events": _newest(shown), "event": _shown(last) if last else None}


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


def _hops(episode: Episode, who: Meant, reason: str, now: datetime) -> Iterable[Hop]:
    qualifying = episode.qualifying
    ends: Sequence[VisitEvent] = [episode.ended_with] if episode.ended_with else []
    for event in {event.id: event for event in (*qualifying[:1], *qualifying[-1:], *ends)}.values():
        yield received(event)
    data: dict[str, JsonValue] = {"trigger": episode.listener.name, "first_event": episode.key}
    matched_at = qualifying[-1].matched_at if qualifying else episode.begins_at
    yield Hop(at=matched_at, hop="match_triggers", what="matched", data=data)
    timer: dict[str, JsonValue] = {
        "due_at": iso(episode.due_at),
        "fired_at": iso(now),
        "lateness": round((now - episode.due_at).total_seconds(), 3),
    }
    yield Hop(at=now, hop="match_triggers", what="timer", data=timer)
    yield Hop(at=now, hop="match_triggers", what="skip" if reason else "send", reason=reason, data=who.data())


def received(event: VisitEvent | TrackerEvent) -> Hop:
    """The step of an event's arrival."""
    lag = round((event.received_at - event.at).total_seconds(), 3)
    data: dict[str, JsonValue] = {"event": event.id, "event_time": iso(event.at), "lag": lag}
    return Hop(at=event.received_at, hop="receive_event", what=f"received {event.name}", data=data)
