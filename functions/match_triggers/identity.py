"""Who is meant: what a visitor is called, whose names these are, and what the events tell of the person.

A visitor's row gathers all that the visitor was ever called: so what an anonymous visitor did counts once they say who they are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from pydantic_core import to_json

from shared.jobs import TrackerEvent
from shared.person import HASHED, PERSONAL, PROFILE, Identifier
from shared.phones import e164
from shared.profile_changes import changes
from shared.profiles import Profiles
from shared.trackers import PROFILES

_MOST_IDENTIFIERS = 20
_LONGEST = 500

_SHA256 = re.compile(r"[0-9a-f]{64}")


def identifiers_of(event: TrackerEvent) -> list[Identifier]:
    """Who the event says the visitor is, each name in its usual spelling; what cannot be one is left out."""
    if event.tracker == PROFILES:
        return [(PROFILE, event.user_id)] if event.user_id else []
    return list(dict.fromkeys(_identifiers(event)))


def _identifiers(event: TrackerEvent) -> Iterator[Identifier]:
    if event.user_id:
        yield "user_id", event.user_id
    country = event.traits.get("country")
    for namespace, value in (*((name, event.traits.get(name)) for name in ("email", "phone")), *event.identifiers):
        if isinstance(value, str) and (usual := _usual(namespace, value.strip(), country if isinstance(country, str) else "")):
            yield namespace, usual


def _usual(namespace: str, value: str, country: str) -> str | None:
    """An identifier as it is usually spelt; None if it is none."""
    if namespace == "email":
        return value.lower() if "@" in value and len(value) <= 254 else None
    if namespace in HASHED:
        return value.lower() if _SHA256.fullmatch(value.lower()) else None
    if namespace == "phone":
        return e164(value, country) if len(value) <= 50 else None
    return value if namespace != PROFILE and len(namespace) <= 100 and len(value) <= _LONGEST else None


def gathered(known: Iterable[Identifier], events: Iterable[TrackerEvent]) -> tuple[Identifier, ...]:
    """All that a visitor was ever called, whatever the order in which it became known; what names a person first, if a row has
    no room for more.
    """
    said = {identifier for event in events for identifier in identifiers_of(event)}
    return tuple(sorted(sorted({*known, *said}, key=_rank)[:_MOST_IDENTIFIERS]))


def _rank(identifier: Identifier) -> tuple[int, Identifier]:
    namespace = identifier[0]
    return (PERSONAL.index(namespace) if namespace in PERSONAL else len(PERSONAL)), identifier


@dataclass(frozen=True)
class Meant:
    """Whose profile a visitor's identifiers lead to: to one, to none, or to several."""

    profiles: tuple[str, ...] = ()
    namespace: str = ""
    """By which of the namespaces that a trigger trusts; empty if it asks all."""

    @property
    def only(self) -> str | None:
        """The one person who is meant; None if that is not clear."""
        return self.profiles[0] if len(self.profiles) == 1 else None

    @property
    def fault(self) -> str:
        """Why nobody is meant; empty if somebody is."""
        return "" if self.only else "several profiles" if self.profiles else "no profile"

    def data(self) -> dict[str, JsonValue]:
        """What the trace says of it: which several people, and what decided."""
        several: list[JsonValue] = [*self.profiles]
        return {
            **({"profiles": several} if len(several) > 1 else {}),
            **({"identified_by": self.namespace} if self.namespace else {}),
        }


def meant(owners: Mapping[Identifier, str], identifiers: Iterable[Identifier], order: Sequence[str]) -> Meant:
    """Whom a trigger means that trusts the namespaces in this `order`, or all alike if there is none.

    `owners` has to whom the identifiers belong. Without an order all must lead to one person. With one, the first namespace of
    which an identifier leads to anybody decides, and those that are not in it say nothing.
    """
    owned = [one for one in identifiers if one in owners]
    if not order:
        return Meant(_each(owners[one] for one in owned))
    for namespace in (PROFILE, *order):
        if people := _each(owners[one] for one in owned if one[0] == namespace):
            return Meant(people, namespace)
    return Meant()


def _each(people: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(people)))


def learn(events: Iterable[TrackerEvent], profiles: Profiles, watched: Collection[str] = ()) -> list[TrackerEvent]:
    """Takes what the events of one visitor tell of the person into the profile, and joins the people of an alias.

    Returns the changes of `watched` attributes, as events of the tracker `profiles`: the same for the same events again. Raises
    Transient if others kept changing the profile.
    """
    told = _told(events)
    who = [profiles.upsert(names, event.traits, event.at, alias=event.alias, watched=watched) for names, event in told]
    if not watched or not who:
        return []
    people = profiles.get_all(who)
    return [change for one, (_, event) in zip(who, told, strict=True) if one in people for change in changes(people[one], event)]


def _told(events: Iterable[TrackerEvent]) -> list[tuple[list[Identifier], TrackerEvent]]:
    """The events that tell of a person, by time, and what that one is called; of the same told in a row only the last."""
    found: list[tuple[list[Identifier], TrackerEvent]] = []
    last = b""
    for event in sorted(events, key=lambda event: event.at):
        if (event.traits or event.alias) and (names := identifiers_of(event)):
            text = to_json((names, event.traits, event.alias))
            found[len(found) - (text == last) :] = [(names, event)]
            last = text
    return found
