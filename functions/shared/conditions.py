"""What `shared.rules` asks of one thing, as a function of its values: made once for a definition, fast to ask often.

A number is a number, or a text that spells one (`"49.90"`, as some shops send prices) where it is compared or summed; never
where it must be equal. True and false are no numbers. A time is an ISO 8601 text with its zone, or a Unix time in seconds or,
from 10^11 on, in milliseconds.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from pydantic import JsonValue

from shared.clock import from_iso
from shared.rules import AllConditions, AnyCondition, Ask, Bounds, NoCondition, Scalar, Where

Test = Callable[[Mapping[str, JsonValue], datetime | None], bool]
"""Whether values meet the conditions, by the values and the time of the event that has them (None if there is no event)."""

_Check = Callable[[JsonValue, datetime | None], bool]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM = 10**11
_NUMBER = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?")
_DURATION = re.compile(
    r"(?P<sign>[+-]?)P(?=[0-9T])((?P<weeks>[0-9]{1,4})W)?((?P<days>[0-9]{1,5})D)?"
    r"(T(?=[0-9])((?P<hours>[0-9]{1,6})H)?((?P<minutes>[0-9]{1,7})M)?((?P<seconds>[0-9]{1,9})S)?)?"
)

COMPARED: Final = {
    "above": operator.gt,
    "at_least": operator.ge,
    "below": operator.lt,
    "at_most": operator.le,
}
"""What each of the bounds asks of a number."""

_RE2_MEMORY = 1 << 20
"""Bytes that one compiled expression may take."""


class _Same:
    """Conditions by what they are, not by what they equal: to Python `equals: 1` and `equals: true` are the same."""

    __slots__ = ("where",)

    def __init__(self, where: Where) -> None:
        self.where = where

    def __hash__(self) -> int:
        return id(self.where)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.where is self.where


def compiled(where: Where) -> Test:
    """Whether values meet all of the conditions. The same conditions give the same function."""
    return _compiled(_Same(where)) if where else _always


@lru_cache(maxsize=4096)
def _compiled(same: _Same) -> Test:
    return _all([_test(condition) for condition in same.where])


def _always(values: Mapping[str, JsonValue], at: datetime | None) -> bool:
    return True


def _test(condition: Ask | AllConditions | AnyCondition | NoCondition) -> Test:
    if isinstance(condition, AllConditions):
        return _all([_test(inner) for inner in condition.all])
    if isinstance(condition, AnyCondition):
        return _any([_test(inner) for inner in condition.any])
    if isinstance(condition, NoCondition):
        one = _any([_test(inner) for inner in condition.none])
        return lambda values, at: not one(values, at)
    return _asked(condition)


def _all(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda values, at: all(test(values, at) for test in tests)


def _any(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda values, at: any(test(values, at) for test in tests)


def _asked(ask: Ask) -> Test:
    check, steps = _check(ask), tuple(ask.path.split("."))
    if len(steps) == 1:
        (key,) = steps
        return lambda values, at: check(values.get(key), at)
    return lambda values, at: check(along(values, steps), at)


def along(values: Mapping[str, JsonValue], steps: Sequence[str]) -> JsonValue:
    """What is at the end of these steps, as `shared.mapping.at` finds it; None if nothing is there."""
    found = values.get(steps[0])
    for step in steps[1:]:
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


def _check(ask: Ask) -> _Check:
    checks = [*_presence(ask), *_equality(ask), *_text(ask), *_comparison(ask), *_times(ask)]
    if len(checks) == 1:
        return checks[0]
    return lambda value, at: all(check(value, at) for check in checks)


def _presence(ask: Ask) -> list[_Check]:
    if ask.exists is None:
        return []
    return [lambda value, _: value is not None] if ask.exists else [lambda value, _: value is None]


def _equality(ask: Ask) -> list[_Check]:
    given = (
        (ask.equals if ask.equals is None else (ask.equals,), False),
        (ask.not_equals if ask.not_equals is None else (ask.not_equals,), True),
        (ask.in_, False),
        (ask.not_in, True),
    )
    return [_among(scalars, negated) for scalars, negated in given if scalars is not None]


def _among(scalars: Sequence[Scalar], negated: bool) -> _Check:
    if len(scalars) == 1 and isinstance(text := scalars[0], str):
        return (lambda value, _: value != text) if negated else (lambda value, _: value == text)
    known = frozenset(kind_and_value(scalar) for scalar in scalars)
    if negated:
        return lambda value, _: kind_and_value(value) not in known
    return lambda value, _: kind_and_value(value) in known


def kind_and_value(value: JsonValue) -> tuple[str, object]:
    """What two values have in common if they are equal: their kind and their value. 5 and 5.0 are the same, 1 and true are not.

    Lists and objects are of a kind of their own, each equal to itself alone, and so is nothing.
    """
    if isinstance(value, str):
        return "text", value
    if isinstance(value, bool):
        return "truth", value
    if isinstance(value, int | float):
        return "number", value
    return "", id(value)


def _text(ask: Ask) -> list[_Check]:
    checks: list[_Check] = []
    if ask.contains is not None:
        checks.append(_containing(ask.contains))
    if ask.matches is not None:
        checks.append(_matching(ask.matches))
    return checks


def _containing(scalar: Scalar) -> _Check:
    element = kind_and_value(scalar)
    part = scalar.casefold() if isinstance(scalar, str) else None

    def contains(value: JsonValue, _: datetime | None) -> bool:
        if isinstance(value, str):
            return part is not None and part in value.casefold()
        return isinstance(value, list) and any(kind_and_value(one) == element for one in value)

    return contains


def _matching(pattern: str) -> _Check:
    # Compiled when it is first asked: so a trigger without a pattern loads nothing, and a bad one stops no other condition.
    search: Callable[[bytes], object] | None = None

    def matches(value: JsonValue, _: datetime | None) -> bool:
        nonlocal search
        if not isinstance(value, str):
            return False
        if search is None:
            search = expression(pattern)
        # JSON can spell half a surrogate pair.
        return bool(search(value.encode(errors="replace")))

    return matches


def expression(pattern: str) -> Callable[[bytes], object]:
    """What looks for a pattern anywhere in a UTF-8 text, in time linear in its length.

    Raises ValueError, with the reason, if it is not in RE2's syntax or would take more than 1 MiB.
    """
    # Imported here, as few triggers have a pattern.
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.max_mem, options.log_errors, options.never_capture = _RE2_MEMORY, False, True
    try:
        search: Callable[[bytes], object] = re2.compile(pattern, options).search
    except (re2.error, UnicodeEncodeError) as error:
        said = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else "no text"
        raise ValueError(said) from None
    return search


def _comparison(ask: Bounds) -> list[_Check]:
    return [_comparing(compare, bound) for name, compare in COMPARED.items() if (bound := getattr(ask, name)) is not None]


def _comparing(compare: Callable[[float, float], bool], bound: float) -> _Check:
    def compares(value: JsonValue, _: datetime | None) -> bool:
        number = number_of(value)
        return number is not None and compare(number, bound)

    return compares


def number_of(value: JsonValue) -> int | float | None:
    """The number that a value is, or spells as a text; None if it is none."""
    if isinstance(value, str):
        value = _spelt(value) if _NUMBER.fullmatch(value) else None
    if type(value) is int:  # which true is not
        return value
    return value if isinstance(value, float) and math.isfinite(value) else None


def _spelt(text: str) -> int | float:
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _times(ask: Ask) -> list[_Check]:
    checks: list[_Check] = []
    if ask.before is not None:
        checks.append(_timed(operator.lt, ask.before))
    if ask.after is not None:
        checks.append(_timed(operator.gt, ask.after))
    return checks


def _timed(compare: Callable[[datetime, datetime], bool], text: str) -> _Check:
    try:
        moment = moment_of(text)
    except ValueError:  # found before it is published; nothing meets it
        return lambda value, at: False

    def compares(value: JsonValue, at: datetime | None) -> bool:
        time, limit = time_of(value), _limit(moment, at)
        return time is not None and limit is not None and compare(time, limit)

    return compares


def _limit(moment: datetime | timedelta, at: datetime | None) -> datetime | None:
    if isinstance(moment, datetime):
        return moment
    try:
        return at + moment if at is not None else None
    except OverflowError:
        return None


def moment_of(text: str) -> datetime | timedelta:
    """An ISO 8601 time with its zone, or a duration of weeks, days, hours, minutes and seconds. Raises ValueError.

    Years and months are no durations: nobody knows how long they are.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        return from_iso(text)
    parts = found.groupdict()
    sign = -1 if parts.pop("sign") == "-" else 1
    return sign * timedelta(**{unit: int(number) for unit, number in parts.items() if number})


def time_of(value: JsonValue) -> datetime | None:
    """The time that a value says; None if it says none."""
    try:
        if isinstance(value, str):
            return from_iso(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return _EPOCH + timedelta(**{"milliseconds" if abs(value) >= _MILLISECONDS_FROM else "seconds": value})
    except (ValueError, OverflowError):
        return None
