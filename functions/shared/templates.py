"""Rendering: Liquid text, and JSON whose strings are Liquid.

A message's content never changes the structure of the JSON it is put into: the body is parsed first, and each of its
strings is rendered by itself. Errors name the template, the line and the variable, never a value.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from decimal import Decimal

from liquid import BoundTemplate
from liquid.builtin.output import OutputNode
from liquid.exceptions import (
    FilterArgumentError,
    LiquidError,
    LiquidSyntaxError,
    LiquidTypeError,
    UndefinedError,
    UnknownFilterError,
)
from pydantic import JsonValue

from shared.errors import Permanent
from shared.template_limits import Budget, LimitedContext, TooMuchWork, environment, is_missing, refuse_slow
from shared.template_limits import render as render_limited

MAX_SOURCE = 200_000
"""Characters of one template: what bounds the time that parsing takes."""

_ENVIRONMENTS = {escape: environment(escape=escape) for escape in (False, True)}


def render(name: str, source: str, variables: Mapping[str, JsonValue], *, html: bool = False) -> str:
    """Renders a template; with `html`, values are escaped. `name` is for errors.

    Raises Permanent if it is not Liquid, misses a variable, or exceeds its limits.
    """
    if not _is_template(source):
        return source
    template = _checked(name, source, html)
    try:
        return render_limited(template, variables, Budget())
    except Exception as error:
        raise _explained(name, source, error) from None


def render_json(name: str, body: JsonValue, variables: Mapping[str, JsonValue]) -> JsonValue:
    """Renders each string of a JSON structure; a string that is one `{{ … }}` becomes the value itself. Keys stay as they are.

    Raises Permanent like `render`.
    """
    return _render_part(name, body, variables, Budget())


def check(name: str, source: str, *, html: bool = False) -> None:
    """Raises Permanent if this is not Liquid, or uses a filter that there is not."""
    if not _is_template(source):
        return
    for used, places in _checked(name, source, html).analyze().filters.items():
        if used not in _ENVIRONMENTS[html].filters:
            line = source.count("\n", 0, places[0].index) + 1
            raise Permanent(f"{name}, line {line}: there is no filter {used!r}")


def _is_template(source: str) -> bool:
    return "{{" in source or "{%" in source


def _render_part(name: str, part: JsonValue, variables: Mapping[str, JsonValue], budget: Budget) -> JsonValue:
    if isinstance(part, dict):
        return {key: _render_part(f"{name}/{key}", value, variables, budget) for key, value in part.items()}
    if isinstance(part, list):
        return [_render_part(f"{name}/{index}", value, variables, budget) for index, value in enumerate(part)]
    if not isinstance(part, str) or not _is_template(part):
        return part
    template = _checked(name, part, False)
    try:
        return _value(template, variables, budget)
    except Exception as error:
        raise _explained(name, part, error) from None


def _value(template: BoundTemplate, variables: Mapping[str, JsonValue], budget: Budget) -> JsonValue:
    only = template.nodes[0] if len(template.nodes) == 1 else None
    if not isinstance(only, OutputNode):
        return render_limited(template, variables, budget)
    return _plain(only.expression.evaluate(LimitedContext(template, variables, budget)), budget)


def _plain(value: object, budget: Budget) -> JsonValue:
    """The JSON value of what an expression came to. Raises LiquidError if it has none."""
    budget.charge(1)
    if value is None or isinstance(value, bool | int):
        return value
    if is_missing(value) or isinstance(value, str):
        return str(value) + ""  # a missing variable raises here; markup becomes text
    if isinstance(value, float | Decimal) and math.isfinite(value):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, budget) for key, inner in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(inner, budget) for inner in value]
    raise LiquidError("it is no JSON value", token=None)


@functools.lru_cache(maxsize=256)
def _parsed(source: str, html: bool) -> BoundTemplate:
    """Kept by the source itself: a changed template is another one, whatever its version says."""
    refuse_slow(source)
    return _ENVIRONMENTS[html].from_string(source)


def _checked(name: str, source: str, html: bool) -> BoundTemplate:
    if len(source) > MAX_SOURCE:
        raise Permanent(f"{name}: a template has at most {MAX_SOURCE} characters")
    try:
        return _parsed(source, html)
    except Exception as error:
        raise _explained(name, source, error) from None


def _explained(name: str, source: str, error: Exception) -> Permanent:
    token = error.token if isinstance(error, LiquidError) else None
    line = source.count("\n", 0, max(token.start_index, 0)) + 1 if token is not None else 1
    return Permanent(f"{name}, line {line}: {_said(error)}")


def _said(error: Exception) -> str:
    """What is wrong, in words of the template: most messages of filters repeat the value."""
    if isinstance(error, UndefinedError):
        return str(error.message)
    if isinstance(error, FilterArgumentError | LiquidTypeError) and error.token is not None:
        return f"the filter {error.token.value!r} cannot be used on this value"
    if isinstance(error, LiquidSyntaxError | UnknownFilterError | TooMuchWork):
        return str(error.message)
    return f"it cannot be rendered ({type(error).__name__})"
