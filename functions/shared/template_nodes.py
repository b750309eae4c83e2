"""The language of templates: standard Liquid without what reads other templates, its hottest nodes made fast and bounded."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from typing import TextIO, TypeAlias
from urllib.parse import urljoin

from liquid import BoundTemplate, Environment, RenderContext, Token, escape
from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode, Literal
from liquid.builtin.expressions import FilteredExpression, LoopExpression, Path
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.filters.misc import date
from liquid.builtin.output import Output as OutputTag
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.for_tag import ForLoop, ForNode, ForTag
from liquid.builtin.tags.if_tag import IfNode, IfTag
from liquid.exceptions import BreakLoop, ContinueLoop, LiquidError, LiquidInterrupt, LiquidSyntaxError
from liquid.expression import Expression
from liquid.filter import liquid_filter, with_context
from liquid.stream import TokenStream
from liquid.stringify import to_liquid_string

from shared.template_limits import Budget, LimitedContext, Missing, Output, is_missing

# No files, no other templates; and no tags whose loops and buffers would be one more thing to bound.
_REMOVED_TAGS = ("include", "render", "liquid", "tablerow", "ifchanged")


class _Written(ContentNode):
    """Text of the template itself: paid for by the turns of the loops around it, and by the length of the template."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Writes it."""
        if type(buffer) is not Output:
            return buffer.write(self.text)
        buffer.write_paid(self.text)
        return 1

    render = render_to_output


class _WrittenTag(Literal):
    node_class = _Written


