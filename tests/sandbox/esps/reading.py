"""Reading a request as strictly as a vendor does: a JSON object, its fields known and of their types."""

import json
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import Response

from tests.sandbox.esps.vendor import Refused
from tests.sandbox.server import read_body

ADDRESS = re.compile(r"[^\s@<>,]+@[^\s@<>,]+\.[^\s@<>,]+")

Shape: TypeAlias = type | re.Pattern[str] | list["Shape"] | dict[str, "Shape"]
"""A type, a pattern of a whole text, a list of one shape, or an object: `name!` is required, `*` is any other name."""


class Wrong(NamedTuple):
    """The first thing in a body that is not as it must be: where, and `missing`, `unknown` or `invalid`."""

    path: str
    why: str


async def json_object(request: Request, most: int, refused: Callable[[str], Response]) -> dict[str, JsonValue]:
    """The JSON object of a request of at most `most` bytes; else it raises Refused with what `refused` makes of the reason."""
    body = await read_body(request, most)
    if body is None:
        raise Refused(refused("The request is too large."))
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(refused("The Content-Type must be application/json."))
    try:
        value = json.loads(body)
    except ValueError:
        raise Refused(refused("The body is not JSON.")) from None
    if not isinstance(value, dict):
        raise Refused(refused("The body is no JSON object."))
    return value


def wrong(value: JsonValue, shape: Shape, path: str = "") -> Wrong | None:
    """What is wrong with a value, if it is not of this shape."""
    if isinstance(shape, re.Pattern):
        return None if isinstance(value, str) and shape.fullmatch(value) else Wrong(path, "invalid")
    if isinstance(shape, dict):
        return _wrong_object(value, shape, path)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return Wrong(path, "invalid")
        return next((one for at, part in enumerate(value) if (one := wrong(part, shape[0], _at(path, str(at))))), None)
    fits = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    return None if fits else Wrong(path, "invalid")


def _wrong_object(value: JsonValue, shape: Mapping[str, Shape], path: str) -> Wrong | None:
    if not isinstance(value, dict):
        return Wrong(path, "invalid")
    fields = {name.removesuffix("!"): inner for name, inner in shape.items()}
    for name in shape:
        if name.endswith("!") and value.get(name[:-1]) in (None, "", [], {}):
            return Wrong(_at(path, name[:-1]), "missing")
    for name, inner in value.items():
        if name not in fields and "*" not in fields:
            return Wrong(_at(path, name), "unknown")
        if found := wrong(inner, fields.get(name, fields.get("*", str)), _at(path, name)):
            return found
    return None


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
