"""Times, durations and rules in the words of people."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from shared.rules import Rule

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def spelt(at: datetime) -> str:
    """A time to the second, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def lasting(time: timedelta) -> str:
    """A duration in its two largest units: `3 h 20 min`."""
    left, parts = round(time.total_seconds()), []
    for size, unit in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2]) or "0 s"


def described(rule: Rule) -> str:
    """The name of a rule that is nothing else, or the rule as JSON."""
    if isinstance(rule, str):
        return rule
    said = rule.model_dump(mode="json", exclude_defaults=True)
    return str(said["event"]) if said.keys() == {"event"} else json.dumps(said, ensure_ascii=False)
