"""The definitions table: the row of each definition that is in force, its draft beside it, and a row for every version there
ever was, with everything that was done with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import JsonValue

from admin_api.drafts import DRAFTED
from shared.catalogue import padded
from shared.errors import BadRequest

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from shared.rows import Row

Body = dict[str, JsonValue]

_ACTS = ("tested_at", "tested_by", "published_at", "published_by")
_LISTS = ("changed", "deeds")
_MOST_DEEDS = 100

What = Literal["tested", "published", "unpublished"]


class Deed(NamedTuple):
    """Something that was done with a version."""

    what: What
    at: str
    by: str


@dataclass(frozen=True)
class Stored:
    """One version of a definition, with `{"secret": true}` where its secrets are. `body` is None where it was deleted."""

    kind: str
    name: str
    version: int
    body: Body | None
    updated_at: str
    updated_by: str
    tested_at: str = ""
    """When a test message, or a proof, that was made with exactly this content was sent; empty if none was."""
    tested_by: str = ""
    published_at: str = ""
    published_by: str = ""
    changed: tuple[str, ...] = ()
    """The fields in which it differs from the version before."""
    restored: int = 0
    """The version that it is the content of again; 0 if none."""
    deeds: tuple[Deed, ...] = ()
    """What was done with it, the last one last."""

    @property
    def acts(self) -> dict[str, str]:
        """Who tested and published it, and when."""
        return {act: getattr(self, act) for act in _ACTS}

    def proven_as(self, other: Stored | None) -> Stored:
        """Tested by what was sent with the other version, if that was."""
        if other is None or not other.tested_at:
            return self
        return replace(self, tested_at=other.tested_at, tested_by=other.tested_by)

    def did(self, what: What, at: str, by: str) -> Stored:
        """With one more thing done."""
        acts = {"tested": (at, by), "published": (at, by)} if what != "unpublished" else {}
        marks = {f"{what}_at": at, f"{what}_by": by} if what in acts else {"published_at": "", "published_by": ""}
        return replace(self, **marks, deeds=(*self.deeds, Deed(what, at, by))[-_MOST_DEEDS:])  # type: ignore[arg-type]

    def summary(self) -> Body:
        """All but the content."""
        known: Body = {
            "kind": self.kind,
            "name": self.name,
            "version": self.version,
            "updated_at": self.updated_at,
            "updated_by": self.updated_by,
            **{act: value for act, value in self.acts.items() if value},
        }
        return known if self.body is not None else {**known, "deleted": True}

    def history(self) -> Body:
        """All but the content, with what changed and what was done with it."""
        deeds: list[JsonValue] = [{**deed._asdict()} for deed in self.deeds]
        restored: Body = {"restored": self.restored} if self.restored else {}
        return {**self.summary(), "changed": [*self.changed], **restored, "deeds": deeds}

    def whole(self) -> Body:
        """As the API shows it."""
        return {**self.summary(), "definition": self.body}


@dataclass(frozen=True)
class Standing:
    """What there is of a definition now: what is in force, and the draft that is to take its place."""

    current: Stored | None
    draft: Stored | None = None

    @property
    def newest(self) -> Stored | None:
        """What somebody who edits it starts from."""
        return self.draft or self.current

    @property
    def latest(self) -> int:
        """The highest version of both; 0 if there is none. What is in force is newer than its draft if a switch was cut off."""
        return max((row.version for row in (self.current, self.draft) if row is not None), default=0)

    @property
    def bodies(self) -> list[Body]:
        """The content of both."""
        return [row.body for row in (self.current, self.draft) if row is not None and row.body is not None]


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

    def standing(self, kind: str, name: str) -> Standing:
        """What there is of a definition now."""
        draft = self._get(_drafts(kind), name, kind, name) if kind in DRAFTED else None
        return Standing(self.current(kind, name), draft)

    def all(self, kind: str) -> list[Standing]:
        """Everything there is of a kind now, by name."""
        current = {row.name: row for row in self._query(kind, newest_first=False)}
        drafts = {row.name: row for row in self._query(_drafts(kind), newest_first=False)} if kind in DRAFTED else {}
        return [Standing(current.get(name), drafts.get(name)) for name in sorted({*current, *drafts})]

    def put(self, stored: Stored, replaces: Standing) -> None:
        """Makes this the version in force, and drops the draft. Raises BadRequest (409) if what it replaces has changed."""
        self._write([self._put(stored, stored.kind, replaces.current), *self._drop(replaces), self._note(stored)])

    def put_draft(self, stored: Stored, replaces: Standing) -> None:
        """Makes this the draft. Raises BadRequest (409) as `put` does."""
        self._write([self._put(stored, _drafts(stored.kind), replaces.draft), self._note(stored)])

    def mark_tested(self, drafts: Sequence[Stored], at: str, by: str) -> None:
        """Notes that these drafts were tested. Raises BadRequest (409) if one is not the draft any more."""
        tested = [(draft, draft.did("tested", at, by)) for draft in drafts]
        changes = [(self._put(now, _drafts(was.kind), was), self._note(now, again=True)) for was, now in tested]
        self._write([change for pair in changes for change in pair])

    def publish(self, standings: Sequence[Standing], at: str, by: str) -> None:
        """Makes the drafts the versions in force, all at once. Raises BadRequest (409) as `put` does."""
        self._write([change for standing in standings for change in self._published(standing, at, by)])

    def unpublish(self, standing: Standing, at: str, by: str) -> None:
        """Takes the version in force out of it: it is the draft again, if there is no newer one. Raises BadRequest (409)."""
        if standing.current is None:
            return
        stored = standing.current.did("unpublished", at, by)
        draft = [] if standing.draft else [self._put(stored, _drafts(stored.kind), None)]
        self._write([self._gone(standing.current, stored.kind), *draft, self._note(stored, again=True)])

    def delete(self, tombstone: Stored, replaces: Standing) -> None:
        """Takes a definition out of force and notes it in its history. Raises BadRequest (409) as `put` does."""
        gone = [self._gone(replaces.current, replaces.current.kind)] if replaces.current else []
        self._write([*gone, *self._drop(replaces), self._note(tombstone)])

    def _published(self, standing: Standing, at: str, by: str) -> list[TransactWriteItemTypeDef]:
        if standing.draft is None:
            return []
        stored = standing.draft.did("published", at, by)
        return [self._put(stored, stored.kind, standing.current), *self._drop(standing), self._note(stored, again=True)]

    def _put(self, stored: Stored, pk: str, replaces: Stored | None) -> TransactWriteItemTypeDef:
        return _put(self._table, {**_row(stored), "pk": {"S": pk}, "sk": {"S": stored.name}}, _unchanged(replaces))

    def _note(self, stored: Stored, *, again: bool = False) -> TransactWriteItemTypeDef:
        """The row of this version in the definition's history."""
        return _put(self._table, {**_row(stored), **_history_key(stored)}, {} if again else _unchanged(None))

    def _drop(self, standing: Standing) -> list[TransactWriteItemTypeDef]:
        return [self._gone(standing.draft, _drafts(standing.draft.kind))] if standing.draft else []

    def _gone(self, row: Stored, pk: str) -> TransactWriteItemTypeDef:
        key: Row = {"pk": {"S": pk}, "sk": {"S": row.name}}
        return {"Delete": {"TableName": self._table, "Key": key, **_unchanged(row)}}  # type: ignore[typeddict-item]

    def _write(self, items: list[TransactWriteItemTypeDef]) -> None:
        try:
            self._client.transact_write_items(TransactItems=items)
        except self._client.exceptions.TransactionCanceledException as error:
            said = "somebody else changed the definition meanwhile: look again"
            raise BadRequest(said, status=409, headers=(("retry-after", "1"),)) from error

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
        kind, _, name = pk.removeprefix(_drafts("")).partition("#")
        return (_stored(kind, name or item["sk"]["S"], item) for page in pages for item in page["Items"])


