"""Typed settings of a function: one frozen dataclass, filled from the environment by the handler and written by CDK."""

from __future__ import annotations

import dataclasses
import os
import typing
from collections.abc import Mapping
from typing import Self

_PARSERS: dict[type, typing.Callable[[str], object]] = {
    str: str,
    int: int,
    float: float,
    bool: lambda text: {"true": True, "false": False}[text],
    tuple: lambda text: tuple(part for part in text.split(",") if part),
}


def variable(field: str) -> str:
    """The environment variable of a settings field."""
    return f"SENDBRIDGE_{field.upper()}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of every function's settings. Fields are str, int, float, bool or `tuple[str, ...]`."""

    environment: str
    """Name of the deployment (`dev`, `prod`, `local`), a dimension of every metric."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Reads all fields. Raises ValueError naming the variable that is missing or wrong."""
        hints = typing.get_type_hints(cls)
        values: dict[str, typing.Any] = {f.name: _read(f, hints[f.name], environ) for f in dataclasses.fields(cls)}
        return cls(**values)

    def to_environment(self) -> dict[str, str]:
        """The environment variables that `from_environment` reads back as an equal value."""
        return {variable(f.name): _write(getattr(self, f.name)) for f in dataclasses.fields(self)}


def _read(field: dataclasses.Field[object], hint: type, environ: Mapping[str, str]) -> object:
    text = environ.get(variable(field.name))
    if text is None:
        if field.default is not dataclasses.MISSING:
            return field.default
        raise ValueError(f"{variable(field.name)} is not set")
    try:
        return _PARSERS[typing.get_origin(hint) or hint](text)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{variable(field.name)}={text!r} is not a {hint}") from error


def _write(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, tuple) else str(value)
