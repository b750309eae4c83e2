"""One person: who they are, how they are reached, and what they want no more of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import JsonValue

from shared.clock import from_iso, iso
from shared.phones import e164, is_e164
from shared.rows import texts
from shared.sends import Sends, read_sends, write_sends

if TYPE_CHECKING:
    from shared.rows import Row

Identifier = tuple[str, str]
"""Namespace (`user_id`, `email`) and value."""

HASHED: Mapping[str, str] = {"email_sha256": "email", "phone_sha256": "phone"}
"""Namespaces of hashes → of what they are: the hash of an address means whoever the address means."""

PERSONAL = ("user_id", "email", "email_sha256", "phone", "phone_sha256")
"""Namespaces that name one person. Others may name a device, which several people use."""

PROFILE = "profile"
"""The namespace of our own ids of profiles. Nobody else names people so."""

Change = tuple[datetime, JsonValue, JsonValue]
"""When an attribute changed, and from what to what; null for nothing."""

Cause = Literal["unsubscribed", "complained", "bounced", "manual"]

CAUSES: tuple[Cause, ...] = get_args(Cause)

ADDRESS_OF: Mapping[str, str] = {"email": "email", "sms": "phone"}
"""Channel → the namespace, and the attribute, of the address that it writes to."""


_SUPPRESSED = "suppressed#"

_MOST_CHANGES = 3
_LARGEST_CHANGE = 2_000
"""Bytes of what an attribute was and is: a larger change is not kept, and nobody hears of it."""


@dataclass(frozen=True)
class Suppression:
    """Why nothing is sent on a channel."""

    channel: str
    cause: Cause
    reason: str
    """In words: `hard bounce 550`."""
    at: datetime
    source: str
    """Who said so: an integration, the unsubscribe page, the one who typed it."""
    address: str = ""
    """`address_hash` of the only address it is about; empty if it is about the person, whatever their address."""


@dataclass(frozen=True)
class Profile:
    """One person. `repr` shows no attribute and no identifier."""

    id: str
    attributes: Mapping[str, JsonValue] = field(repr=False)
    changed: Mapping[str, datetime] = field(repr=False)
    """When each attribute last changed, by its source's clock."""
    suppressions: tuple[Suppression, ...]
    crm_ids: Mapping[str, str]
    """Destination → id of the contact there."""
    version: int
    identifiers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Namespace (`user_id`) → the newest value."""
    identified: Mapping[str, datetime] = field(default_factory=dict, repr=False)
    """When each identifier was last learnt, by its source's clock."""
    sends: Sends = field(default_factory=dict)
    changes: Mapping[str, tuple[Change, ...]] = field(default_factory=dict, repr=False)
    """The last changes of each attribute that somebody watches, in order: whoever died before telling of one finds it here."""

    @property
    def email(self) -> str:
        """The address to write to; empty if unknown."""
        return self._text("email")

    @property
    def phone(self) -> str:
        """The number for text messages, in E.164; empty if unknown, or of no known country."""
        value = self._text("phone")
        return value if is_e164(value) else ""

    def _text(self, attribute: str) -> str:
        value = self.attributes.get(attribute)
        return value if isinstance(value, str) else ""

    def address(self, channel: str) -> str:
        """Where this channel writes to; empty if unknown."""
        return self.phone if ADDRESS_OF[channel] == "phone" else self.email

    def place(self, channel: str) -> str:
        """What is kept of where a message went, as `email#9f86…`: the channel, and the address as `address_hash`, if known."""
        address = self.address(channel)
        return f"{channel}#{address_hash(channel, address) if address else ''}"

    def suppression(self, channel: str) -> Suppression | None:
        """Why nothing may be sent on this channel to the address it writes to now: the first of the reasons. None if it may."""
        address = self.address(channel)
        theirs = ("", address_hash(channel, address)) if address else ("",)
        holding = (one for one in self.suppressions if one.channel == channel and one.address in theirs)
        return min(holding, key=lambda one: one.at, default=None)

    @property
    def suppressed(self) -> dict[str, str]:
        """Channel → why nothing may be sent on it, of those on which nothing may."""
        found = {channel: self.suppression(channel) for channel in ADDRESS_OF}
        return {channel: one.reason for channel, one in found.items() if one is not None}


