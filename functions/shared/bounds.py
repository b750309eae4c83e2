"""What any tracker's event must keep to before it goes on: everything behind this relies on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue
from pydantic_core import to_json

from shared.jobs import TrackerEvent

MAX_AHEAD_SECONDS = 86_400
"""How far in the future an event's time may be: clocks are wrong, but not by more than this."""
MAX_AGE_SECONDS = 30 * 86_400
"""How far in the past an event's time may be."""
MAX_TEXT = 200
MAX_IDENTIFIERS = 20
MAX_PROPERTIES = 64 * 1024
MAX_TRAITS = 16 * 1024

_Fault = tuple[str, str]


@dataclass(frozen=True)
class Bounds:
    """How far from now an event's time may be, in seconds."""

    max_age: int
    max_ahead: int

    def fault(self, event: TrackerEvent, now: datetime) -> _Fault | None:
        """The field that is out of bounds and what was expected there; None if all is well."""
        return _fault_of_texts(event) or self._fault_of_time((event.at - now).total_seconds()) or _fault_of_sizes(event)

    def _fault_of_time(self, ahead: float) -> _Fault | None:
        if ahead > self.max_ahead:
            return "time", f"must be at most {self.max_ahead} seconds in the future"
        if -ahead > self.max_age:
            return "time", f"must be at most {self.max_age} seconds in the past"
        return None


def _fault_of_texts(event: TrackerEvent) -> _Fault | None:
    if event.anonymous_id is None and event.user_id is None:
        return "anonymous_id", "must be there, or user_id; null, guest and the like are nobody"
    for text in (event.name, event.id, event.anonymous_id, event.user_id):
        if text is not None and not 0 < len(text) <= MAX_TEXT:
            field = next(f for f in ("name", "id", "anonymous_id", "user_id") if getattr(event, f) is text)
            return field, f"must have 1 to {MAX_TEXT} characters"
    return _fault_of_identifiers(event.identifiers) if event.identifiers else None


def _fault_of_identifiers(identifiers: Sequence[tuple[str, str]]) -> _Fault | None:
    if len(identifiers) > MAX_IDENTIFIERS:
        return "identifiers", f"must be {MAX_IDENTIFIERS} at most"
    if all(0 < len(text) <= MAX_TEXT for identifier in identifiers for text in identifier):
        return None
    return "identifiers", f"must have 1 to {MAX_TEXT} characters each"


def _fault_of_sizes(event: TrackerEvent) -> _Fault | None:
    return _fault_of_size("properties", event.properties, MAX_PROPERTIES) or _fault_of_size("traits", event.traits, MAX_TRAITS)


def _fault_of_size(field: str, value: dict[str, JsonValue], limit: int) -> _Fault | None:
    return (field, f"must have at most {limit} bytes") if value and len(to_json(value)) > limit else None
