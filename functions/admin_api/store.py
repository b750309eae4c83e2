"""The definitions table: the current row of each definition, and a row for every version there ever was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import JsonValue

from shared.catalogue import padded
from shared.errors import BadRequest

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from shared.rows import Row

Body = dict[str, JsonValue]


@dataclass(frozen=True)
class Stored:
    """One version of a definition, with `{"secret": true}` where its secrets are. `body` is None where it was deleted."""

    kind: str
    name: str
    version: int
    body: Body | None
    updated_at: str
    updated_by: str

    def summary(self) -> Body:
        """All but the content."""
        known: Body = {
            "kind": self.kind,
            "name": self.name,
            "version": self.version,
            "updated_at": self.updated_at,
            "updated_by": self.updated_by,
        }
        return known if self.body is not None else {**known, "deleted": True}

    def whole(self) -> Body:
        """As the API shows it."""
        return {**self.summary(), "definition": self.body}


class Store:
    """Reads and changes definitions. Reads are consistent."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client, self._table = client, table

    def current(self, kind: str, name: str) -> Stored | None:
        """What is in force; None if there is nothing."""
        return self._get(kind, name, kind, name)

    def version(self, kind: str, name: str, version: int) -> Stored | None:
        """What was in force under this version."""
        return self._get(f"{kind}#{name}", padded(version), kind, name)

    def versions(self, kind: str, name: str) -> Iterator[Stored]:
        """Every version, newest first, also of a definition that was deleted."""
        return self._query(f"{kind}#{name}", newest_first=True)

    def latest_version(self, kind: str, name: str) -> int:
        """The number of the newest version, 0 if there never was one. Numbers go on after a deletion."""
        newest = next(self.versions(kind, name), None)
        return newest.version if newest else 0

    def all(self, kind: str) -> Iterator[Stored]:
        """Everything of a kind that is in force, by name."""
        return self._query(kind, newest_first=False)

    def put(self, stored: Stored, replaces: Stored | None) -> None:
        """Makes this the version in force. Raises BadRequest (409) if what it replaces is no longer in force."""
        row = _row(stored)
        self._write(
            [
                _put(self._table, {**row, "pk": {"S": stored.kind}, "sk": {"S": stored.name}}, replaces),
                _put(self._table, {**row, **_history_key(stored)}, None),
            ]
        )

    def delete(self, tombstone: Stored, replaces: Stored) -> None:
        """Takes a definition out of force and notes it in its history. Raises BadRequest (409) as `put` does."""
        key: Row = {"pk": {"S": replaces.kind}, "sk": {"S": replaces.name}}
        gone: TransactWriteItemTypeDef = {"Delete": {"TableName": self._table, "Key": key, **_unchanged(replaces)}}  # type: ignore[typeddict-item]
        self._write([gone, _put(self._table, {**_row(tombstone), **_history_key(tombstone)}, None)])

    def _write(self, items: list[TransactWriteItemTypeDef]) -> None:
        try:
            self._client.transact_write_items(TransactItems=items)
        except self._client.exceptions.TransactionCanceledException as error:
            raise BadRequest("somebody else changed the definition meanwhile: look again", status=409) from error

    def _get(self, pk: str, sk: str, kind: str, name: str) -> Stored | None:
        answer = self._client.get_item(TableName=self._table, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True)
        return _stored(kind, name, answer["Item"]) if "Item" in answer else None

    def _query(self, pk: str, *, newest_first: bool) -> Iterator[Stored]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
            ScanIndexForward=not newest_first,
            ConsistentRead=True,
        )
        kind, _, name = pk.partition("#")
        return (_stored(kind, name or item["sk"]["S"], item) for page in pages for item in page["Items"])


def _history_key(stored: Stored) -> Row:
    return {"pk": {"S": f"{stored.kind}#{stored.name}"}, "sk": {"S": padded(stored.version)}}


def _row(stored: Stored) -> Row:
    return {
        "version": {"N": str(stored.version)},
        "body": {"S": as_text(stored.body)},
        "updated_at": {"S": stored.updated_at},
        "updated_by": {"S": stored.updated_by},
    }


def as_text(body: Body | None) -> str:
    """A body as it is stored."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _stored(kind: str, name: str, item: Row) -> Stored:
    body = json.loads(item["body"]["S"])
    return Stored(kind, name, int(item["version"]["N"]), body, item["updated_at"]["S"], item["updated_by"]["S"])


def _put(table: str, row: Row, replaces: Stored | None) -> TransactWriteItemTypeDef:
    return {"Put": {"TableName": table, "Item": row, **_unchanged(replaces)}}  # type: ignore[typeddict-item]  # the condition


def _unchanged(row: Stored | None) -> dict[str, object]:
    """The condition that this row is still there, or that there is none."""
    if row is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "version = :version",
        "ExpressionAttributeValues": {":version": {"N": str(row.version)}},
    }