class Printed(OutputNode):
    """An output, `{{ … }}`."""

    __slots__ = ("defaulted", "path")

    def __init__(self, token: Token, expression: Expression) -> None:
        super().__init__(token, expression)
        filters = expression.filters or [] if isinstance(expression, FilteredExpression) else []
        self.defaulted = [one.name for one in filters] == ["default"]
        self.path = _plain_path(expression) if self.defaulted or not filters else None

    def value(self, context: RenderContext) -> object:
        """What its expression comes to. The usual ones, `{{ a.b }}` and `{{ a.b | default: c }}`, are short of a few steps."""
        if self.path is not None:
            found = context.get(self.path, token=self.expression.token)
            if not self.defaulted or (type(found) is str and found):
                return found
        return self.expression.evaluate(context)

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Writes the value."""
        value = self.value(context)
        if type(value) is not str:
            return buffer.write(to_liquid_string(value, context.autoescape))
        # Escaping is slow, and most values are a word.
        return buffer.write(escape(value) if context.autoescape and not value.isalnum() else value)

    render = render_to_output


def _plain_path(expression: Expression) -> list[object] | None:
    """The steps of `a.b.c` before any filters; None if it is anything else."""
    if not isinstance(expression, FilteredExpression) or not isinstance(expression.left, Path):
        return None
    return None if any(isinstance(step, Path) for step in expression.left.path) else list(expression.left.path)


class _PrintedTag(OutputTag):
    node_class = Printed


class _LimitedFor(ForNode):
    """A loop that knows how much source text one turn of it walks through."""

    __slots__ = ("label", "turn")

    def __init__(self, token: Token, expression: LoopExpression, block: BlockNode, default: BlockNode | None, turn: int) -> None:
        super().__init__(token, expression, block, default)
        self.turn = turn
        self.label = f"{expression.identifier}-{expression.iterable}"

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        """Charges all turns before the first."""
        items, length = self._items(context)
        budget_of(context).charge(length * self.turn)
        if not length:
            return self.default.render(context, buffer) if self.default else 0
        loop = ForLoop(self.label, items, length, context.parentloop())
        namespace: dict[str, object] = {"forloop": loop}
        with context.loop(namespace, loop):
            for item in items:
                loop.step()
                namespace[self.expression.identifier] = item
                try:
                    _write(self.block, context, buffer)
                except ContinueLoop:
                    continue
                except BreakLoop:
                    break
        return length

    render = render_to_output

    def _items(self, context: RenderContext) -> tuple[Iterator[object], int]:
        """What it goes through. A whole list, which is the usual, needs no slicing; where it ended is kept all the same."""
        expression = self.expression
        if expression.limit is None and expression.offset is None and not expression.reversed:
            found = expression.iterable.evaluate(context)
            if type(found) is list:
                context.stopindex(self.label, len(found))
                return iter(found), len(found)
        return expression.evaluate(context)


class _If(IfNode):
    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        if self.condition.evaluate(context):
            return _write(self.consequence, context, buffer)
        return super().render_to_output(context, buffer) if self.alternatives or self.default else 0

    render = render_to_output


class _IfTag(IfTag):
    node_class = _If


def _write(block: BlockNode, context: RenderContext, buffer: TextIO) -> int:
    if block.blank:  # writes nothing, but may assign
        return block.render_to_output(context, buffer)
    for node in block.nodes:
        node.render(context, buffer)
    return 1


class _LimitedForTag(ForTag):
    def parse(self, stream: TokenStream) -> Node:
        """The loop, with the length of its source."""
        begins = stream.current.start_index
        node = super().parse(stream)
        assert isinstance(node, ForNode)  # noqa: S101  # what the parent's `node_class` says
        return _LimitedFor(node.token, node.expression, node.block, node.default, stream.current.start_index - begins)


def budget_of(context: RenderContext) -> Budget:
    """The budget of a render: every one here has a LimitedContext."""
    budget: Budget = context.budget  # type: ignore[attr-defined]
    return budget


_evaluate_range = RangeLiteral.evaluate


def _evaluate_limited_range(self: RangeLiteral, context: RenderContext) -> range:
    made = _evaluate_range(self, context)
    budget_of(context).charge_range(made)
    return made


# The parser makes this class by name: there is no other place to bound `(1..1000000000) contains "x"`.
RangeLiteral.evaluate = _evaluate_limited_range  # type: ignore[method-assign]


_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:|#", re.IGNORECASE)


def is_relative(link: str) -> bool:
    """Whether a link says only where it leads from the page that it is on."""
    return _SCHEME.match(link.strip()) is None


def _absolute_url(link: object, base: object) -> str:
    """The filter `absolute_url`: a link as it is from a base; one that is absolute stays what it is."""
    text = str(link)  # raises if it is missing
    return urljoin(str(base), text.strip()) if is_relative(text) else text


@with_context
@liquid_filter
def _date(value: object, form: str, *, context: RenderContext) -> str:
    """The filter `date`, whose `now` is that of the message: the same values make the same text."""
    if value in ("now", "today"):
        value = context.scope.get("now", Missing("now", token=None))
    if is_missing(value):
        return str(value)  # raises
    made: str = date(value, form, environment=context.env)
    return made


def _as_it_is(value: object) -> object:
    return value


class LimitedEnvironment(Environment):
    """The language."""

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Registers the standard ones, without those removed."""
        super().setup_tags_and_filters(extra=False)
        for name in _REMOVED_TAGS:
            del self.tags[name]
        for tag in (_LimitedForTag, _IfTag, _PrintedTag, _WrittenTag):
            self.add_tag(tag)
        self.add_filter("absolute_url", _absolute_url)
        self.add_filter("date", _date)


Kind: TypeAlias = typing.Literal["text", "html", "text_of_html"]
"""What a template becomes. In `html` values are escaped; `text_of_html` is text whose template was made from HTML."""


def environment(kind: Kind) -> Environment:
    """The language of one kind of templates."""
    made = LimitedEnvironment(undefined=Missing, autoescape=kind == "html")
    if kind == "text_of_html":
        for name in ("escape", "escape_once", "newline_to_br"):
            made.add_filter(name, _as_it_is)
    return made


def render(template: BoundTemplate, variables: Mapping[str, object], budget: Budget) -> str:
    """Renders within the budget. Raises LiquidError."""
    context = LimitedContext(template, variables, budget)
    output = context.get_buffer()
    for node in template.nodes:
        try:
            node.render_to_output(context, output)
        except LiquidInterrupt as error:
            raise LiquidSyntaxError(f"unexpected '{error}'", token=node.token) from None
        except LiquidError as error:
            error.token = error.token or node.token
            raise
    return output.getvalue()
