"""A trigger: a rule over a visitor's behaviour, and the message that it sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from shared.fields import Cap, ClockTime, Column, Definition, EventName, Name, Part, Path, Zone
from shared.rules import Rule, Where

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Type = Literal["abandonment", "action", "event", "session_start", "session_end", "profile_change"]

Restart = Literal["any_event", "qualifying_event", "nothing"]


@dataclass(frozen=True)
class _Usual:
    """What a type of trigger does where its definition does not say."""

    restarted_by: Restart
    must_not_include: tuple[EventName, ...] = ()


_USUAL: Mapping[Type, _Usual] = {
    "abandonment": _Usual("any_event", ("Order Completed",)),
    "action": _Usual("qualifying_event"),
    "event": _Usual("nothing"),
    "session_start": _Usual("nothing"),
    "session_end": _Usual("any_event"),
    "profile_change": _Usual("qualifying_event"),
}

_ON_SESSIONS = ("session_start", "session_end")


class Cart(Part):
    """How the cart is kept from events, in the order of their times: items by `key`, added and removed, or told as a whole."""

    add: EventName = "Product Added"
    remove: EventName = "Product Removed"
    full: EventName | Literal[""] = "Cart Viewed"
    """An event that has the whole cart as a list at `items`: it replaces what was known."""
    items: Path = "products"
    """Where an event has a list of products. An event that adds or removes may have one too; without it, it is one product."""
    emptied_by: EventName | Literal[""] = "Order Completed"
    """What is bought is no longer in the cart."""
    key: Path = "product_id"
    quantity: Path = "quantity"
    price: Path = "price"


class Metadata(Part):
    """A value that a template gets as `metadata.NAME`: of the events of the visit that have it."""

    event: EventName | Literal[""] = ""
    """Of events of this name; of any that the trigger keeps, if empty."""
    path: Path
    take: Literal["last", "first", "all"] = "last"
    """`all` is a list, each value once, in the order of time."""


class Lookup(Part):
    """A row of a custom entity that a template gets as `lookup.NAME`."""

    entity: Name
    key: Path
    """Where the row's key is among the message's variables: `event.properties.product_id`, `profile.favourite_store`."""


class Hours(Part):
    """When messages may go out: they wait for it. In the recipient's zone, if it is known."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS
    begins: ClockTime = "00:00"
    ends: ClockTime = "00:00"
    """The same as `begins` for the whole day; earlier than it for the night that follows."""
    zone: Zone = "UTC"
    attribute: Column = "time_zone"
    """The profile's attribute that has the person's zone."""


class Trigger(Definition):
    """What a visit includes and what it lacks, how long to wait, and the message to send."""

    type: Type = "abandonment"
    enabled: bool = True
    """Switched off it is paused: it goes on matching, and its messages wait until their validity ends."""
    trackers: tuple[Name, ...] = ()
    """Only visits of these trackers; all if empty."""
    must_include: Annotated[tuple[Rule, ...], Field(max_length=20)] = ()
    """All of these rules. Triggers on sessions may do without."""
    must_not_include: Annotated[tuple[Rule, ...], Field(max_length=20)] | None = None
    """Any of these ends it without a message. If not given: `Order Completed` for an abandonment, nothing for the others."""
    wait_seconds: int = Field(default=1, ge=1, le=30 * 86400)
    """Seconds from what the wait is `restarted_by` until it fires; for a session's end, from when the session has timed out,
    which is `session_seconds` after its last event."""
    restarted_by: Restart | None = None
    """What begins the wait anew, so that only the latest sends. If not given: any event of the visitor for an abandonment and a
    session's end, the next qualifying event for an action and a profile's change, and nothing for an event, as each fires for
    itself."""
    session_seconds: int = Field(default=1800, ge=60, le=86400)
    """Silence after which a new visit begins. Rules look at one visit."""
    new_visit: Literal["goes_on", "cancels"] = "goes_on"
    """What becomes of a wait when the visitor comes back for a new visit."""
    validity_seconds: int = Field(default=86400, ge=1, le=30 * 86400)
    """Seconds after firing beyond which the message is not sent any more."""
    reentry_seconds: int | None = Field(default=0, ge=0, le=365 * 86400)
    """Seconds after a firing in which the same visitor fires it no more; null for never again."""
    cancels: Literal["all"] | tuple[Name, ...] = ()
    """Other triggers whose waiting, and whose messages that have not gone out, end when this one fires for the same visitor."""
    audience: Where = ()
    """What is asked of the profile's attributes when it fires."""
    hours: Hours | None = None
    identity: tuple[Column, ...] = ()
    """Namespaces of identifiers, the most trusted first: the first of which the visitor has one decides who is meant. If empty,
    all that the visitor was ever called must be one person."""
    cart: Cart | None = Cart()
    """Null where the cart does not matter: then its events are not kept for this trigger."""
    metadata: Annotated[dict[Column, Metadata], Field(max_length=50)] = Field(default_factory=dict)
    lookups: Annotated[dict[Column, Lookup], Field(max_length=10)] = Field(default_factory=dict)
    requires: Annotated[tuple[Path, ...], Field(max_length=50)] = ()
    """Variables without which the message is incomplete: `profile.first_name`, `lookup.product.name`."""
    if_missing: Literal["send", "wait", "drop"] = "send"
    """What to do if one of them has no value when it fires."""
    missing_wait_seconds: int = Field(default=3600, ge=60, le=7 * 86400)
    """How long `wait` waits for it, before the message is dropped."""
    cancelled_as: Annotated[str, StringConstraints(min_length=1, max_length=100)] = "order placed"
    """The reason on the trace of a visit that did what it must not include."""
    priority: int = Field(default=0, ge=-100, le=100)
    """Whose message gets the last slot under a cap: the highest."""
    cap: Cap | None = None
    """Of this trigger alone, besides its channel's."""
    template: Name
    integration: Name
    campaign: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    delivery: Annotated[str, StringConstraints(min_length=1, max_length=100)]

    @property
    def ended_by(self) -> tuple[Rule, ...]:
        """Any of these ends it without a message."""
        return _USUAL[self.type].must_not_include if self.must_not_include is None else self.must_not_include

    @property
    def restart(self) -> Restart:
        """What begins the wait anew."""
        return self.restarted_by or _USUAL[self.type].restarted_by

    @property
    def on_sessions(self) -> bool:
        """Whether it is about sessions as such, of which every event is a part."""
        return self.type in _ON_SESSIONS

    @property
    def attends(self) -> bool:
        """Whether it needs to hear of events that it does not name: any may begin a wait anew, or a visit."""
        return self.on_sessions or self.restart == "any_event" or self.new_visit == "cancels"

    @model_validator(mode="after")
    def _has_a_rule(self) -> Trigger:
        if not self.must_include and not self.on_sessions:
            raise ValueError("must_include with at least one rule")
        if self.type == "abandonment" and "wait_seconds" not in self.model_fields_set:
            raise ValueError("wait_seconds: how long the silence is to be")
        return self
