"""Standard Webhooks 1.0.0 (standardwebhooks.com) as a tracker: our own body, for whoever can shape JSON and sign a post.

The body is one event, or `{"events": [...]}`. An event is
`{id?, name, time, anonymous_id?, user_id?, properties?, traits?}`. One without `id` is identified by its content, so the
same event posted again is still the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue, SkipValidation, ValidationError

from connectors.base import MAX_EVENTS, Post, Read, Rejected
from shared.clock import Clock, from_iso
from shared.definitions import Tracker
from shared.errors import BadRequest
from shared.ids import digest
from shared.jobs import TrackerEvent
from shared.problem import parse_json
from shared.signatures import verify_standard_webhook

_RAW_KEPT = 40_000


class _Event(BaseModel):
    """An event as it is posted."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    name: str
    time: str
    id: str | None = None
    anonymous_id: str | None = None
    user_id: str | None = None
    # What is in them was parsed from JSON: looking at each value again would take as long as all the rest.
    properties: dict[str, SkipValidation[JsonValue]] = {}
    traits: dict[str, SkipValidation[JsonValue]] = {}


class _StandardWebhooks:
    def verify(self, tracker: Tracker, post: Post, clock: Clock) -> None:
        """Refuses (401) what none of the tracker's secrets has signed in the last five minutes."""
        secrets = (secret.get_secret_value() for secret in tracker.secrets)
        verify_standard_webhook(post.headers, post.body, secrets, clock)

    def events(self, tracker: Tracker, post: Post, clock: Clock) -> Sequence[Read]:
        """The post's events in their order. Raises BadRequest (400) if the body is neither an event nor a list of some."""
        received_at = clock()
        listed = _listed(parse_json(post.body))
        return [_read(index, posted, tracker.name, received_at) for index, posted in enumerate(listed)]


CONNECTOR = _StandardWebhooks()


def _listed(body: JsonValue) -> list[JsonValue]:
    if not isinstance(body, dict):
        raise BadRequest('must be one event, or {"events": [...]}', field="body")
    if "events" not in body:
        return [body]
    events = body["events"]
    if not isinstance(events, list) or not 0 < len(events) <= MAX_EVENTS:
        raise BadRequest(f"must be a list of 1 to {MAX_EVENTS} events", field="events")
    if unknown := sorted(set(body) - {"events"}):
        raise BadRequest("no such field beside events", field=unknown[0][:200])
    return events


def _read(index: int, posted: JsonValue, tracker: str, received_at: datetime) -> Read:
    try:
        event = _Event.model_validate(posted)
        at = from_iso(event.time)
    except ValidationError as error:
        field, reason = _first_fault(error)
        return _rejected(index, field, reason, posted)
    except (ValueError, OverflowError):
        return _rejected(index, "time", "must be an ISO 8601 time with its zone, as in 2026-01-31T10:00:00Z", posted)
    # Everything is checked by now, and a second look would cost as much as the first.
    return TrackerEvent.model_construct(
        id=_content(tracker, posted) if event.id is None else event.id,
        tracker=tracker,
        name=event.name,
        at=at,
        received_at=received_at,
        anonymous_id=event.anonymous_id,
        user_id=event.user_id,
        properties=event.properties,
        traits=event.traits,
    )


def _content(tracker: str, posted: JsonValue) -> str:
    return digest("event", tracker, json.dumps(posted, sort_keys=True))


def _first_fault(error: ValidationError) -> tuple[str, str]:
    fault = error.errors(include_url=False, include_input=False)[0]
    if not fault["loc"]:
        return "event", "must be an object"
    reason = "no such field" if fault["type"] == "extra_forbidden" else fault["msg"]
    return ".".join(str(step) for step in fault["loc"]), reason


def _rejected(index: int, field: str, reason: str, posted: JsonValue) -> Rejected:
    return Rejected(index, field[:200], reason, json.dumps(posted)[:_RAW_KEPT])
