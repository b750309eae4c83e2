"""What trackers told in the last days, to be read by whoever tries a trigger on it: addresses of the objects, not their content.

An answer of API Gateway is too small for them, and a function too slow: who asked reads them from S3.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import JsonValue

from shared.clock import Clock
from shared.errors import BadRequest
from shared.recordings import Recordings

OBJECTS = 500
"""In one answer."""

VALID = timedelta(minutes=15)
"""How long an address is good for."""


class Recorded:
    """Tells of the events that are kept for `days` days; of none if that is 0."""

    def __init__(self, recordings: Recordings, days: int, clock: Clock) -> None:
        self._recordings, self._days, self._clock = recordings, days, clock

    def page(self, days: int | None, after: str) -> JsonValue:
        """The objects of the last `days` days that come after a key, as many as fit. Raises BadRequest."""
        if not self._days:
            raise BadRequest("this deployment keeps no events: its setting event_retention_days is 0", status=404)
        if days is None or days > self._days:
            raise BadRequest(f"days must be from 1 to {self._days}: that is how long events are kept", field="days")
        now = self._clock()
        found = self._recordings.listed(now - timedelta(days=days), after, OBJECTS)
        objects: list[JsonValue] = [{"key": one.key, "bytes": one.size, "url": self._recordings.url(one, VALID)} for one in found]
        return {"objects": objects, "next": found[-1].key if len(found) == OBJECTS else None}
