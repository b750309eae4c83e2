"""JSON templates: parsed as JSON first, then each string of it is Liquid. So no value can break out of its string.

| written | becomes |
|---|---|
| `"Dear {{ profile.name }}"` | a string, whatever is in the name |
| `"{{ cart }}"`: one placeholder and nothing else | the value itself, as the type that it has |
| `{"$for": "item in cart", "$each": {"sku": "{{ item.sku }}"}}` as an element of a list | one element for each item |

`$for` is what follows `for` in Liquid (`item in cart limit: 3`, `item in cart reversed`); in `$each`, any JSON, the item and
`forloop.index`, `.index0`, `.first`, `.last`, `.length` are variables, and repeats may be inside of repeats. With `$if`, a
condition as after Liquid's `if` (`"$if": "item.price > 10"`), only items for which it holds make an element. Keys are never
rendered, and nothing else that begins with `$` means anything.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from liquid import BoundTemplate
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.expression import Expression
from pydantic import JsonValue

from shared.errors import Permanent
from shared.template_limits import Budget, LimitedContext, Unfit, is_missing
from shared.templates import Source, Variables, is_template

_DEEPEST = 50
_REPEAT = {"$for", "$each", "$if"}


def render_json(name: str, body: JsonValue, variables: Variables) -> JsonValue:
    """Renders a JSON template. `name` is for errors, which add where in it they are (`body/items/0`).

    Raises Permanent if it is no JSON template, misses a variable, or exceeds the limits of a render, which all of it shares.
    """
    return _compiled(name, _Same(body)).render(variables, Budget())


def sources(name: str, body: JsonValue) -> Iterator[tuple[Sequence[Loop], Source]]:
    """Every piece of Liquid of a JSON template, each with the loops around it, the outermost first. Raises Permanent."""
    yield from _compiled(name, _Same(body)).sources(())


@dataclass(frozen=True)
class Loop:
    """The variable of a loop, and what it goes through."""

    variable: str
    over: str


class _Same:
    """Equal to itself alone, so that a cache can be kept by what cannot be hashed."""

    def __init__(self, it: JsonValue) -> None:
        self.it = it

    def __hash__(self) -> int:
        return id(self.it)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.it is self.it


class _Part:
    """A part of a JSON template that has nothing to fill in."""

    def __init__(self, value: JsonValue) -> None:
        self.value = value

    def render(self, variables: Variables, budget: Budget) -> JsonValue:
        """The JSON that it becomes."""
        budget.charge(1)
        return self.value

    def elements(self, variables: Variables, budget: Budget) -> Iterator[JsonValue]:
        """What it becomes as an element of a list."""
        yield self.render(variables, budget)

    def sources(self, loops: Sequence[Loop]) -> Iterator[tuple[Sequence[Loop], Source]]:
        """The Liquid in it."""
        return iter(())


class _Text(_Part):
    def __init__(self, source: Source) -> None:
        self.source = source

    def render(self, variables: Variables, budget: Budget) -> JsonValue:
        return self.source.value(variables, budget)

    def sources(self, loops: Sequence[Loop]) -> Iterator[tuple[Sequence[Loop], Source]]:
        yield loops, self.source


class _Object(_Part):
    def __init__(self, parts: dict[str, _Part]) -> None:
        self.parts = parts

    def render(self, variables: Variables, budget: Budget) -> JsonValue:
        return {key: part.render(variables, budget) for key, part in self.parts.items()}

    def sources(self, loops: Sequence[Loop]) -> Iterator[tuple[Sequence[Loop], Source]]:
        return (found for part in self.parts.values() for found in part.sources(loops))


class _List(_Part):
    def __init__(self, parts: list[_Part]) -> None:
        self.parts = parts

    def render(self, variables: Variables, budget: Budget) -> JsonValue:
        return [element for part in self.parts for element in part.elements(variables, budget)]

    def sources(self, loops: Sequence[Loop]) -> Iterator[tuple[Sequence[Loop], Source]]:
        return (found for part in self.parts for found in part.sources(loops))


class _Repeat(_Part):
    def __init__(self, loop: Source, condition: Source | None, each: _Part, turn: int) -> None:
        self.loop, self.condition, self.each, self.turn = loop, condition, each, turn
        self.template, self.expression = _loop(loop)
        self.holds = None if condition is None else _condition(condition)

    def elements(self, variables: Variables, budget: Budget) -> Iterator[JsonValue]:
        with self.loop.explained():
            items, length = self._items(variables, budget)
        for index, item in enumerate(items):
            forloop: dict[str, JsonValue] = {
                "index": index + 1,
                "index0": index,
                "first": index == 0,
                "last": index == length - 1,
                "length": length,
            }
            inner = {**variables, "forloop": forloop, self.expression.identifier: item}
            if self._wanted(inner, budget):
                yield self.each.render(inner, budget)

    def _items(self, variables: Variables, budget: Budget) -> tuple[Iterator[JsonValue], int]:
        context = LimitedContext(self.template, variables, budget)
        found = self.expression.iterable.evaluate(context)
        if is_missing(found):
            str(found)  # raises, naming the variable
        if found is not None and not isinstance(found, list | range):
            raise Unfit(f"{str(self.expression.iterable)!r} is not a list")
        items, length = self.expression.evaluate(context)
        budget.charge(length * self.turn)
        return items, length  # type: ignore[return-value]  # what goes in is JSON

    def _wanted(self, variables: Variables, budget: Budget) -> bool:
        if self.condition is None or self.holds is None:
            return True
        template, expression = self.holds
        with self.condition.explained():
            return bool(expression.evaluate(LimitedContext(template, variables, budget)))

    def sources(self, loops: Sequence[Loop]) -> Iterator[tuple[Sequence[Loop], Source]]:
        yield loops, self.loop
        inner = (*loops, Loop(self.expression.identifier, str(self.expression.iterable)))
        if self.condition is not None:
            yield inner, self.condition
        yield from self.each.sources(inner)


def _loop(source: Source) -> tuple[BoundTemplate, LoopExpression]:
    template = source.parsed
    node = template.nodes[0]
    if len(template.nodes) != 1 or not isinstance(node, ForNode):
        raise Permanent(f"{source.name}: a loop as `item in cart`")
    return template, node.expression


def _condition(source: Source) -> tuple[BoundTemplate, Expression]:
    template = source.parsed
    node = template.nodes[0]
    if len(template.nodes) != 1 or not isinstance(node, IfNode):
        raise Permanent(f"{source.name}: a condition as `item.price > 10`")
    return template, node.condition


@functools.lru_cache(maxsize=128)
def _compiled(name: str, body: _Same) -> _Part:
    return _part(name, body.it)


def _part(name: str, part: JsonValue, depth: int = 0) -> _Part:
    if depth > _DEEPEST:
        raise Permanent(f"{name.partition('/')[0]}: objects and lists in each other at most {_DEEPEST} deep")
    if isinstance(part, str) and is_template(part):
        return _Text(Source(name, part))
    if isinstance(part, dict):
        if "$for" in part:
            raise Permanent(f"{name}: `$for` only in lists, as it makes elements of them")
        inside = {key: _part(f"{name}/{key}", value, depth + 1) for key, value in part.items()}
        return _Object(inside) if any(type(one) is not _Part for one in inside.values()) else _Part(part)
    if isinstance(part, list):
        elements = [_element(f"{name}/{index}", value, depth + 1) for index, value in enumerate(part)]
        return _List(elements) if any(type(one) is not _Part for one in elements) else _Part(part)
    return _Part(part)


def _element(name: str, part: JsonValue, depth: int) -> _Part:
    if not isinstance(part, dict) or "$for" not in part:
        return _part(name, part, depth)
    loop, condition = part["$for"], part.get("$if")
    if "$each" not in part or not part.keys() <= _REPEAT or not isinstance(loop, str) or not isinstance(condition, str | None):
        raise Permanent(f'{name}: {{"$for": "item in cart", "$each": …}} with at most an "$if" beside them')
    return _Repeat(
        _tag(f"{name}/$for", "for", loop),
        None if condition is None else _tag(f"{name}/$if", "if", condition),
        _part(f"{name}/$each", part["$each"], depth + 1),
        len(json.dumps(part["$each"])),
    )


def _tag(name: str, tag: str, markup: str) -> Source:
    if "%}" in markup or "{%" in markup or "\n" in markup:
        raise Permanent(f"{name}: what follows `{tag}` in Liquid, without `{{%` and `%}}`")
    return Source(name, f"{{% {tag} {markup} %}}{{% end{tag} %}}")
