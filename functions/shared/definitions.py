"""Definitions: what people configure. Validated here once, for the admin API, the command line and the functions alike.

A secret field is `SecretStr`: its value lives in Secrets Manager, the table's row holds `{"secret": true}` in its place.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, SecretStr, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+", max_length=2000)]
EventName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Path = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_@$-]+(\.[A-Za-z0-9_@$-]+)*$", max_length=200)]
"""Where a value is in a JSON body: keys and list positions joined by dots."""

Column = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
"""The logical name of a table's column."""

_OURS = "host|content-length|transfer-encoding|connection|te|trailer|upgrade|expect|keep-alive|accept-encoding|proxy-.*"
"""Headers that say where a request goes or ends (RFC 9110, section 7.6.1), and so are not a user's to set."""


def _is_value(value: str | SecretStr) -> str | SecretStr:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not re.fullmatch(r"[!-~]([ \t!-~]*[!-~])?", text):
        raise ValueError("a header's value is ASCII on one line, without spaces around it")
    return value


def _is_free(name: str) -> str:
    if re.fullmatch(_OURS, name, re.IGNORECASE):
        raise ValueError("this header is set by Sendbridge itself")
    return name


HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"), AfterValidator(_is_free)]
"""The name of a header that is ours to send: not one that says where a request goes or ends, as `Host` does."""

HeaderValue = Annotated[str, StringConstraints(max_length=4000), AfterValidator(_is_value)]
"""ASCII on one line."""

SecretHeaderValue = Annotated[SecretStr, AfterValidator(_is_value)]
"""ASCII on one line."""

EngagementType = Literal[
    "sent", "delivered", "deferred", "opened", "clicked", "bounced", "complained", "unsubscribed", "failed", "other"
]


class _Part(BaseModel):
    # An error names the field and what was expected; the value may be a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Definition(_Part):
    """What all definitions have."""

    name: Name
    description: Annotated[str, StringConstraints(max_length=500)] = ""


class Tracker(Definition):
    """What may post behaviour to `/v1/events/{name}`."""

    format: Literal["standard_webhooks"] = "standard_webhooks"
    secrets: tuple[SecretStr, ...] = Field(min_length=1, max_length=2)
    """Signing secrets, newest first; two are valid at once while a key is rotated."""


class Template(Definition):
    """The content of a message: Liquid."""

    subject: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    html: Annotated[str, StringConstraints(min_length=1, max_length=200_000)]
    text: Annotated[str, StringConstraints(max_length=200_000)] = ""
    defaults: dict[str, JsonValue] = {}
    """Values for variables that a message lacks."""


class Cart(_Part):
    """How the cart is kept from events: items by `key`, added and removed."""

    add: EventName = "Product Added"
    remove: EventName = "Product Removed"
    key: Path = "product_id"


