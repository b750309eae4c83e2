"""What trackers say of a person, under the names that are used here."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

_USUAL: Mapping[str, str] = {
    "firstName": "first_name",
    "firstname": "first_name",
    "lastName": "last_name",
    "lastname": "last_name",
    "phoneNumber": "phone",
    "phone_number": "phone",
    "createdAt": "created_at",
    "timezone": "time_zone",
    "timeZone": "time_zone",
}


def with_usual_names(traits: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The traits, and beside them what is called otherwise here: `firstName` is `first_name`, too.

    The country of an `address` is `country`: by it a phone number is understood.
    """
    if not traits:
        return traits
    found: dict[str, JsonValue] = {ours: traits[theirs] for theirs, ours in _USUAL.items() if theirs in traits}
    address = traits.get("address")
    if isinstance(address, dict) and isinstance(country := address.get("country"), str) and country:
        found["country"] = country
    return {**found, **traits} if found else traits
