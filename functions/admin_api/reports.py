"""What triggers did: all of them on one day, or one of them on its last days with its newest decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from pydantic import JsonValue

from admin_api.routes import Call
from admin_api.store import Store
from shared.clock import Clock, iso
from shared.errors import BadRequest
from shared.reports import Day, Reports

_USUAL_DAYS = 7
_MOST_DAYS = 90
_MOST_RECENT = 50


class Reporting:
    """The routes below `/reports`."""

    def __init__(self, reports: Reports, store: Store, clock: Clock) -> None:
        self._reports, self._store, self._clock = reports, store, clock

    def of_all(self, call: Call) -> JsonValue:
        """Each trigger's counts on one day (UTC), today if none is given, and all of them together."""
        day = self._day(call.query.get("day", ""))
        names = [row.name for standing in self._store.all("trigger") if (row := standing.newest)]
        days = self._reports.read(names, [day])
        triggers: list[JsonValue] = [{"trigger": one.trigger, **_counts([one])} for one in days]
        return {"day": day.isoformat(), "triggers": triggers, "total": _counts(days)}

    def of_one(self, call: Call) -> JsonValue:
        """One trigger's counts on each of its last days, newest first, in all, and its newest decisions."""
        name, number = call.path["name"], call.number("days") or _USUAL_DAYS
        if number > _MOST_DAYS:
            raise BadRequest(f"days must be at most {_MOST_DAYS}", field="days")
        today = self._clock().date()
        days = self._reports.read([name], [today - timedelta(days=ago) for ago in range(number)])
        # A trigger that is gone has reports for a while.
        if not any(one.counts for one in days) and self._store.standing("trigger", name).newest is None:
            raise BadRequest(f"there is no trigger named {name!r}", status=404)
        listed: list[JsonValue] = [{"day": one.day.isoformat(), **_counts([one])} for one in days]
        return {"trigger": name, "days": listed, "total": _counts(days), "recent": _recent(days)}

    def _day(self, text: str) -> date:
        try:
            return date.fromisoformat(text) if text else self._clock().date()
        except ValueError:
            raise BadRequest("day must be a date, as 2026-01-31", field="day") from None


def _counts(days: Sequence[Day]) -> dict[str, JsonValue]:
    """What was counted on all of these, with the seconds by which what fired was late."""
    counts = sum((Counter(one.counts) for one in days), Counter[str]())
    fired = counts["fired"]
    return {
        "matched": sum(one.matched for one in days),
        "fired": fired,
        "cancelled": counts["cancelled"],
        "skipped": _by_reason("skipped:", counts),
        "sent": counts["sent"],
        "unsent": _by_reason("unsent:", counts),
        "parked": counts["parked"],
        "late": counts["late"],
        "lateness_mean": round(counts["late_ms"] / fired / 1000, 3) if fired else None,
        "lateness_most": max((one.latest_ms for one in days), default=0) / 1000 or None,
    }


def _by_reason(kind: str, counts: Counter[str]) -> dict[str, JsonValue]:
    """The most frequent first."""
    return {name.removeprefix(kind): number for name, number in counts.most_common() if name.startswith(kind)}


def _recent(days: Iterable[Day]) -> list[JsonValue]:
    decisions = [one for day in days for one in day.recent][:_MOST_RECENT]
    return [
        {
            "at": iso(one.at),
            "decided": one.decided,
            "reason": one.reason,
            "message_id": one.message_id,
            "visit_id": one.visit_id,
        }
        for one in decisions
    ]