class Trigger(Definition):
    """A visit that includes one thing and lacks another, then silence: the message to send."""

    type: Literal["abandonment"] = "abandonment"
    enabled: bool = True
    trackers: tuple[Name, ...] = ()
    """Only visits of these trackers; all if empty."""
    must_include: tuple[EventName, ...] = Field(min_length=1, max_length=20)
    must_not_include: tuple[EventName, ...] = Field(default=(), max_length=20)
    wait_seconds: int = Field(ge=1, le=30 * 86400)
    """Seconds without any event of the visit after which the trigger fires."""
    validity_seconds: int = Field(default=86400, ge=1, le=30 * 86400)
    """Seconds after firing beyond which the message is not sent any more."""
    cart: Cart = Cart()
    cancelled_as: Annotated[str, StringConstraints(min_length=1, max_length=100)] = "order placed"
    """The reason on the trace of a visit that did what it must not include."""
    template: Name
    integration: Name
    campaign: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    delivery: Annotated[str, StringConstraints(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _can_fire(self) -> Trigger:
        if both := set(self.must_include) & set(self.must_not_include):
            raise ValueError(f"{sorted(both)[0]!r} is both in must_include and in must_not_include, so it can never fire")
        return self


class NoAuth(_Part):
    """No authentication beyond the integration's headers."""

    type: Literal["none"] = "none"


class BasicAuth(_Part):
    """User and password in every request."""

    type: Literal["basic"]
    username: Annotated[str, StringConstraints(pattern=r"^[^:\x00-\x1f\x7f]*$")]
    password: SecretStr


class OAuth2(_Part):
    """OAuth 2.0 client credentials (RFC 6749, section 4.4)."""

    type: Literal["oauth2"]
    token_url: Url
    client_id: str
    client_secret: SecretStr
    client_id_key: str = "client_id"
    client_secret_key: str = "client_secret"
    send_credentials_in: Literal["body", "header"] = "body"
    scope: str = ""
    audience: str = ""
    parameters: dict[str, str] = {}
    """More form fields of the token request."""
    token_field: Path = "access_token"
    lifetime_field: Path = "expires_in"
    default_lifetime_seconds: int = Field(default=300, ge=10)
    """Used when the answer names no lifetime."""


Auth = Annotated[NoAuth | BasicAuth | OAuth2, Field(discriminator="type")]


class Webhook(_Part):
    """How the ESP tells what became of messages, and where each value is in what it posts."""

    signature: Literal["standard_webhooks"] = "standard_webhooks"
    secrets: tuple[SecretStr, ...] = Field(min_length=1, max_length=2)
    """Signing secrets, newest first; two are valid at once while a key is rotated."""
    events: Path | Literal[""] = ""
    """Where the list of events is; empty if the body is the list, or one event."""
    id: Path = "id"
    type: Path = "type"
    types: dict[str, EngagementType]
    """What each of the ESP's types is to us; any other is `other`."""
    time: Path = "time"
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

    channel: Literal["email"] = "email"
    connector: Literal["rest"] = "rest"
    url: Url
    """Where messages are posted to."""
    method: Literal["POST", "PUT"] = "POST"
    headers: dict[HeaderName, HeaderValue] = {}
    """Sent with each message."""
    secret_headers: dict[HeaderName, SecretHeaderValue] = {}
    """The same, for keys: kept in Secrets Manager, shown nowhere."""
    auth: Auth = NoAuth()
    body: dict[str, JsonValue]
    """The JSON to post: each string is Liquid; a string that is one placeholder keeps the value's type."""
    message_id_path: Path = "id"
    """Where the ESP's own message id is in its answer."""
    idempotency_header: HeaderName | Literal[""] = ""
    """Header for our message id, if the ESP promises to send once per value."""
    timeout_seconds: float = Field(default=10, gt=0, le=25)
    """For one request as a whole."""
    webhook: Webhook


class Destination(Definition):
    """A CRM that engagements are written to. `name` is one of the deployment's `destinations`."""

    connector: Literal["dynamics"] = "dynamics"
    url: Url
    """The environment's address; only its origin is used."""
    auth: OAuth2
    events: tuple[EngagementType, ...] = ("sent", "opened", "clicked", "bounced")
    """Which engagements become activities."""
    activities: dict[EngagementType, Name] = {
        "sent": "sb_emailsend",
        "opened": "sb_emailopen",
        "clicked": "sb_emailclick",
        "bounced": "sb_emailbounce",
    }
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


Kind = Literal["tracker", "template", "integration", "destination", "trigger"]

KINDS: dict[Kind, type[Definition]] = {
    # In the order in which they may be applied: what refers comes after what it refers to.
    "tracker": Tracker,
    "template": Template,
    "integration": Integration,
    "destination": Destination,
    "trigger": Trigger,
}


def kind_of(model: type[Definition]) -> Kind:
    """The kind whose definitions are of this type."""
    return next(kind for kind, its_model in KINDS.items() if its_model is model)


SECRET = {"secret": True}
"""Stands in a stored definition where a secret value was."""
