"""Definitions: what people configure. Validated here once, for the admin API, the command line and the functions alike.

A secret field is `SecretStr`: its value lives in Secrets Manager, the table's row holds `{"secret": true}` in its place.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, JsonValue, SecretStr, StringConstraints, model_validator

from shared.auth import Auth, NoAuth, OAuth2
from shared.fields import (
    Cap,
    Channel,
    ClockTime,
    Column,
    Definition,
    HeaderName,
    HeaderValue,
    Hmac,
    Limit,
    Name,
    Part,
    Path,
    SecretHeaderValue,
    Url,
    Zone,
)
from shared.trackers import Tracker
from shared.triggers import Trigger

EngagementType = Literal[
    "sent", "delivered", "deferred", "opened", "clicked", "bounced", "complained", "unsubscribed", "failed", "other"
]


class Visit(Part):
    """What a visit gives to a message, made up to try it with."""

    cart: Annotated[tuple[JsonValue, ...], Field(max_length=200)] = ()
    events: Annotated[tuple[JsonValue, ...], Field(max_length=200)] = ()
    event: dict[str, JsonValue] = Field(default_factory=dict)
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    lookup: dict[str, JsonValue] = Field(default_factory=dict)

    def over(self, sample: Visit) -> Visit:
        """This visit, and of the sample what it does not say."""
        return Visit.model_validate({**sample.said(), **self.said()})

    def said(self) -> dict[str, JsonValue]:
        """What was given."""
        return {
            name: value for name, value in self.model_dump(mode="json", exclude_unset=True).items() if name in Visit.model_fields
        }

    def context(self) -> dict[str, JsonValue]:
        """The variables of a message. The event is the last one, if nothing else is said."""
        made = self.model_dump(mode="json", include=set(Visit.model_fields))
        last = self.events[-1] if self.events else None
        return {**made, "event": self.event or (last if isinstance(last, dict) else {})}


class Sample(Visit):
    """A visit, and the attributes of a person, that previews and proofs are made with if nothing else is given."""

    profile: dict[str, JsonValue] = Field(default_factory=dict)


class Template(Definition):
    """The content of a message: Liquid. An email has a subject and HTML, a text message only a text."""

    subject: Annotated[str, StringConstraints(max_length=1000)] = ""
    html: Annotated[str, StringConstraints(max_length=200_000)] = ""
    text: Annotated[str, StringConstraints(max_length=200_000)] = ""
    """Plain text. An email that lacks it gets one made from its HTML."""
    base_url: Url | Literal[""] = ""
    """What relative links in the HTML are relative to; without it there may be none."""
    defaults: dict[str, JsonValue] = Field(default_factory=dict)
    """Values for variables that a message lacks."""
    sample: Sample = Sample()
    """What to try it with."""

    @model_validator(mode="after")
    def _has_content(self) -> Template:
        if not self.html and not self.text:
            raise ValueError("html, or text, or both")
        if self.html and not self.subject:
            raise ValueError("a subject, as it has html")
        return self


class QuietHours(Part):
    """When nobody is disturbed: messages wait for the end of it."""

    begins: ClockTime
    ends: ClockTime
    zone: Zone = "UTC"
    """For whom no zone is known."""
    attribute: Column = "time_zone"
    """The profile's attribute that has the person's zone, as `Europe/Berlin`."""

    @model_validator(mode="after")
    def _has_an_end(self) -> QuietHours:
        if self.begins == self.ends:
            raise ValueError("begins and ends to differ")
        return self


class Policy(Definition):
    """What holds for all messages of a channel. Its name is the channel's."""

    name: Channel
    cap: Cap | None = Cap(times=5)
    """Of all triggers together; null for none."""
    quiet_hours: QuietHours | None = None
    exempt: tuple[Name, ...] = ()
    """Triggers whose messages are transactional: they neither count nor wait. Opt-outs hold for them all the same."""


class Webhook(Part):
    """How the ESP tells what became of messages, and where each value is in what it posts."""

    signature: Literal["standard_webhooks", "hmac", "basic", "bearer", "vendor"] = "standard_webhooks"
    """How a post proves who sent it. `basic`: each secret is `user:password`; `bearer`: each is a token; `vendor`: the way of
    the integration's connector, each secret being the key that it takes."""
    secrets: tuple[SecretStr, ...] = Field(min_length=1, max_length=2)
    """Newest first; two are valid at once while a key is rotated."""
    hmac: Hmac = Hmac()
    """For the signature `hmac`."""
    events: Path | Literal[""] = ""
    """Where the list of events is; empty if the body is the list, or one event."""
    id: Path = "id"
    type: Path = "type"
    types: dict[str, EngagementType]
    """What each of the ESP's types is to us; any other is `other`."""
    time: Path | Literal[""] = "time"
    """Empty if the ESP does not say when something happened: then it is when we hear of it."""
    message_id: Path = "metadata.message_id"
    """Our message id, as planted in the request's body."""
    url: Path = "url"
    bounce_type: Path = "bounce.type"
    hard_bounces: tuple[str, ...] = ("hard",)
    """The values there that mean the address is dead."""
    code: Path = "bounce.code"
    reason: Path = "bounce.reason"


