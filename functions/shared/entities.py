"""Custom entities: what a company knows of its products, stores, courses …, by a key, for messages to look up.

A row is kept until it is deleted: it is about a thing and has no retention. What is about a person belongs into a profile.
Rows are in the profiles table, beside what is known of people: both are what messages are made personal with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, JsonValue
from pydantic_core import to_json

from shared.clock import from_iso, iso
from shared.errors import Transient
from shared.fields import Part
from shared.rows import read_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, WriteRequestOutputTypeDef, WriteRequestTypeDef

    from shared.rows import Row

LARGEST = 16_000
"""Bytes of one row's attributes, as JSON: several of them have room in a message."""

_KEY = r"[^\s\x00-\x1f\x7f%?/][^\x00-\x1f\x7f%?]{0,199}"
"""What a path of the admin API can have: API Gateway decodes it, and cuts it off at a question mark."""

_AT_ONCE = 25
_TRIES = 10


@dataclass(frozen=True)
class Key:
    """Which row, of which entity."""

    entity: str
    key: str

    @property
    def is_possible(self) -> bool:
        """Whether there may be such a row."""
        return re.fullmatch(_KEY, self.key) is not None


def _is_key(key: str) -> str:
    if not re.fullmatch(_KEY, key):
        raise ValueError("1 to 200 characters without % and ? and control characters, the first no space and no slash")
    return key


def _is_small(attributes: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(to_json(attributes)) > LARGEST:
        raise ValueError(f"no more than {LARGEST} bytes of JSON")
    return attributes


class EntityRow(Part):
    """One row, as it is put."""

    key: Annotated[str, AfterValidator(_is_key)]
    attributes: Annotated[dict[str, JsonValue], AfterValidator(_is_small)]


@dataclass(frozen=True)
class Known:
    """A row that is there."""

    attributes: dict[str, JsonValue]
    changed_at: datetime


class Entities:
    """The rows of all entities."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client, self._table = client, table

    def get(self, key: Key) -> Known | None:
        """One row; None if there is none."""
        return self._read([key]).get(key)

    def get_all(self, keys: Iterable[Key]) -> dict[Key, dict[str, JsonValue]]:
        """The attributes of those of these rows that exist, read consistently."""
        return {key: known.attributes for key, known in self._read(keys).items()}

    def _read(self, keys: Iterable[Key]) -> dict[Key, Known]:
        wanted = {_pk(key): key for key in keys}
        return {wanted[pk]: _known(row) for pk, row in read_rows(self._client, self._table, wanted).items()}

    def put(self, entity: str, rows: Iterable[EntityRow], at: datetime) -> None:
        """Writes these rows, each with another key, over what is there. Raises Transient if DynamoDB is too busy: some may be
        written by then, and all are by another try.
        """
        self._write({"PutRequest": {"Item": _item(Key(entity, row.key), row.attributes, at)}} for row in rows)

    def delete(self, key: Key) -> None:
        """Forgets a row, if it is there. Raises Transient."""
        self._write([{"DeleteRequest": {"Key": {"pk": {"S": _pk(key)}}}}])

    def _write(self, requests: Iterable[WriteRequestTypeDef]) -> None:
        left: list[WriteRequestTypeDef | WriteRequestOutputTypeDef] = list(requests)
        for _ in range(_TRIES + len(left) // _AT_ONCE):
            if not left:
                return
            answer = self._client.batch_write_item(RequestItems={self._table: left[:_AT_ONCE]})
            left = [*answer.get("UnprocessedItems", {}).get(self._table, []), *left[_AT_ONCE:]]
        if left:
            raise Transient("DynamoDB is too busy")


def _pk(key: Key) -> str:
    return f"entity#{key.entity}#{key.key}"


def _item(key: Key, attributes: Mapping[str, JsonValue], at: datetime) -> dict[str, AttributeValueTypeDef]:
    return {
        "pk": {"S": _pk(key)},
        "attributes": {"S": json.dumps(attributes, ensure_ascii=False)},
        "changed_at": {"S": iso(at)},
    }


def _known(row: Row) -> Known:
    return Known(json.loads(row["attributes"]["S"]), from_iso(row["changed_at"]["S"]))
