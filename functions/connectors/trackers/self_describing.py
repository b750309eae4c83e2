"""Snowplow's self-describing JSON: data with the schema that they keep to, in base64 or plain.

Source: Snowplow's tracker protocol, and its Analytics SDKs for how fields of enriched events are called (read 2026-11-22).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pydantic import JsonValue

from connectors.bodies import parsed
from connectors.trackers.base import Unusable, object_of
from shared.errors import BadRequest

_Fields = dict[str, JsonValue]

_SCHEMA = re.compile(r"iglu:([A-Za-z0-9_.-]{1,100})/([A-Za-z0-9_.-]{1,100})/jsonschema/([0-9]{1,4})-[0-9]{1,4}-[0-9]{1,4}")


@dataclass(frozen=True)
class Schema:
    """A schema on an Iglu registry."""

    vendor: str
    name: str
    column: str
    """What it is called as a field of an enriched event, without what stands before it: `com_acme_viewed_product_1`."""


def decoded(fields: _Fields, encoded: str, plain: str) -> _Fields:
    """The JSON of one field in base64, standard or URL-safe, padded or not; else of the other, as it is. Raises Unusable."""
    name = encoded if fields.get(encoded) else plain
    text = fields.get(name)
    if not text:
        return {}
    if not isinstance(text, str):
        return object_of(text, name)
    try:
        return object_of(parsed(_unbase64(text) if name == encoded else text.encode()), name)
    except (BadRequest, binascii.Error, ValueError):
        raise Unusable(name, _EXPECTED_JSON[name == encoded]) from None


_EXPECTED_JSON = ("must be JSON", "must be JSON in base64")


def _unbase64(text: str) -> bytes:
    text = text.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def by_schema(entities: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    """The entities' data in lists, each under the name that its schema has in enriched events."""
    lists: dict[str, list[JsonValue]] = {}
    for entity in objects_of(entities):
        column = "contexts_" + schema_of(entity.get("schema"), "cx.data.schema").column
        lists.setdefault(column, []).append(entity.get("data"))
    yield from lists.items()


def schema_of(text: JsonValue, where: str) -> Schema:
    """The schema that an Iglu URI names. Raises Unusable."""
    found = _known_schema(text) if isinstance(text, str) and len(text) < 300 else None
    if found is None:
        raise Unusable(where, "must be a schema, as iglu:com.acme/viewed_product/jsonschema/1-0-0")
    return found


@lru_cache(maxsize=1000)
def _known_schema(text: str) -> Schema | None:
    found = _SCHEMA.fullmatch(text)
    return Schema(found[1], found[2], f"{_snake(found[1])}_{_snake(found[2])}_{found[3]}") if found else None


def _snake(name: str) -> str:
    return re.sub(r"([^A-Z_])([A-Z])", r"\1_\2", name).replace(".", "_").replace("-", "_").lower()


def objects_of(value: JsonValue) -> list[_Fields]:
    """Those elements of a list that are objects; none of what is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
