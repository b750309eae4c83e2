"""The routes under `/v1/admin`, and how a request becomes a call.

Unknown parameters are refused: a misspelt `dry_run` must not write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

from shared.errors import BadRequest

_PREFIX = "/v1/admin"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Call:
    """One authorised request, taken apart."""

    path: Mapping[str, str]
    """The variable parts of the path."""
    query: Mapping[str, str]
    by: str
    """Who asks: an ARN, or the `sub` of a token."""
    event: dict[str, object]

    def flag(self, name: str) -> bool:
        """A parameter that is `true` or `false`; false if it is not there. Raises BadRequest."""
        text = self.query.get(name, "false")
        if text not in ("true", "false"):
            raise BadRequest(f"{name} must be true or false", field=name)
        return text == "true"

    def number(self, name: str) -> int | None:
        """A parameter that is a positive whole number; None if it is not there. Raises BadRequest."""
        text = self.query.get(name)
        if text is None:
            return None
        if not re.fullmatch(r"[1-9][0-9]{0,9}", text):
            raise BadRequest(f"{name} must be a whole number from 1", field=name)
        return int(text)


@dataclass(frozen=True)
class Route:
    """`path` has variables in braces, `{name+}` for all of the rest; `parameters` are those of the query."""

    method: str
    path: str
    act: Callable[[Call], JsonValue]
    parameters: frozenset[str] = frozenset()

    def match(self, path: str) -> dict[str, str] | None:
        """The variables of a path that is this route's; None if it is not."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", _PREFIX + self.path)
        found = re.fullmatch(re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", pattern), path)
        return found.groupdict() if found else None


def find(routes: list[Route], event: dict[str, object]) -> tuple[Route, Call]:
    """The route of a request (API Gateway payload 2.0). Raises BadRequest: 404, 405, or 400 for its parameters."""
    context = cast("dict[str, dict[str, str]]", event["requestContext"])
    method, path = context["http"]["method"], str(event.get("rawPath", ""))
    matches = [(route, found) for route in routes if (found := route.match(path)) is not None]
    if not matches:
        raise BadRequest("there is nothing at this path", status=404)
    for route, found in matches:
        if route.method == method:
            query = cast("dict[str, str]", event.get("queryStringParameters") or {})
            _check(route, found, query)
            return route, Call(found, query, _identity(event), event)
    raise BadRequest(f"use {' or '.join(route.method for route, _ in matches)} here", status=405)


def _check(route: Route, path: Mapping[str, str], query: Mapping[str, str]) -> None:
    if "name" in path and not _NAME.fullmatch(path["name"]):
        raise BadRequest("a name is 1 to 64 of a-z, 0-9, _ and -, the first a letter or digit", field="name")
    for name in query:
        if name not in route.parameters:
            allowed = ", ".join(sorted(route.parameters)) or "none"
            raise BadRequest(f"there is no such parameter; there are: {allowed}", field=name[:100])


def _identity(event: dict[str, object]) -> str:
    """Who API Gateway let in: by AWS credentials, or by a token."""
    context = cast("dict[str, dict[str, dict[str, object]]]", event["requestContext"])
    authorizer = context.get("authorizer") or {}
    if iam := authorizer.get("iam"):
        return str(iam.get("userArn") or iam.get("accessKey") or "")
    claims = authorizer.get("jwt", {}).get("claims")
    return str(claims.get("sub", "")) if isinstance(claims, dict) else ""
