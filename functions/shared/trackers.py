"""A tracker: what may post behaviour to us, in which format, and how it proves who it is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, SecretStr, StringConstraints, model_validator

from shared.auth import OAuth2
from shared.fields import Column, Definition, EventName, HeaderName, Hmac, Limit, Part, Path, Url

PROFILES = "profiles"
"""Not a tracker that anybody posts to: changes of profiles come under this name. Its visitors are profiles, by their ids."""

Format = Literal[
    "standard_webhooks",
    "segment",
    "rudderstack",
    "snowplow",
    "shopify",
    "posthog",
    "matomo",
    "ga4",
    "cloudevents",
    "adobe_io",
    "json",
]

Proof = Literal["vendor", "standard_webhooks", "hmac", "basic", "bearer", "header", "query", "write_key", "none"]

SIGNED_BY_THEMSELVES: frozenset[Format] = frozenset({"standard_webhooks", "segment", "shopify", "matomo", "adobe_io"})
"""Formats that have a way of their own to prove who posts."""

Origin = Annotated[str, StringConstraints(pattern=r"^(\*|https?://[a-z0-9.:\[\]-]{1,253})$")]
"""As a browser says it: `https://www.example.com`."""

Source = Path | Annotated[tuple[Path, ...], Field(min_length=1, max_length=10)]
"""Where a value is in what is posted; of several paths, the first that has one."""


class Each(Part):
    """A list made of another one: of each element the values at these paths."""

    over: Path
    fields: Annotated[dict[Column, Source], Field(min_length=1, max_length=50)]


class Constant(Part):
    """The same for every event."""

    value: JsonValue


Mapped = Source | Each | Constant


class Mapping(Part):
    """From any JSON to tracker events: where each value is. For the format `json`, and for the data of `cloudevents`."""

    events: Path | Literal[""] = ""
    """Where the list of events is; empty if the body is the list, or one event. Other paths are within an event; those that begin
    with `body.` are within the whole body."""
    id: Source | None = None
    """Without one, an event is identified by its content."""
    name: Source | Constant = "name"
    time: Source | None = "time"
    """Null if events do not say when they happened: then it is when we hear of them."""
    time_format: Literal["iso", "seconds", "milliseconds", "microseconds"] = "iso"
    anonymous_id: Source | None = "anonymous_id"
    user_id: Source | None = "user_id"
    identifiers: Annotated[dict[Column, Source], Field(max_length=10)] = Field(default_factory=dict)
    """Other identifiers of the person, by namespace: `email_sha256`, `loyalty_id`."""
    properties: Path | Annotated[dict[Column, Mapped], Field(max_length=200)] = "properties"
    """The object that they are, or each of them."""
    traits: Path | Annotated[dict[Column, Mapped], Field(max_length=100)] = "traits"

    @model_validator(mode="after")
    def _is_named(self) -> Mapping:
        if isinstance(self.name, Constant) and not (isinstance(self.name.value, str) and 0 < len(self.name.value) <= 200):
            raise ValueError("a name of 1 to 200 characters where name has a value")
        return self


class Journal(Part):
    """The journal of Adobe I/O Events, which has seven days of events: what was missed is read from there."""

    url: Url
    """As the Developer Console shows it."""
    organization: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+@AdobeOrg$")]
    auth: OAuth2
    back_seconds: int = Field(default=3600, ge=0, le=7 * 86_400)
    """How far back the first reading begins; 0 for what comes from then on. Every other goes on where the last one ended."""


class Tracker(Definition):
    """What may post behaviour to `/v1/events/{name}`."""

    format: Format = "standard_webhooks"
    proof: Proof = "vendor"
    """How a post proves who sent it. `vendor`: in the format's own way; `basic`: each secret is `user:password`; `bearer`: each
    is a token; `header`, `query`: each is what `header`, or the query parameter `parameter`, holds; `write_key`: for browsers,
    which can keep no secret: the key is in `Authorization: Basic KEY:`, in the query parameter `writeKey`, or so named in the
    body."""
    secrets: Annotated[tuple[SecretStr, ...], Field(max_length=2)] = ()
    """Newest first; two are valid at once while a key is rotated."""
    hmac: Hmac = Hmac()
    """For the proof `hmac`."""
    header: HeaderName = "x-api-key"
    """For the proof `header`."""
    parameter: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "key"
    """For the proof `query`."""
    origins: Annotated[tuple[Origin, ...], Field(max_length=50)] = ()
    """Sites whose browsers may post here (CORS); none if empty."""
    limit: Limit | None = None
    """How many posts are taken in a time, on an average over a minute at least; who posts more is told when to come back.
    `messages` are posts here."""
    names: Annotated[dict[EventName, EventName], Field(max_length=500)] = Field(default_factory=dict)
    """What the format's event names are to be called, over what the format does by itself."""
    mapping: Mapping | None = None
    """For the formats `json`, where it is required, and `cloudevents`, where it is about the data of an event."""
    client_id: Annotated[str, StringConstraints(max_length=100)] = ""
    """For the format `adobe_io`: the client id that posts must be addressed to."""
    identifiers: Annotated[dict[Column, Source], Field(max_length=10)] = Field(default_factory=dict)
    """For the format `adobe_io`: where the person's identifiers are in an event's properties, by namespace: `user_id` (`eVar3`,
    the dimension that has the CRM's id), `anonymous_id`, `email`, `phone`, or any other."""
    journal: Journal | None = None
    silence_seconds: int | None = Field(default=None, ge=60, le=30 * 86400)
    """Silence after which an alarm goes off: the tracker may have switched its webhook off. What is read in a journal does not
    break it."""

    @model_validator(mode="after")
    def _fits(self) -> Tracker:
        if self.name == PROFILES:
            raise ValueError(f"another name than {PROFILES}, as changes of profiles are heard of under it")
        if self.proof == "vendor" and self.format not in SIGNED_BY_THEMSELVES:
            raise ValueError(
                f"proof to be given, as {self.format} signs nothing itself: hmac, basic, bearer, header, query, write_key or none"
            )
        if self.proof != "none" and not self.secrets and not (self.format == "adobe_io" and self.proof == "vendor"):
            raise ValueError("secrets with at least one, or proof: none")
        if self.proof == "none" and self.secrets:
            raise ValueError("no secrets, as proof is none")
        if self.format == "json" and self.mapping is None:
            raise ValueError("mapping, as the format is json")
        if self.format not in ("json", "cloudevents") and self.mapping is not None:
            raise ValueError("mapping with the formats json and cloudevents only")
        if self.format == "cloudevents" and self.mapping is not None and self.mapping.events:
            raise ValueError("a mapping without events, as cloudevents says itself where they are")
        if self.format != "adobe_io" and (self.client_id or self.journal or self.identifiers):
            raise ValueError("client_id, identifiers and journal with format adobe_io only")
        if self.format == "adobe_io" and self.proof == "vendor" and not self.client_id:
            raise ValueError("client_id, which posts of Adobe are addressed to")
        return self
