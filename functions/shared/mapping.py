"""Reading values out of, and putting them into, somebody else's JSON by a path a user typed (`data.items.0.id`)."""

from __future__ import annotations

from pydantic import JsonValue


def at(value: JsonValue, path: str) -> JsonValue:
    """What is at this path; None if nothing is there. The empty path is the value itself."""
    for step in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def text_at(value: JsonValue, path: str, *, limit: int = 2000) -> str:
    """The string or number at this path as text, cut at `limit` characters; empty if there is none.

    Half a surrogate pair, which JSON can spell and no store takes, is a question mark.
    """
    found = at(value, path)
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return ""
    return str(found)[:limit].encode(errors="replace").decode()


def without(body: JsonValue, path: str) -> JsonValue:
    """A body like this one that has no field at the path."""
    above, _, name = path.rpartition(".")
    inner = at(body, above)
    if not isinstance(inner, dict) or name not in inner:
        return body
    rest: JsonValue = {key: value for key, value in inner.items() if key != name}
    return put(body, above, rest) if above else rest


def put(body: JsonValue, path: str, value: JsonValue) -> JsonValue:
    """A body like this one that has the value at the path. Objects that are missing on the way are made."""
    step, _, rest = path.partition(".")
    if isinstance(body, list) and step.isdigit() and int(step) < len(body):
        new = put(body[int(step)], rest, value) if rest else value
        return [*body[: int(step)], new, *body[int(step) + 1 :]]
    inner = body if isinstance(body, dict) else {}
    return {**inner, step: put(inner.get(step), rest, value) if rest else value}
