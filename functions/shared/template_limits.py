"""Liquid that cannot run for ever, grow without end, or reach anything but the values it is given.

What bounds its time: every render has a budget of work, and whatever could take time is charged to it before it is done.
Charged are the source text of a loop's body for each turn, each value looked up and each filter by the size of what it
reads and makes, and each character written to any buffer. What is left uncharged (parsing the source, walking it once)
is bounded by the source's length and by what `refuse_slow` lets through. There is no clock and no thread in it, so the
same template on the same values always ends in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import TextIO

from liquid import BoundTemplate, Environment, RenderContext, Token
from liquid.ast import BlockNode, Node
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.exceptions import LiquidError, LiquidSyntaxError
from liquid.stream import TokenStream
from liquid.undefined import FalsyStrictUndefined, Undefined

WORK = 2_000_000
"""Units of work of one render: about characters. On one core of 2024 this is at most about a second."""

OUTPUT = 1_000_000
"""Characters that one template may become."""

_ITEM = 16
"""What an item of a list or mapping costs in memory and time, in characters."""

_MAX_INTEGER_BITS = 256
# No files, no other templates; and no tags whose loops and buffers would be one more thing to bound.
_REMOVED_TAGS = ("include", "render", "liquid", "tablerow", "ifchanged")


_MAX_MARKUP = 2_000
"""Characters from `{{` to `}}` and from `{%` to `%}`."""

_OPENING = re.compile(r"\{[{%]")
_GAP = re.compile(r"\s{100}")
_VERBATIM = re.compile(r"\{%-?\s*(end)?(raw|doc)\s*-?%\}")


class TooMuchWork(LiquidError):
    """The budget of a render is used up."""

    def __init__(self) -> None:
        super().__init__("it takes too much work", token=None)


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
        pending = [value]
        while pending:
            one = pending.pop()
            if is_missing(one):
                continue
            if isinstance(one, str):
                self.charge(len(one))
            elif isinstance(one, Mapping):
                self.charge(_ITEM * len(one))
                pending.extend(one.values())
            elif isinstance(one, list | tuple):
                self.charge(_ITEM * len(one))
                pending.extend(one)
            elif isinstance(one, range):
                self.charge(_length(one))
            elif isinstance(one, int) and one.bit_length() > _MAX_INTEGER_BITS:
                raise TooMuchWork


def _length(numbers: range) -> int:
    """What a range costs. `len` fails on ranges of more than 2**63."""
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


class _Output(StringIO):
    """Where a template writes to."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(newline="")
        self._budget = budget
        self._size = 0

    def write(self, text: str, /) -> int:
        """Charges what is written."""
        self._budget.charge(len(text))
        self._size += len(text)
        if self._size > OUTPUT:
            raise LiquidError(f"it becomes more than {OUTPUT} characters", token=None)
        return super().write(text)


class Missing(FalsyStrictUndefined):
    """A variable that is not there: false in a condition, replaced by the filter `default`, otherwise an error."""

    force_liquid_default = True


class LimitedContext(RenderContext):
    """One render: its variables and its budget."""

    __slots__ = ("budget",)

    def __init__(self, template: BoundTemplate, variables: Mapping[str, object], budget: Budget) -> None:
        super().__init__(template, globals=variables)
        self.budget = budget

    def get(self, path: list[object], *, token: Token | None, default: object = None) -> object:
        """The value of a variable, charged by its size; `Missing` if there is none."""
        found = super().get(path, token=token, default=Missing)
        if found is Missing:
            return Missing(_written(path, token), token=token)
        self.budget.charge_value(found)
        return found

    def assign(self, key: str, val: object) -> None:
        """Sets a variable, charged by its size."""
        self.budget.charge(_ITEM)
        self.budget.charge_value(val)
        super().assign(key, val)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        """Where a block writes to."""
        return _Output(self.budget)

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


def _growth(name: str, left: object, arguments: tuple[object, ...]) -> int:
    """The work of filters that can do far more than the sizes of what goes in."""
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


class _LimitedFor(ForNode):
    """A loop that knows how much source text one turn of it walks through."""

    __slots__ = ("turn",)

    def __init__(self, token: Token, expression: LoopExpression, block: BlockNode, default: BlockNode | None, turn: int) -> None:
        super().__init__(token, expression, block, default)
        self.turn = turn

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Charges all turns before the first."""
        items = self.expression.iterable.evaluate(context)
        turns = len(items) if isinstance(items, list | Mapping | range) else 1
        _budget(context).charge(turns * self.turn)
        return super().render_to_output(context, buffer)


class _LimitedForTag(ForTag):
    def parse(self, stream: TokenStream) -> Node:
        """The loop, with the length of its source."""
        begins = stream.current.start_index
        node = super().parse(stream)
        assert isinstance(node, ForNode)  # noqa: S101  # what the parent's `node_class` says
        return _LimitedFor(node.token, node.expression, node.block, node.default, stream.current.start_index - begins)


def _budget(context: RenderContext) -> Budget:
    budget: Budget = context.budget  # type: ignore[attr-defined]  # every render here has a LimitedContext
    return budget


_evaluate_range = RangeLiteral.evaluate


def _evaluate_limited_range(self: RangeLiteral, context: RenderContext) -> range:
    made = _evaluate_range(self, context)
    _budget(context).charge(_length(made))
    return made


# The parser makes this class by name: there is no other place to bound `(1..1000000000) contains "x"`.
RangeLiteral.evaluate = _evaluate_limited_range  # type: ignore[method-assign]


class LimitedEnvironment(Environment):
    """The language: standard Liquid without what reads other templates."""

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Registers the standard ones, without those removed."""
        super().setup_tags_and_filters(extra=False)
        for name in _REMOVED_TAGS:
            del self.tags[name]
        self.add_tag(_LimitedForTag)


def environment(*, escape: bool) -> Environment:
    """An environment whose output is escaped for HTML, or not."""
    return LimitedEnvironment(undefined=Missing, autoescape=escape)


def render(template: BoundTemplate, variables: Mapping[str, object], budget: Budget) -> str:
    """Renders within the budget. Raises LiquidError."""
    context = LimitedContext(template, variables, budget)
    output = context.get_buffer()
    template.render_with_context(context, output)
    return output.getvalue()


def is_missing(value: object) -> bool:
    """Whether a variable's value is that there is none."""
    return isinstance(value, Undefined)
