"""Rendering one piece of Liquid. Errors name the template, the line and the variable, never a value."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TypeAlias, get_args

from liquid import BoundTemplate
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
from shared.template_limits import Budget, LimitedContext, Unfit, is_missing, refuse_slow
from shared.template_nodes import Kind, Printed, environment
from shared.template_nodes import render as render_limited

MAX_SOURCE = 200_000
"""Characters of one template: what bounds the time that parsing takes."""

_ENVIRONMENTS = {kind: environment(kind) for kind in get_args(Kind)}

Variables: TypeAlias = Mapping[str, JsonValue]


def render(name: str, source: str, variables: Variables, kind: Kind = "text") -> str:
    """Renders a template. `name` is for errors.

    Raises Permanent if it is not Liquid, misses a variable, or exceeds its limits.
    """
    return Source(name, source, kind).render(variables, Budget()) if is_template(source) else source


def check(name: str, source: str, kind: Kind = "text") -> None:
    """Raises Permanent if this is not Liquid, or uses a filter that there is not."""
    if is_template(source):
        Source(name, source, kind).check()


def is_template(source: str) -> bool:
    """Whether there is any Liquid in it."""
    return "{{" in source or "{%" in source


class Source:
    """A piece of Liquid. `name` is what errors call it. Its methods raise Permanent."""

    __slots__ = ("_parsed", "kind", "name", "source")

    def __init__(self, name: str, source: str, kind: Kind = "text") -> None:
        self.name, self.source, self.kind = name, source, kind
        self._parsed: BoundTemplate | None = None

    @property
    def parsed(self) -> BoundTemplate:
        """Its syntax tree."""
        if self._parsed is None:
            if len(self.source) > MAX_SOURCE:
                raise Permanent(f"{self.name}: a template has at most {MAX_SOURCE} characters")
            try:
                self._parsed = _parse(self.source, self.kind)
            except Exception as error:
                raise _explained(self, error) from None
        return self._parsed

    def check(self) -> None:
        """Parses it, and looks whether all its filters exist."""
        for used, places in self.parsed.analyze().filters.items():
            if used not in _ENVIRONMENTS[self.kind].filters:
                line = self.source.count("\n", 0, places[0].index) + 1
                raise Permanent(f"{self.name}, line {line}: there is no filter {used!r}")

    def render(self, variables: Variables, budget: Budget) -> str:
        """The text that it becomes."""
        parsed = self.parsed
        try:
            return render_limited(parsed, variables, budget)
        except Exception as error:
            raise _explained(self, error) from None

    def value(self, variables: Variables, budget: Budget) -> JsonValue:
        """What it becomes in JSON: the value itself if all of it is one `{{ … }}`, else text."""
        parsed = self.parsed
        only = parsed.nodes[0] if len(parsed.nodes) == 1 else None
        if not isinstance(only, Printed):
            return self.render(variables, budget)
        try:
            if (found := _at(only.path, variables)) is not None:
                budget.charge(len(found))
                return found
            return _plain(only.value(LimitedContext(parsed, variables, budget)), budget)
        except Exception as error:
            raise _explained(self, error) from None

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Whatever goes wrong in here is told in words of this template."""
        try:
            yield
        except Permanent:
            raise
        except Exception as error:
            raise _explained(self, error) from None


@functools.lru_cache(maxsize=256)
def _parse(source: str, kind: Kind) -> BoundTemplate:
    """Kept by the source itself: a changed template is another one, whatever its version says."""
    refuse_slow(source)
    return _ENVIRONMENTS[kind].from_string(source)


def _at(path: list[object] | None, variables: object) -> str | None:
    """The text at a path of plain steps through objects, which is what most placeholders are; None if it is anything else."""
    for step in path or ("",):
        if type(variables) is not dict or step not in variables:
            return None
        variables = variables[step]
    return variables if type(variables) is str else None


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
    raise Unfit("it is no JSON value")


def _explained(source: Source, error: Exception) -> Permanent:
    token = error.token if isinstance(error, LiquidError) else None
    line = source.source.count("\n", 0, max(token.start_index, 0)) + 1 if token is not None else 1
    return Permanent(f"{source.name}, line {line}: {_said(error)}")


def _said(error: Exception) -> str:
    """What is wrong, in words of the template: most messages of filters repeat the value."""
    if isinstance(error, UndefinedError):
        return str(error.message)
    if isinstance(error, FilterArgumentError | LiquidTypeError) and error.token is not None:
        return f"the filter {error.token.value!r} cannot be used on this value"
    if isinstance(error, LiquidSyntaxError | UnknownFilterError | Unfit):
        return str(error.message)
    return f"it cannot be rendered ({type(error).__name__})"
