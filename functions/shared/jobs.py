"""What travels on the queues."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, PlainSerializer, model_validator

from shared.clock import iso
from shared.definitions import EngagementType

Time = Annotated[AwareDatetime, PlainSerializer(iso, return_type=str, when_used="json")]


class _Job(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Hop(_Job):
    """One step of a message's trace: where, when, what, and why."""

    at: Time
    hop: str
    what: str
    reason: str = ""
    data: dict[str, JsonValue] = {}
    """Figures: lateness in seconds, calls made, HTTP status, milliseconds."""


class TrackerEvent(_Job):
    """One thing a visitor did, normalised."""

    id: str
    tracker: str
    name: str
    at: Time
    """When it happened, by the tracker's clock."""
    received_at: Time
    anonymous_id: str | None = None
    user_id: str | None = None
    identifiers: tuple[tuple[str, str], ...] = ()
    """What else the visitor is called: namespace (`user_id` of an alias, `email_sha256`, `ecid`) and value."""
    alias: bool = False
    """Whether the event is there to say that all these are one person. Without it, two who share a device stay two."""
    properties: dict[str, JsonValue] = {}
    traits: dict[str, JsonValue] = {}
    """What the tracker says of the person: `email`, `first_name`, …"""


class EventsJob(_Job):
    """Queue `events`: the tracker events of one post (or of a part of it)."""

    events: tuple[TrackerEvent, ...]


class TimerJob(_Job):
    """Queue `timers`: look at these visits, they may be due."""

    visit_ids: tuple[str, ...]

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_release(cls, body: object) -> object:
        if not isinstance(body, dict) or "visit_id" not in body:
            return body
        return {name: value for name, value in body.items() if name != "visit_id"} | {"visit_ids": [body["visit_id"]]}


class MessageJob(_Job):
    """Queue `messages`: a trigger's decision about one visit."""

    message_id: str
    trigger: str
    trigger_version: int
    visit_id: str
    profile_id: str | None
    decided: Literal["send", "skip"]
    reason: str = ""
    """Why it is skipped (`order placed`, `no profile`)."""
    campaign: str
    delivery: str
    template: str
    integration: str
    integration_version: int = 0
    """The version that it was decided with: an edit is for what comes after. 0 for the current one."""
    decided_at: Time
    anchor_at: Time
    """From when the trigger's wait counts: `wait_seconds` before the deadline."""
    begins_at: Time | None = None
    """Time of the first event that the decision is about: an excluded event since then, however late, cancels the send."""
    valid_until: Time
    context: dict[str, JsonValue] = {}
    """Variables for the template: `cart` (list), `events` (list), `event` (the last qualifying one)."""
    profile: dict[str, JsonValue] | None = Field(default=None, repr=False)
    """The profile as it was when this job was queued (`shared.person.as_snapshot`); None if it is to be read."""
    hops: tuple[Hop, ...] = ()


class Engagement(_Job):
    """One thing that became of a message."""

    id: str
    message_id: str
    integration: str
    type: EngagementType
    at: Time
    received_at: Time
    url: str = ""
    hard: bool = False
    code: str = ""
    reason: str = ""


class EngagementsJob(_Job):
    """Queue `engagements`: the engagements of one post, or of one batch of sends."""

    engagements: tuple[Engagement, ...]


class CrmJob(_Job):
    """Queue `crm-{destination}`: one engagement for the contact's timeline."""

    destination: str
    engagement_id: str
    message_id: str
    profile_id: str
    type: EngagementType
    at: Time
    campaign: str
    delivery: str
    mirror_url: str
    url: str = ""
    code: str = ""
    reason: str = ""