class Integration(Definition):
    """One channel through one ESP."""

    enabled: bool = True
    """Whether messages go out. While it is switched off they wait, until their validity ends."""
    channel: Channel = "email"
    connector: Name = "rest"
    """Which vendor's ways are followed: a row of the registry."""
    url: Url
    """Where messages are posted to. Placeholders are allowed in its path; each becomes one escaped segment, or part of one."""
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Sent with each message."""
    secret_headers: dict[HeaderName, SecretHeaderValue] = Field(default_factory=dict)
    """The same, for keys: kept in Secrets Manager, shown nowhere."""
    secret_values: dict[Column, SecretStr] = Field(default_factory=dict)
    """Keys that the vendor wants in the body, by the name of the body's field: put there when it is sent, and nowhere kept."""
    auth: Auth = NoAuth()
    identifier: Column = "email"
    """What the variable `identifier` is: `email`, `email_sha256`, `phone`, or any identifier or attribute of the profile."""
    body: dict[str, JsonValue]
    """The JSON to post: each string is Liquid; a string that is one placeholder keeps the value's type."""
    message_id_path: Path = "id"
    """Where the ESP's own message id is in its answer."""
    idempotency_header: HeaderName | Literal[""] = ""
    """Header for our message id, if the ESP promises to send once per value."""
    idempotency_path: Path | Literal[""] = ""
    """The same, for an ESP that wants it in the body."""
    idempotency_url: bool = False
    """The same, for an ESP that takes one message for each URL: `url` has `{{ message.id }}` or `{{ message.uuid }}` in it."""
    idempotency_seconds: int = Field(default=86_400, ge=60, le=31 * 86_400)
    """How long the ESP remembers such a value."""
    unknown: Literal["park", "retry"] = "park"
    """What to do with a message of which nobody can say whether it went out, after `unknown_wait_seconds`."""
    unknown_wait_seconds: int = Field(default=900, ge=1, le=86_400)
    """How long the ESP's webhook or look-up may take to say so."""
    limit: Limit | None = None
    max_segments: int = Field(default=10, ge=1, le=50)
    """A text message that would take more segments than this is not sent."""
    timeout_seconds: float = Field(default=10, gt=0, le=25)
    """For one request as a whole."""
    failover: Name | Literal[""] = ""
    """Another integration of the same channel, for when this one's ESP is down. Nothing goes through both."""
    webhook: Webhook | None = None
    """Without it, nothing that the ESP posts is taken."""

    @property
    def sends_once(self) -> bool:
        """Whether the ESP sends once what it is given twice, within `idempotency_seconds`."""
        return bool(self.idempotency_header or self.idempotency_path or self.idempotency_url)

    @model_validator(mode="after")
    def _has_its_key(self) -> Integration:
        if self.idempotency_url and not re.search(r"\{\{-?\s*message\.(uu)?id\b", self.url):
            raise ValueError("a url with {{ message.id }} or {{ message.uuid }} in it, as idempotency_url is on")
        return self


_ACTIVITIES: dict[EngagementType, Name] = {
    "sent": "sb_emailsend",
    "opened": "sb_emailopen",
    "clicked": "sb_emailclick",
    "bounced": "sb_emailbounce",
}


class Destination(Definition):
    """A CRM that engagements are written to. `name` is one of the deployment's `destinations`."""

    connector: Literal["dynamics"] = "dynamics"
    url: Url
    """The environment's address; only its origin is used."""
    auth: OAuth2
    events: tuple[EngagementType, ...] = ("sent", "opened", "clicked", "bounced")
    """Which engagements become activities."""
    activities: dict[EngagementType, Name] = Field(default_factory=lambda: {**_ACTIVITIES})
    """Logical names of the custom activity tables."""
    column_prefix: Annotated[str, StringConstraints(pattern=r"^([a-z][a-z0-9]{0,20}_)?$")] = "sb_"
    """What the names of their columns begin with: the publisher's prefix."""
    contact_key: Column = "emailaddress1"
    """The contact's column that is compared with the profile's email."""
    owner: Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?$")] = ""
    """Id of the system user who owns what is written; the application user if empty."""
    follow_up_clicks: bool = True
    """Whether a click makes a task, besides its activity."""
    follow_up_bounces: bool = True
    """Whether a bounce does."""
    follow_up_days: int = Field(default=2, ge=0, le=365)
    """Days from the engagement until its task is due."""
    timeout_seconds: float = Field(default=20, gt=0, le=25)
    """For one request as a whole."""


Kind = Literal["tracker", "template", "integration", "destination", "trigger", "policy"]

KINDS: dict[Kind, type[Definition]] = {
    # In the order in which they may be applied: what refers comes after what it refers to.
    "tracker": Tracker,
    "template": Template,
    "integration": Integration,
    "destination": Destination,
    "trigger": Trigger,
    "policy": Policy,
}


def kind_of(model: type[Definition]) -> Kind:
    """The kind whose definitions are of this type."""
    return next(kind for kind, its_model in KINDS.items() if its_model is model)


SECRET = {"secret": True}
"""Stands in a stored definition where a secret value was."""