def stranger(profile: str) -> Profile:
    """A person of whom nothing is known yet."""
    return Profile(profile, {}, {}, (), {}, 0)


def owner_of(identifiers: Sequence[Identifier], owners: Mapping[Identifier, str], people: Mapping[str, Profile]) -> str:
    """To which profile the identifiers of one person lead: the first that says so; empty if none does.

    `owners` has to whom each belongs, `people` who they are. What may be a device's does not lead to a person who is known as
    another user than the one who is on it now.
    """
    user = next((value for namespace, value in identifiers if namespace == "user_id"), "")
    for one in identifiers:
        owner = owners.get(one, "")
        known = people[owner].identifiers.get("user_id", user) if owner in people else user
        if owner and (one[0] in PERSONAL or not user or known == user):
            return owner
    return ""


def learnt(
    old: Profile,
    identifiers: Sequence[Identifier],
    attributes: Mapping[str, JsonValue],
    at: datetime,
    watched: Collection[str] = (),
) -> Profile:
    """The person with what was said of them at `at`: of each attribute and identifier the newest stays, and of several
    identifiers of a namespace the first. Of attributes that are `watched` it is kept from what to what they changed.
    """
    newer = {key: value for key, value in attributes.items() if key not in old.changed or old.changed[key] < at}
    names = {key: value for key, value in reversed(identifiers) if key not in old.identified or old.identified[key] < at}
    known = _with_phone({**old.attributes, **newer})
    return replace(
        old,
        attributes=known,
        changed={**old.changed, **dict.fromkeys(newer, at)},
        identifiers={**old.identifiers, **names},
        identified={**old.identified, **dict.fromkeys(names, at)},
        changes={**old.changes, **{key: _changed(old, key, known[key], at) for key in newer if key in watched}},
    )


def _changed(old: Profile, attribute: str, value: JsonValue, at: datetime) -> tuple[Change, ...]:
    """The last changes of an attribute that has this value from `at` on. What was known before, or is too large, is none."""
    past, was = old.changes.get(attribute, ()), old.attributes.get(attribute)
    same = value == was and isinstance(value, bool) == isinstance(was, bool)
    if same or len(json.dumps([was, value])) > _LARGEST_CHANGE:
        return past
    return (*past, (at, was, value))[-_MOST_CHANGES:]


