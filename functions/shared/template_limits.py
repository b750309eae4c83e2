"""The limits of Liquid: it cannot run for ever, grow without end, or reach anything but the values it is given.

What bounds its time: every render has a budget of work, and whatever could take time is charged to it before it is done.
Charged are the source text of a loop's body for each turn, each value looked up and each filter by the size of what it
reads and makes, and each character written to any buffer. What is left uncharged (parsing the source, walking it once)
is bounded by the source's length and by what `refuse_slow` lets through. There is no clock and no thread in it, so the
same template on the same values always ends in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import TextIO

from liquid import BoundTemplate, RenderContext, Token
from liquid.builtin.tags.for_tag import ForLoop
from liquid.builtin.tags.tablerow_tag import TableRow
from liquid.exceptions import LiquidError, LiquidSyntaxError
from liquid.undefined import FalsyStrictUndefined, Undefined
from liquid.utils import ReadOnlyChainMap

WORK = 2_000_000
"""Units of work of one render: about characters. On one core of 2024 this is at most about a second."""

OUTPUT = 1_000_000
"""Characters that one template may become."""

_ITEM = 16
"""What an item of a list or mapping costs in memory and time, in characters."""

_PART = 4
"""What a part of an output costs beside its characters."""

_MAX_INTEGER_BITS = 256
_MAX_MARKUP = 2_000
"""Characters from `{{` to `}}` and from `{%` to `%}`."""

_OPENING = re.compile(r"\{[{%]")
_GAP = re.compile(r"\s{100}")
_VERBATIM = re.compile(r"\{%-?\s*(end)?(raw|doc)\s*-?%\}")


class Unfit(LiquidError):
    """What we do not let through, in a sentence that repeats no value."""

    def __init__(self, message: str) -> None:
        super().__init__(message, token=None)


class TooMuchWork(Unfit):
    """The budget of a render is used up."""

    def __init__(self) -> None:
        super().__init__("it takes too much work")


@dataclass
class Budget:
    """The work that is left for one render."""

    left: int = WORK

    def charge(self, units: int) -> None:
        """Raises TooMuchWork if less than this is left."""
        self.left -= units
        if self.left < 0:
            raise TooMuchWork

    def charge_value(self, value: object) -> None:
        """Charges the whole size of a value, stopping as soon as it is more than what is left."""
        kind = type(value)
        if kind is str:  # most are, and this is what every variable of every message goes through
            self.charge(len(value))  # type: ignore[arg-type]  # mypy does not narrow by `kind`
        elif kind is int:
            self._charge_number(value)  # type: ignore[arg-type]
        elif value is not None and kind is not bool and kind is not float:
            self._charge_parts(value)

    def _charge_number(self, value: int) -> None:
        if value.bit_length() > _MAX_INTEGER_BITS:
            raise TooMuchWork

    def charge_range(self, numbers: range) -> None:
        """Charges a range."""
        self.charge(_cost(numbers))

    def _charge_parts(self, value: object) -> None:
        left, pending = self.left, [value]
        while pending and left >= 0:
            one = pending.pop()
            if isinstance(one, str):
                left -= len(one)
            elif isinstance(one, dict):
                left -= _ITEM * len(one)
                pending.extend(one.values())
            elif isinstance(one, list | tuple):
                left -= _ITEM * len(one)
                pending.extend(one)
            elif isinstance(one, range):
                left -= _cost(one)
            elif isinstance(one, int):
                self._charge_number(one)
        self.charge(self.left - left)


def _cost(numbers: range) -> int:
    """Of a range. `len` fails on those of more than 2**63."""
    return _ITEM * max(0, numbers.stop - numbers.start)


def refuse_slow(source: str) -> None:
    """Raises LiquidSyntaxError for sources on which the patterns of the lexer take time beyond measure.

    They look for the end of each opening, so each has to have one nearby; and long gaps have them try every way to split it.
    """
    for opening in _OPENING.finditer(source):
        begins = opening.end()
        ends = source.find("}}" if opening[0] == "{{" else "%}", begins, begins + _MAX_MARKUP)
        if ends < 0:
            raise _syntax(f"{opening[0]} is not closed within {_MAX_MARKUP} characters", source, opening.start())
        if gap := _GAP.search(source, begins, ends):
            raise _syntax("too much space", source, gap.start())
    unclosed: dict[str, int] = {}
    for tag in _VERBATIM.finditer(source):
        if tag[1]:
            unclosed.pop(tag[2], None)
        else:
            unclosed.setdefault(tag[2], tag.start())
    for name, index in unclosed.items():
        raise _syntax(f"{name} is not closed", source, index)


def _syntax(message: str, source: str, index: int) -> LiquidSyntaxError:
    return LiquidSyntaxError(message, token=Token("", "", index, source))


class Output(StringIO):
    """Where a template writes to. Parts are kept until they are asked for: most are short, and StringIO's own way is slow."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._parts: list[str] = []
        self.write_paid = self._parts.append
        """Writes what has been charged."""

    def write(self, text: str, /) -> int:
        """Charges what is written, and the place that it takes."""
        self._budget.charge(len(text) + _PART)
        self._parts.append(text)
        return len(text)

    def getvalue(self) -> str:
        """All of it. Raises Unfit if it is too much."""
        made = "".join(self._parts)
        if len(made) > OUTPUT:
            raise Unfit(f"it becomes more than {OUTPUT} characters")
        return made


