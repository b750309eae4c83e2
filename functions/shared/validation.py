"""What is wrong with a definition, field by field. The admin API and the command line say the same about the same mistake.

Nothing here repeats a value: it may be a secret in the wrong place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pydantic import BaseModel, JsonValue, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from shared.definitions import KINDS, SECRET, Definition, Kind

_LONGEST_FIELD = 200


class Fault(NamedTuple):
    """One mistake: the field (`auth.token_url`, `trackers.0`), and what was expected there."""

    field: str
    expected: str


def check(kind: Kind, body: JsonValue) -> tuple[Definition | None, list[Fault]]:
    """The definition in a body that holds its secret values; or None, and everything that is wrong with it."""
    try:
        definition = KINDS[kind].model_validate(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        faults = [Fault(_field(body, problem["loc"]), _expected(problem)) for problem in problems]
        # A field that may be one of several things has a fault for each of them: one is enough.
        return None, list({fault.field: fault for fault in reversed(faults)}.values())[::-1]
    empty = [Fault(dotted(path), "a secret that is not empty") for path, value in secrets_of(definition).items() if not value]
    return definition, empty


def secrets_of(part: object, path: str = "") -> dict[str, str]:
    """The secret values of a definition, each by its path (`/auth/client_secret`, `/secrets/0`)."""
    if isinstance(part, SecretStr):
        return {path: part.get_secret_value()}
    return {where: value for key, inner in _inner(part) for where, value in secrets_of(inner, f"{path}/{key}").items()}


def _inner(part: object) -> Iterable[tuple[object, object]]:
    if isinstance(part, BaseModel):
        return [(name, getattr(part, name)) for name in type(part).model_fields]
    if isinstance(part, Mapping):
        return part.items()
    return enumerate(part) if isinstance(part, tuple) else ()


def marks_of(body: JsonValue, path: str = "") -> list[str]:
    """The paths at which a body has `{"secret": true}` in place of a value."""
    if body == SECRET:
        return [path]
    items: Iterable[tuple[object, JsonValue]] = ()
    if isinstance(body, dict):
        items = body.items()
    elif isinstance(body, list):
        items = enumerate(body)
    return [found for key, value in items for found in marks_of(value, f"{path}/{key}")]


def dotted(path: str) -> str:
    """`/auth/client_secret` as a field: `auth.client_secret`."""
    return path.removeprefix("/").replace("/", ".")


def references_of(kind: Kind, body: Mapping[str, JsonValue]) -> list[tuple[str, Kind, str]]:
    """What a definition refers to: the field, and the kind and name of the other definition."""
    if kind != "trigger":
        return []
    trackers = body.get("trackers")
    named: list[tuple[str, Kind, JsonValue]] = [
        ("template", "template", body.get("template")),
        ("integration", "integration", body.get("integration")),
    ]
    named += [(f"trackers.{i}", "tracker", name) for i, name in enumerate(trackers if isinstance(trackers, list) else [])]
    return [(field, other, name) for field, other, name in named if isinstance(name, str)]


def _field(body: JsonValue, loc: Iterable[int | str]) -> str:
    """The way to a mistake in the words of the body: pydantic also names the alternatives it tried, which nobody wrote."""
    steps = list(loc)
    found: list[str] = []
    for index, step in enumerate(steps):
        known = isinstance(body, dict) and step in body
        if isinstance(body, list) and isinstance(step, int) and step < len(body):
            body = body[step]
        elif known:
            body = body[str(step)]  # type: ignore[index,call-overload]  # it is a dict
        elif not isinstance(body, dict) or index + 1 < len(steps) or step == "[key]":
            continue
        found.append(str(step))
    return ".".join(found)[:_LONGEST_FIELD] or "body"


_SENTENCES = {
    "extra_forbidden": "no such field",
    "missing": "a value: the field is required",
}

_BEGINNINGS = (
    ("Input should be ", ""),
    ("String should have ", "a text of "),
    ("String should match pattern ", "a text that matches "),
    ("Tuple should have ", "a list of "),
    ("Value error, ", ""),
)


def _expected(problem: ErrorDetails) -> str:
    kind = problem["type"]
    if kind in _SENTENCES:
        return _SENTENCES[kind]
    if kind == "union_tag_invalid":  # the usual sentence repeats what was given
        return f"a type that is one of {problem['ctx']['expected_tags']}"
    return next(
        (new + problem["msg"].removeprefix(old) for old, new in _BEGINNINGS if problem["msg"].startswith(old)), problem["msg"]
    )