def _drafts(kind: str) -> str:
    """The partition that drafts of a kind are in. No function but this one reads it."""
    return f"draft:{kind}"


def _history_key(stored: Stored) -> Row:
    return {"pk": {"S": f"{stored.kind}#{stored.name}"}, "sk": {"S": padded(stored.version)}}


def _row(stored: Stored) -> Row:
    return {
        "version": {"N": str(stored.version)},
        "body": {"S": as_text(stored.body)},
        "updated_at": {"S": stored.updated_at},
        "updated_by": {"S": stored.updated_by},
        **{act: {"S": value} for act, value in stored.acts.items() if value},
        **{column: {"S": json.dumps(value)} for column in _LISTS if (value := getattr(stored, column))},
        **({"restored": {"N": str(stored.restored)}} if stored.restored else {}),
    }


def as_text(body: Body | None) -> str:
    """A body as it is stored."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _stored(kind: str, name: str, item: Row) -> Stored:
    text = {name: value["S"] for name, value in item.items() if "S" in value}
    return Stored(
        kind,
        name,
        int(item["version"]["N"]),
        json.loads(text["body"]),
        text["updated_at"],
        text["updated_by"],
        **{act: text.get(act, "") for act in _ACTS},
        changed=tuple(json.loads(text.get("changed", "[]"))),
        restored=int(item["restored"]["N"]) if "restored" in item else 0,
        deeds=tuple(Deed(*deed) for deed in json.loads(text.get("deeds", "[]"))),
    )


def _put(table: str, row: Row, condition: dict[str, object]) -> TransactWriteItemTypeDef:
    return {"Put": {"TableName": table, "Item": row, **condition}}  # type: ignore[typeddict-item]  # the condition


def _unchanged(row: Stored | None) -> dict[str, object]:
    """The condition that this row is still there, or that there is none."""
    if row is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "version = :version",
        "ExpressionAttributeValues": {":version": {"N": str(row.version)}},
    }
