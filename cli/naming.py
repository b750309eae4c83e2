"""Definitions as people name them: `trigger/abandoned_cart`, or `abandoned_cart` where that is enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from cli.api import Api
from cli.errors import BadInput
from shared.definitions import KINDS

Row = dict[str, Any]
"""A definition in the deployment's list."""


def named(api: Api, text: str, *, kinds: tuple[str, ...] = tuple(KINDS), prefer: Callable[[Row], bool] = bool) -> tuple[str, str]:
    """Kind and name. Of several definitions of one name, the only one that is preferred, and a trigger before its template.

    Raises BadInput.
    """
    kind, slash, name = text.rpartition("/")
    if slash:
        if kind not in kinds:
            raise BadInput(f"{text}: expected KIND/NAME, with one of {', '.join(kinds)}.")
        return kind, name
    listed = cast("list[Row]", api.get("definitions")["definitions"])
    rows = [row for row in listed if row["name"] == name and row["kind"] in kinds]
    preferred = [row for row in rows if prefer(row)] or rows
    if {row["kind"] for row in preferred} == {"trigger", "template"}:
        preferred = [row for row in rows if row["kind"] == "trigger"]
    if not preferred:
        raise BadInput(f"There is no {_or(kinds)} named {name}.")
    if len(preferred) > 1:
        labels = tuple(f"{row['kind']}/{name}" for row in preferred)
        raise BadInput(f"{name} is the name of several: say {_or(labels)}.")
    return str(preferred[0]["kind"]), name


def _or(names: tuple[str, ...]) -> str:
    return " or ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
