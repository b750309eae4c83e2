"""What is wrong with conditions before anybody meets them: patterns and times that are none, and what can never be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from shared.conditions import compiled, expression, moment_of
from shared.rules import AllConditions, AnyCondition, Ask, Bounds, Condition, NoCondition, Where
from shared.validation import Fault

_MOMENTS = ("before", "after")
_OF_NOTHING = ("not_equals", "not_in")
"""What a value that is not there meets."""

_LOWER, _UPPER = ("above", "at_least"), ("below", "at_most")
BOUNDS: Final = (*_LOWER, *_UPPER)

_EXPECTED_MOMENT = (
    "an ISO 8601 time with its zone, as 2026-01-31T10:00:00Z, or a duration in weeks, days and less, as -P7D or PT2H"
)


class _Atom(NamedTuple):
    """One of the things that conditions ask of a value."""

    field: str
    path: str
    name: str
    value: object


def condition_faults(where: Where, field: str) -> Iterator[Fault]:
    """Everything that is wrong with conditions, which are at this field (`must_include.0.where`)."""
    yield from _faults(_numbered(where, field), [])


def bounds_faults(bounds: Bounds, field: str, *, least: float | None = None) -> Iterator[Fault]:
    """What is wrong with bounds that no number, or none that is at least `least`, is within."""
    atoms = [_Atom(f"{least} or more, which it always is", "", "at_least", least)] if least is not None else []
    given = ((name, getattr(bounds, name)) for name in BOUNDS)
    yield from _added((_Atom(f"{field}.{name}", "", name, value) for name, value in given if value is not None), atoms)


def _numbered(conditions: Iterable[Condition], field: str) -> Iterator[tuple[str, Condition]]:
    return ((f"{field}.{index}", condition) for index, condition in enumerate(conditions))


def _faults(conditions: Iterable[tuple[str, Condition]], around: Sequence[_Atom]) -> Iterator[Fault]:
    """`around` is what must hold besides, without contradiction in itself."""
    atoms = list(around)
    groups: list[tuple[str, AnyCondition | NoCondition]] = []
    for where, condition in _flat(conditions):
        if isinstance(condition, Ask):
            yield from _bad_values(condition, where)
            yield from _added(_atoms(condition, where), atoms)
        else:
            groups.append((where, condition))
    for where, group in groups:
        # What is below `none` only has to be possible in itself.
        name, inside, besides = ("any", group.any, atoms) if isinstance(group, AnyCondition) else ("none", group.none, [])
        for one in _numbered(inside, f"{where}.{name}"):
            yield from _faults([one], besides)


def _flat(conditions: Iterable[tuple[str, Condition]]) -> Iterator[tuple[str, Ask | AnyCondition | NoCondition]]:
    """The conditions that must all hold."""
    for where, condition in conditions:
        if isinstance(condition, AllConditions):
            yield from _flat(_numbered(condition.all, f"{where}.all"))
        else:
            yield where, condition


def _added(new: Iterable[_Atom], atoms: list[_Atom]) -> Iterator[Fault]:
    """Adds to the atoms those that can be true together with them; what cannot is a fault."""
    for atom in new:
        rivals = [other for other in atoms if other.path == atom.path]
        if not _impossible([*rivals, atom]):
            atoms.append(atom)
            continue
        others = [other.field for other in rivals if _impossible([other, atom])] or [other.field for other in rivals]
        yield Fault(atom.field, f"something that can be true together with {' and '.join(others[:3])}")


def _atoms(ask: Ask, field: str) -> list[_Atom]:
    given = {"in" if name == "in_" else name: getattr(ask, name) for name in type(ask).model_fields if name != "path"}
    return [_Atom(f"{field}.{name}", ask.path, name, value) for name, value in given.items() if value is not None]


def _bad_values(ask: Ask, field: str) -> Iterator[Fault]:
    if ask.matches is not None:
        try:
            expression(ask.matches)
        except ValueError as error:
            # RE2 repeats the pattern after the colon.
            yield Fault(f"{field}.matches", f"a regular expression in the syntax of RE2: {str(error).partition(':')[0]}")
    for name in _MOMENTS:
        if (text := getattr(ask, name)) is not None and _moment(text) is None:
            yield Fault(f"{field}.{name}", _EXPECTED_MOMENT)


def _moment(text: str) -> datetime | timedelta | None:
    try:
        return moment_of(text)
    except ValueError:
        return None


def _impossible(atoms: Sequence[_Atom]) -> bool:
    """Whether no value can meet all of these."""
    asked = {atom.name for atom in atoms}
    absent = any(atom.name == "exists" and atom.value is False for atom in atoms)
    if absent and any(atom.value is not False and atom.name not in _OF_NOTHING for atom in atoms):
        return True
    if candidates := next((_values(atom) for atom in atoms if atom.name in ("equals", "in")), None):
        return not any(all(_meets(atom, value) for atom in atoms) for value in candidates)
    of_list = any(atom.name == "contains" and not isinstance(atom.value, str) for atom in atoms)
    if of_list and asked & {"matches", *_MOMENTS, *BOUNDS}:
        return True
    return _empty(atoms) or _out_of_time(atoms)


def _values(atom: _Atom) -> tuple[object, ...]:
    return atom.value if isinstance(atom.value, tuple) else (atom.value,)


def _meets(atom: _Atom, value: object) -> bool:
    if atom.name in _MOMENTS and not isinstance(_moment(str(atom.value)), datetime):
        return True  # that depends on the event
    if atom.name == "matches" and not _is_pattern(str(atom.value)):
        return True  # said already
    ask = Ask.model_validate({"path": "v", atom.name: atom.value})
    return compiled((ask,))({"v": value}, None)  # type: ignore[dict-item]  # a value of the definition's own


def _is_pattern(text: str) -> bool:
    try:
        expression(text)
    except ValueError:
        return False
    return True


def _empty(atoms: Iterable[_Atom]) -> bool:
    """Whether no number is within these bounds."""
    bounds = [(atom.name, atom.value) for atom in atoms if isinstance(atom.value, int | float)]
    lower = [(value, name == "above") for name, value in bounds if name in _LOWER]
    upper = [(value, name == "below") for name, value in bounds if name in _UPPER]
    return any(low > high or (low == high and (open_low or open_high)) for low, open_low in lower for high, open_high in upper)


def _out_of_time(atoms: Iterable[_Atom]) -> bool:
    moments = [(atom.name, _moment(str(atom.value))) for atom in atoms if atom.name in _MOMENTS]
    begins = [moment for name, moment in moments if name == "after"]
    ends = [moment for name, moment in moments if name == "before"]
    return any(_not_before(begin, end) for begin in begins for end in ends)


def _not_before(begin: datetime | timedelta | None, end: datetime | timedelta | None) -> bool:
    if isinstance(begin, datetime) and isinstance(end, datetime):
        return begin >= end
    return isinstance(begin, timedelta) and isinstance(end, timedelta) and begin >= end
