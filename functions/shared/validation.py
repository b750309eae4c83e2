"""What is wrong with a definition, field by field. The admin API and the command line say the same about the same mistake.

Nothing here repeats a value: it may be a secret in the wrong place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from pydantic import BaseModel, JsonValue, SecretStr, ValidationError

from shared.definitions import KINDS, SECRET, Kind
from shared.fields import Definition
from shared.problem import expected
from shared.rules import TAGS

_LONGEST_FIELD = 200


Body = Mapping[str, JsonValue]

Find = Callable[[Kind, str], Body | None]
"""The body of a definition by its kind and name; None if there is none, empty if it is there but not known."""


class Fault(NamedTuple):
    """One mistake: the field (`auth.token_url`, `trackers.0`), and what was expected there."""

    field: str
    expected: str


def check(kind: Kind, body: JsonValue) -> tuple[Definition | None, list[Fault]]:
    """The definition in a body that holds its secret values; or None, and everything that is wrong with it."""
    try:
        definition = KINDS[kind].model_validate(body)
    except ValidationError as error:
        return None, _faults(body, error)
    empty = [Fault(dotted(path), "a secret that is not empty") for path, value in secrets_of(definition).items() if not value]
    return definition, empty


def _faults(body: JsonValue, error: ValidationError) -> list[Fault]:
    problems = [(_field(body, problem["loc"]), problem) for problem in error.errors(include_url=False, include_input=False)]
    fields = [field for field, _ in problems]
    faults = [
        Fault(field, expected(problem))
        for field, problem in problems
        # A list whose elements are wrong is also too short without them: that is nobody's mistake.
        if problem["type"] != "too_short" or not any(other.startswith(f"{field}.") for other in fields)
    ]
    # A field that may be one of several things has a fault for each of them: one is enough.
    return list({fault.field: fault for fault in reversed(faults)}.values())[::-1]


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
    if kind == "trigger":
        named = [*_named(body, "template", "template"), *_named(body, "integration", "integration")]
        return [*named, *_listed(body, "trackers", "tracker"), *_listed(body, "cancels", "trigger")]
    if kind == "integration":
        return [*_named(body, "failover", "integration")]
    return [*_listed(body, "exempt", "trigger")] if kind == "policy" else []


def _named(body: Mapping[str, JsonValue], field: str, kind: Kind) -> Iterator[tuple[str, Kind, str]]:
    if isinstance(name := body.get(field), str) and name:
        yield field, kind, name


def _listed(body: Mapping[str, JsonValue], field: str, kind: Kind) -> Iterator[tuple[str, Kind, str]]:
    names = body.get(field)
    for index, name in enumerate(names if isinstance(names, list) else []):
        if isinstance(name, str):
            yield f"{field}.{index}", kind, name


def mismatches(kind: Kind, body: Mapping[str, JsonValue], find: Find) -> list[Fault]:
    """Where a definition does not go with what it refers to, as far as that is known: channels and contents."""
    if kind == "trigger":
        return [*_content(body, find)]
    return [*_failover(body, find)] if kind == "integration" else []


def _failover(body: Mapping[str, JsonValue], find: Find) -> Iterator[Fault]:
    for field, kind, name in references_of("integration", body):
        other = find(kind, name)
        if name == body.get("name"):
            yield Fault(field, "another integration than this one")
        elif other and _channel(other) != _channel(body):
            yield Fault(field, f"an integration for {_channel(body)}, as this one is")


def _content(body: Mapping[str, JsonValue], find: Find) -> Iterator[Fault]:
    """An email has a subject and HTML, a text message has a text."""
    integration, template = (find(kind, str(body.get(kind))) for kind in _SENT_BY)
    if not integration or not template:
        return
    needed = ("subject", "html") if _channel(integration) == "email" else ("text",)
    if lacks := [part for part in needed if not template.get(part)]:
        yield Fault("template", f"a template with {' and '.join(lacks)}, as its integration is for {_channel(integration)}")


_SENT_BY: tuple[Kind, Kind] = ("integration", "template")


def _channel(integration: Mapping[str, JsonValue]) -> str:
    return str(integration.get("channel", "email"))


def _field(body: JsonValue, loc: Iterable[int | str]) -> str:
    """The way to a mistake in the words of the body: pydantic also names the alternatives it tried, which nobody wrote."""
    steps = list(loc)
    found: list[str] = []
    for index, step in enumerate(steps):
        if step in TAGS and index and isinstance(steps[index - 1], int):
            continue
        known = isinstance(body, dict) and step in body
        if isinstance(body, list) and isinstance(step, int) and step < len(body):
            body = body[step]
        elif known:
            body = body[str(step)]  # type: ignore[index,call-overload]  # it is a dict
        elif not isinstance(body, dict) or index + 1 < len(steps) or step == "[key]":
            continue
        found.append(str(step))
    return ".".join(found)[:_LONGEST_FIELD] or "body"
