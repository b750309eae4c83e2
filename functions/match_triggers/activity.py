"""When a visitor was active: by this, visits are told apart and silence is measured, whatever order the events came in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from shared.visits import Span

_MOST = 32
"""Spans that a row remembers. What was before counts as one visit."""


def joined(spans: Iterable[Span], times: Iterable[datetime], silence: timedelta) -> tuple[Span, ...]:
    """The spans with activity at these times too; those that a silence up to this long parts are one."""
    found: list[Span] = []
    for begin, end in sorted([*spans, *((time, time) for time in times)]):
        if found and begin - found[-1][1] <= silence:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    if len(found) > _MOST:
        oldest = found[: len(found) - _MOST + 1]
        found[: len(oldest)] = [(oldest[0][0], oldest[-1][1])]
    return tuple(found)


def visits(spans: Sequence[Span], session: timedelta) -> tuple[Span, ...]:
    """The visits that these spans make up, for who says that a longer silence parts them."""
    return joined(spans, (), session)
