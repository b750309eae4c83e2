"""Addresses that get nothing any more: looked at, added and removed by hand.

Addresses come in bodies, never in a path or a query, which are logged on the way.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field, JsonValue, StringConstraints

from admin_api.reading import check_address, read_as
from shared.clock import Clock, iso
from shared.fields import Channel, Part
from shared.person import Cause, Suppression
from shared.profiles import Profiles


class Subject(Part):
    """One address on one channel."""

    channel: Channel = "email"
    address: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=320)]


class Addition(Subject):
    """An address that is to get nothing any more."""

    cause: Cause = "manual"
    reason: Annotated[str, StringConstraints(max_length=200)] = "by hand"


class Removal(Subject):
    """An address that is to get messages again. Who unsubscribed or complained gets them only if these causes are named."""

    causes: tuple[Cause, ...] = Field(default=("bounced", "manual"), min_length=1)


S = TypeVar("S", bound=Subject)


class Suppressions:
    """What a deployment knows of addresses that want, or can get, no more."""

    def __init__(self, profiles: Profiles, clock: Clock) -> None:
        self._profiles, self._clock = profiles, clock

    def show(self, body: JsonValue) -> JsonValue:
        """What is known of an address. Raises BadRequest (422)."""
        return self._known(_read(Subject, body))

    def add(self, body: JsonValue, by: str) -> JsonValue:
        """Suppresses an address, whoever has it. Raises BadRequest (422)."""
        wanted = _read(Addition, body)
        suppression = Suppression(wanted.channel, wanted.cause, wanted.reason, self._clock(), by)
        self._profiles.suppress_address(wanted.address, suppression)
        return self._known(wanted)

    def remove(self, body: JsonValue, by: str) -> JsonValue:
        """Lifts what is known of an address for some causes. Raises BadRequest (422)."""
        wanted = _read(Removal, body)
        self._profiles.allow(wanted.channel, wanted.address, self._clock(), by, wanted.causes)
        return self._known(wanted)

    def _known(self, subject: Subject) -> JsonValue:
        found = self._profiles.suppressions_of(subject.channel, subject.address)
        return {
            "channel": subject.channel,
            "suppressions": [
                {"cause": one.cause, "reason": one.reason, "at": iso(one.at), "source": one.source}
                for one in sorted(found, key=lambda one: one.at)
                if one.channel == subject.channel
            ],
        }


def _read(model: type[S], body: JsonValue) -> S:
    subject = read_as(model, body)
    check_address(subject.channel, subject.address, "address")
    return subject
