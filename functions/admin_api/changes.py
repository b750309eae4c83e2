"""What differs between two versions of a definition, and a definition without its secrets."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from pydantic import JsonValue

from shared.definitions import SECRET


class Change(NamedTuple):
    """A field that differs, like `auth.token_url`, and its values; None where it has none."""

    field: str
    old: JsonValue
    new: JsonValue


def changes(old: JsonValue, new: JsonValue, field: str = "") -> list[Change]:
    """What differs; lists are compared whole."""
    if old == new:
        return []
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [Change(field, old, new)]
    keys = dict.fromkeys([*old, *new])
    return [found for key in keys for found in _at(old, new, key, f"{field}.{key}" if field else key)]


def differences(old: JsonValue, new: JsonValue) -> list[str]:
    """The fields that differ."""
    return [change.field for change in changes(old, new)]


def _at(old: dict[str, JsonValue], new: dict[str, JsonValue], key: str, field: str) -> list[Change]:
    if key in old and key in new:
        return changes(old[key], new[key], field)
    return [Change(field, old.get(key), new.get(key))]


def masked(body: JsonValue, paths: Collection[str], path: str = "") -> JsonValue:
    """The body with `{"secret": true}` at these paths (`/auth/client_secret`)."""
    if path in paths:
        return {**SECRET}
    if isinstance(body, dict):
        return {key: masked(value, paths, f"{path}/{key}") for key, value in body.items()}
    if isinstance(body, list):
        return [masked(value, paths, f"{path}/{index}") for index, value in enumerate(body)]
    return body
