"""What is in an envelope of a known form (CloudEvents, the body convention of Standard Webhooks): data of no known one.

`anonymous_id`, `user_id`, `identifiers` and `traits` of the data are what they are called. So are its `properties`; if there are
none, they are all the rest of it. Data that is no object becomes the property `data`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from connectors.trackers.base import object_of, text_of

_OURS = ("anonymous_id", "user_id", "identifiers", "traits")


@dataclass(frozen=True)
class Payload:
    """The parts of data that an event has."""

    anonymous_id: str | None
    user_id: str | None
    identifiers: tuple[tuple[str, str], ...]
    properties: dict[str, JsonValue]
    traits: dict[str, JsonValue]


def payload_of(data: JsonValue) -> Payload:
    """The parts of some data. Raises Unusable if one of those that have a name is something else."""
    if not isinstance(data, dict):
        return Payload(None, None, (), {} if data is None else {"data": data}, {})
    known = object_of(data.get("identifiers"), "data.identifiers")
    texts = ((namespace, text_of(value, f"data.identifiers.{namespace}")) for namespace, value in known.items())
    rest = {key: value for key, value in data.items() if key not in _OURS}
    return Payload(
        text_of(data.get("anonymous_id"), "data.anonymous_id"),
        text_of(data.get("user_id"), "data.user_id"),
        tuple((namespace, text) for namespace, text in texts if text is not None),
        object_of(rest["properties"], "data.properties") if "properties" in rest else rest,
        object_of(data.get("traits"), "data.traits"),
    )
