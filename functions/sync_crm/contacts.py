"""Whose timeline: the contact in the CRM of each profile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from shared.errors import Permanent
from shared.exchange import Request, Response, run
from shared.person import Profile
from shared.profiles import Profiles

if TYPE_CHECKING:
    from connectors.crms.dynamics import Dynamics


@dataclass(frozen=True)
class Nobody:
    """There is no contact to write to, and why."""

    reason: str


@dataclass(frozen=True)
class Contact:
    """A contact's id; `remembered` if it was not looked up just now, and so may be out of date."""

    id: str
    remembered: bool


Found: TypeAlias = Contact | Nobody | Permanent


@dataclass(frozen=True)
class Finder:
    """Finds contacts in one destination, and remembers them on the profiles."""

    destination: str
    connector: Dynamics
    send: Callable[[Request], Response]
    profiles: Profiles

    def find(self, ids: Iterable[str]) -> dict[str, Found]:
        """The contact of each of these profiles: remembered, else looked up by address."""
        wanted = list(dict.fromkeys(ids))
        known = self.profiles.get_all(wanted)
        found: dict[str, Found] = {one: Nobody("the profile was erased") for one in wanted if one not in known}
        unknown: dict[str, Profile] = {}
        for one, profile in known.items():
            if self.destination in profile.crm_ids:
                found[one] = Contact(profile.crm_ids[self.destination], True)
            else:
                unknown[one] = profile
        return found | self._look_up(unknown)

    def forget(self, profile: str, contact: Contact) -> None:
        """The contact is no longer there: it is to be looked up again."""
        self.profiles.forget_contact(profile, self.destination, contact.id)

    def _look_up(self, profiles: Mapping[str, Profile]) -> dict[str, Found]:
        by_id = {one: profile.email.lower() for one, profile in profiles.items()}
        addresses = list(dict.fromkeys(address for address in by_id.values() if address))
        ids: dict[str, list[str]] = run(self.connector.contacts(addresses), self.send) if addresses else {}
        return {profile: self._only(profile, ids.get(address, [])) for profile, address in by_id.items()}

    def _only(self, profile: str, candidates: list[str]) -> Found:
        if not candidates:
            return Nobody(f"no contact in {self.destination}")
        if len(candidates) > 1:
            return Permanent(f"{len(candidates)} contacts in {self.destination} have this profile's address: merge them")
        self.profiles.remember_contact(profile, self.destination, candidates[0])
        return Contact(candidates[0], False)
