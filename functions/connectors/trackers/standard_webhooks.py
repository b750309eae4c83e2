"""Standard Webhooks 1.0.0 (standardwebhooks.com) as a tracker: our own body, for whoever can shape JSON and sign a post.

The body is one event, or `{"events": [...]}`. An event is
`{id?, name, time, anonymous_id?, user_id?, identifiers?, alias?, properties?, traits?}`. One without `id` is identified by its
content, so the same event posted again is still the same. `identifiers` are what else the visitor is called, by namespace
(`email_sha256`, `loyalty_id`); `alias: true` says that all these ids are one person.

A body of the form that the specification recommends is one event, too: `{"type", "timestamp", "data"}`. It is known by its
`webhook-id` and its content, which stay the same when it is posted again. Of the data, `anonymous_id`, `user_id`,
`identifiers`, `traits` and `properties` are what they are called; where there are no `properties`, they are all the rest of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue, SkipValidation, ValidationError

from connectors.base import MAX_EVENTS, Post
from connectors.bodies import parsed
from connectors.trackers.base import EventFormat, Unusable, content_id, made, text_of, time_of
from connectors.trackers.envelopes import payload_of
from shared.clock import Clock
from shared.errors import BadRequest
from shared.ids import digest
from shared.jobs import TrackerEvent
from shared.signatures import verify_standard_webhook
from shared.trackers import Tracker


class _Event(BaseModel):
    """An event as it is posted."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    name: str
    time: str
    id: str | None = None
    anonymous_id: str | None = None
    user_id: str | None = None
    identifiers: dict[str, str] = {}
    alias: bool = False
    # What is in them was parsed from JSON: looking at each value again would take as long as all the rest.
    properties: dict[str, SkipValidation[JsonValue]] = {}
    traits: dict[str, SkipValidation[JsonValue]] = {}


class _StandardWebhooks(EventFormat):
    setup = (
        "Make a secret: `whsec_` and the base64 of 24 to 64 random bytes. Put it into the tracker's `secrets` (by `env`).",
        "Sign each post with it, as any library of standardwebhooks.com does, and post it to `/v1/events/{name}`.",
        "To change the secret, put the new one before the old one, have it used, and take the old one out.",
    )

    def verify(self, tracker: Tracker, post: Post, clock: Clock) -> None:
        """Refuses (401) what none of the tracker's secrets has signed in the last five minutes."""
        secrets = (secret.get_secret_value() for secret in tracker.secrets)
        verify_standard_webhook(post.headers, post.body, secrets, clock)

    def listed(self, tracker: Tracker, post: Post) -> Sequence[JsonValue]:
        """The post's events. Raises BadRequest (400) if the body is neither an event nor a list of some."""
        body = parsed(post.body)
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

    def event(self, tracker: Tracker, posted: JsonValue, post: Post, received_at: datetime) -> TrackerEvent:
        """One event. Raises Unusable."""
        if isinstance(posted, dict) and "type" in posted and "name" not in posted:
            return self._recommended(tracker, posted, post, received_at)
        try:
            event = _Event.model_validate(posted)
        except ValidationError as error:
            raise Unusable(*_first_fault(error)) from None
        return made(
            tracker,
            id=content_id(tracker, posted) if event.id is None else event.id,
            name=self.called(tracker, event.name),
            at=time_of(event.time, "time"),
            received_at=received_at,
            anonymous_id=event.anonymous_id,
            user_id=event.user_id,
            identifiers=tuple(event.identifiers.items()),
            alias=event.alias,
            properties=event.properties,
            traits=event.traits,
        )

    def _recommended(self, tracker: Tracker, posted: dict[str, JsonValue], post: Post, received_at: datetime) -> TrackerEvent:
        """One event in the form that the specification recommends. Raises Unusable."""
        name, payload = text_of(posted["type"], "type"), payload_of(posted.get("data"))
        if name is None:
            raise Unusable("type", "must be a text that is not empty")
        return made(
            tracker,
            id=digest("webhook", post.headers.get("webhook-id") or post.headers.get("svix-id", ""), content_id(tracker, posted)),
            name=self.called(tracker, name),
            at=time_of(posted.get("timestamp"), "timestamp"),
            received_at=received_at,
            anonymous_id=payload.anonymous_id,
            user_id=payload.user_id,
            identifiers=payload.identifiers,
            properties=payload.properties,
            traits=payload.traits,
        )


CONNECTOR = _StandardWebhooks()


def _first_fault(error: ValidationError) -> tuple[str, str]:
    fault = error.errors(include_url=False, include_input=False)[0]
    if not fault["loc"]:
        return "event", "must be an object"
    return ".".join(str(step) for step in fault["loc"]), _EXPECTED.get(fault["type"], fault["msg"])


_EXPECTED = {
    "missing": "must be there",
    "extra_forbidden": "no such field",
    "string_type": "must be a text",
    "dict_type": "must be an object",
    "bool_type": "must be true or false",
}
"""By pydantic's type of error."""