class Missing(FalsyStrictUndefined):
    """A variable that is not there: false in a condition, replaced by the filter `default`, otherwise an error."""

    force_liquid_default = True


class _Scope(ReadOnlyChainMap):
    """The variables that can be seen, innermost first. Asks before it takes: an exception for each map without it is slow."""

    def __getitem__(self, key: str) -> object:
        for mapping in self._maps:
            if key in mapping:
                return mapping[key]
        raise KeyError(key)


class LimitedContext(RenderContext):
    """One render: its variables and its budget."""

    __slots__ = ("budget",)

    def __init__(self, template: BoundTemplate, variables: Mapping[str, object], budget: Budget) -> None:
        super().__init__(template, globals=variables)
        self.scope = _Scope(self.locals, variables, self.counters)
        self.budget = budget

    def get(self, path: list[object], *, token: Token | None, default: object = None) -> object:
        """The value of a variable, charged by its size; `Missing` if there is none."""
        try:
            found = self.scope[path[0]]  # type: ignore[index]  # the first step is a name
            for step in path[1:]:
                found = found[step] if type(found) is dict and step in found else self.get_item(found, step)
        except (KeyError, IndexError, TypeError):
            return Missing(_written(path, token), token=token)
        if type(found) is str:
            self.budget.charge(len(found))
        else:
            self.budget.charge_value(found)
        return found

    @contextmanager
    def loop(self, namespace: Mapping[str, object], forloop: ForLoop | TableRow) -> Iterator[RenderContext]:
        """The variables of a loop, while it lasts."""
        if self.scope.size() > self.env.context_depth_limit:
            raise Unfit("its loops are too deep in each other")
        self.loops.append(forloop)
        self.scope.push(namespace)
        try:
            yield self
        finally:
            self.scope.pop()
            self.loops.pop()

    def assign(self, key: str, val: object) -> None:
        """Sets a variable, charged by its size."""
        self.budget.charge(_ITEM)
        self.budget.charge_value(val)
        super().assign(key, val)

    def get_buffer(self, buf: TextIO | None = None) -> Output:
        """Where a block writes to."""
        return Output(self.budget)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        """A filter that charges what it reads and what it makes."""
        made = super().filter(name, token)

        def charged(left: object, *arguments: object, **named: object) -> object:
            """The filter itself."""
            for value in (left, *arguments, *named.values()):
                self.budget.charge_value(value)
            self.budget.charge(_growth(name, left, arguments))
            result = made(left, *arguments, **named)
            self.budget.charge_value(result)
            return result

        return charged


def _written(path: list[object], token: Token | None) -> str:
    """The variable as the template writes it. A segment that came from a value (`a[b]`) is not repeated."""
    source = token.source if token is not None else ""
    return ".".join(str(part) if str(part) in source else "…" for part in path)


_GROWING = frozenset({"replace", "join", "uniq", "strip_html", "date"})


def _growth(name: str, left: object, arguments: tuple[object, ...]) -> int:
    """The work of filters that can do far more than the sizes of what goes in."""
    if name not in _GROWING:
        return 0
    size = len(left) if isinstance(left, str | list | tuple) else 1
    match name, arguments:
        case "replace", (old, new, *_):
            text, sought = str(left), str(old)
            return (text.count(sought) if sought else size + 1) * len(str(new))
        case "join", (separator, *_):
            return size * len(str(separator))
        case "uniq", _:  # compares each with each
            return size * size * _ITEM
        case (("strip_html" | "date"), _):  # parsers of Python that some texts make quadratic
            return size * size // 50
    return 0


def is_missing(value: object) -> bool:
    """Whether a variable's value is that there is none."""
    return isinstance(value, Undefined)