def _with_phone(attributes: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """With the phone number in E.164, if it can be understood as one of the person's country."""
    phone, country = attributes.get("phone"), attributes.get("country")
    if isinstance(phone, str) and not is_e164(phone):
        attributes["phone"] = e164(phone, country if isinstance(country, str) else "") or phone
    return attributes


def identifier_of(profile: Profile, kind: str) -> str:
    """What an ESP is to know the person by; empty if the profile lacks it.

    `email`; `email_sha256`: hexadecimal, of the address in small letters; `phone`: E.164; else the identifier or the attribute
    of that name.
    """
    if kind == "email_sha256":
        return address_hash("email", profile.email) if profile.email else ""
    if kind == "phone":
        return profile.phone
    value = profile.attributes.get(kind) if kind == "email" else profile.identifiers.get(kind, profile.attributes.get(kind))
    return value if isinstance(value, str) else str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def address_hash(channel: str, address: str) -> str:
    """SHA-256 of an address, in hexadecimal, whatever its spelling. A phone number is expected in E.164."""
    return identifier_hash((ADDRESS_OF[channel], address))


def identifier_hash(identifier: Identifier) -> str:
    """SHA-256 of an identifier, in hexadecimal: a key is what turns up in metrics and errors."""
    namespace, value = identifier
    if namespace in HASHED:
        return value.lower()
    plain = value.strip().lower() if namespace == "email" else value
    return hashlib.sha256(plain.encode()).hexdigest()


def profile_of(row: Row) -> Profile:
    """The profile of a row of the profiles table. Not for one that forwards to another."""
    changed: dict[str, str] = json.loads(row["changed"]["S"])
    identifiers: dict[str, tuple[str, str]] = json.loads(row["identifiers"]["S"]) if "identifiers" in row else {}
    return Profile(
        id=row["pk"]["S"].removeprefix("profile#"),
        attributes=json.loads(row["attributes"]["S"]),
        changed={name: from_iso(at) for name, at in changed.items()},
        suppressions=suppressions_of(row),
        crm_ids=texts(row["crm_ids"]),
        version=int(row["version"]["N"]),
        identifiers={namespace: value for namespace, (value, _) in identifiers.items()},
        identified={namespace: from_iso(at) for namespace, (_, at) in identifiers.items()},
        sends=read_sends(row["sends"]["S"]) if "sends" in row else {},
        changes=_read_changes(row["changes"]["S"]) if "changes" in row else {},
    )


def joined_with(row: Row) -> str:
    """The id of the person that this row forwards to; empty if it forwards to nobody."""
    return row["joined"]["S"] if "joined" in row else ""


def _read_changes(text: str) -> dict[str, tuple[Change, ...]]:
    stored: dict[str, list[tuple[str, JsonValue, JsonValue]]] = json.loads(text)
    return {name: tuple((from_iso(at), old, new) for at, old, new in changes) for name, changes in stored.items()}


def _write_changes(changes: Mapping[str, tuple[Change, ...]]) -> dict[str, str]:
    kept = {name: [(iso(at), old, new) for at, old, new in those] for name, those in changes.items() if those}
    return {"changes": json.dumps(kept)} if kept else {}


def columns_of(person: Profile) -> dict[str, str]:
    """What is stored of what was learnt of the person, by column."""
    identifiers = {namespace: (value, iso(person.identified[namespace])) for namespace, value in person.identifiers.items()}
    return {
        "attributes": json.dumps(person.attributes),
        "changed": json.dumps({name: iso(at) for name, at in person.changed.items()}),
        "identifiers": json.dumps(identifiers),
        **_write_changes(person.changes),
        **dict(map(column_of, person.suppressions)),
    }


def suppressions_of(row: Row) -> tuple[Suppression, ...]:
    """Those that a row has, of a person or of an address: each is a column of its own."""
    return tuple(_suppression(name, value["S"]) for name, value in row.items() if name.startswith(_SUPPRESSED))


def column_of(one: Suppression) -> tuple[str, str]:
    """The name of a suppression's column, and its text, which sorts by its time."""
    text = json.dumps([iso(one.at), one.source, one.reason], ensure_ascii=False)
    return suppression_column(one.channel, one.cause, one.address), text


def suppression_column(channel: str, cause: Cause, address: str) -> str:
    """Where it is stored that nothing is sent on a channel, for this cause, to this address (or whatever the address)."""
    return f"{_SUPPRESSED}{channel}#{cause}#{address}"


def _suppression(name: str, text: str) -> Suppression:
    channel, cause, address = name.removeprefix(_SUPPRESSED).split("#")
    at, source, reason = json.loads(text)
    known = next(one for one in CAUSES if one == cause)
    return Suppression(channel, known, reason, from_iso(at), source, address)


def as_snapshot(profile: Profile) -> dict[str, JsonValue]:
    """What sending needs of the profile, as JSON, for a job that is worked off without reading it again."""
    suppressions: list[JsonValue] = [[*column_of(one)] for one in profile.suppressions]
    return {
        "id": profile.id,
        "attributes": dict(profile.attributes),
        "suppressions": suppressions,
        "version": profile.version,
        "identifiers": dict(profile.identifiers),
        "sends": write_sends(profile.sends),
    }


def from_snapshot(snapshot: Mapping[str, Any]) -> Profile:
    """The profile of a snapshot. It does not know when attributes changed, nor the contacts in CRMs."""
    return Profile(
        id=snapshot["id"],
        attributes=snapshot["attributes"],
        changed={},
        suppressions=tuple(_suppression(name, text) for name, text in snapshot["suppressions"]),
        crm_ids={},
        version=snapshot["version"],
        identifiers=snapshot["identifiers"],
        sends=read_sends(snapshot["sends"]),
    )
