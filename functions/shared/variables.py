"""The variables that templates and integrations use, found without rendering, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from liquid import RenderContext
from liquid.ast import ConditionalBlockNode, Node
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression
from pydantic import JsonValue

from shared.definitions import Integration, Template
from shared.json_templates import Loop, sources
from shared.mapping import at
from shared.request_templates import placeholders
from shared.templates import Source, is_template

Origin: TypeAlias = Literal["profile", "cart", "event", "metadata", "lookup", "message", "default", "unknown"]

_ROOTS: Mapping[str, Origin] = {
    "profile": "profile",
    "to": "profile",
    "identifier": "profile",
    "cart": "cart",
    "events": "event",
    "event": "event",
    "metadata": "metadata",
    "lookup": "lookup",
    "mirror_url": "message",
    "now": "message",
    "unsubscribe_url": "message",
}
_MESSAGE = frozenset({"id", "uuid", "trigger", "campaign", "delivery", "template"})
_RENDERED = frozenset({"subject", "html", "text", "segments"})
"""Of `message`, once the template is rendered: for integrations only."""

_OF_LIQUID = frozenset({"forloop"})


@dataclass(frozen=True)
class Variable:
    """One variable."""

    name: str
    """Its path: `profile.first_name`; `cart[].price` of each item in a loop."""
    origin: Origin
    """`default` if only the defaults have it; `unknown` if nothing has it."""
    fields: tuple[str, ...]
    """Where it is used: `html`, `headers.X-Name`, `body.to.0.email`."""
    optional: bool
    """Whether a message goes out without it: there is a default, or it is only asked whether it is there."""
    asked: bool
    """Whether it is only used where it was asked whether it, or what it is a part of, is there."""


@dataclass(frozen=True)
class _Use:
    name: str
    guarded: bool
    asked: bool = False


_Scope: TypeAlias = Mapping[str, str]
"""The variables of loops, and what they are of: `item` → `cart[]`."""


def variables_of(definition: Template | Integration, defaults: Mapping[str, JsonValue] | None = None) -> list[Variable]:
    """The variables of a template or an integration, by name.

    `defaults` are those of the template that an integration is used with. Raises Permanent if it is not Liquid.
    """
    known = definition.defaults if isinstance(definition, Template) else defaults or {}
    found: dict[str, list[tuple[str, _Use]]] = {}
    for field, scope, source in _sources(definition):
        for use in _uses(source.parsed.nodes, scope, RenderContext(source.parsed)):
            found.setdefault(use.name, []).append((field, use))
    rendered = isinstance(definition, Integration)
    return [
        Variable(
            name,
            _origin(name, known, rendered),
            tuple(dict.fromkeys(field for field, _ in uses)),
            all(use.guarded for _, use in uses) or at(dict(known), name) is not None,
            all(use.guarded or use.asked for _, use in uses),
        )
        for name, uses in sorted(found.items())
    ]


def _origin(name: str, defaults: Mapping[str, JsonValue], rendered: bool) -> Origin:
    root, _, rest = name.partition(".")
    if root == "message" and rest.partition(".")[0] in (_MESSAGE | _RENDERED if rendered else _MESSAGE):
        return "message"
    return _ROOTS.get(root.partition("[")[0]) or ("default" if root in defaults else "unknown")


def _sources(definition: Template | Integration) -> Iterator[tuple[str, _Scope, Source]]:
    if isinstance(definition, Template):
        for field, text in (("subject", definition.subject), ("html", definition.html), ("text", definition.text)):
            if is_template(text):
                yield field, {}, Source(field, text, "html" if field == "html" else "text")
        return
    yield from (("url", {}, source) for source in placeholders("url", definition.url))
    for name, value in definition.headers.items():
        if is_template(value):
            yield f"headers.{name}", {}, Source(f"headers.{name}", value)
    for loops, source in sources("body", definition.body):
        yield source.name.replace("/", "."), _scope(loops), source


def _scope(loops: Sequence[Loop]) -> _Scope:
    scope: dict[str, str] = {}
    for loop in loops:
        scope = {**scope, loop.variable: f"{_named(loop.over.split('.'), scope)}[]"}
    return scope


def _uses(nodes: Iterable[Node], scope: _Scope, context: RenderContext, asked: frozenset[str] = frozenset()) -> Iterator[_Use]:
    """`asked` are those that conditions around have asked for."""
    local = dict(scope)
    for node in nodes:
        guarded = isinstance(node, IfNode | UnlessNode | ConditionalBlockNode)
        used = [use for expression in node.expressions() for use in _in_expression(expression, local, guarded)]
        yield from (_Use(use.name, use.guarded or use.name in asked, _is_in(use.name, asked)) for use in used)
        # What is assigned or captured is nobody's to provide.
        local |= dict.fromkeys((str(name) for name in node.template_scope()), "")
        inner = {**local, **_loop_scope(node, local)} if isinstance(node, ForNode) else local
        yield from _uses(node.children(context), inner, context, asked | {use.name for use in used if guarded})


def _is_in(name: str, asked: frozenset[str]) -> bool:
    return any(name.startswith((f"{one}.", f"{one}[")) for one in asked)


def _loop_scope(node: ForNode, scope: _Scope) -> _Scope:
    over = node.expression.iterable
    return {node.expression.identifier: f"{_named(over.path, scope)}[]" if isinstance(over, Path) else ""}


def _in_expression(expression: Expression, scope: _Scope, guarded: bool) -> Iterator[_Use]:
    if isinstance(expression, Path):
        name = _named(expression.path, scope)
        if name and name.partition(".")[0] not in _OF_LIQUID:
            yield _Use(name, guarded)
    if isinstance(expression, FilteredExpression):
        guarded = guarded or any(one.name == "default" for one in expression.filters or ())
    for inner in expression.children():
        yield from _in_expression(inner, scope, guarded)


def _named(path: Sequence[object], scope: _Scope) -> str:
    """The path as a name, from where a loop's variable comes from; empty if it is the template's own."""
    root, *rest = path
    root = scope.get(str(root), str(root))
    if not root or root == "[]":
        return ""
    steps = [f"[{step}]" if isinstance(step, int | Path) else f".{step}" for step in rest]
    return root + "".join(steps)
