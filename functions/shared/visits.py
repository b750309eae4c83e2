"""Visits: one row a visitor, with what triggers need of the visitor's behaviour, and the decisions on their way out.

The row's state is one JSON document; beside it stand only the columns that DynamoDB itself looks at. `due_at` (Unix seconds)
is when the row must be looked at: never later than its first decision falls due, and it stays while the outbox is not empty.

Rows that are due are found through the index `due`. Its hash key is one of a fixed number of shards, its sort key the time,
so a sweep reads the shards from their beginning: whatever is overdue comes first, however old it is. A shard named after a
minute would make the sweep guess how far back an outage may have reached. Rows enter the index once a deadline and leave it when
it is decided: sixteen shards take some 16,000 of those writes a second, and DynamoDB splits a hot one by its sort key.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.jobs import MessageJob, Time
from shared.person import Identifier
from shared.rows import read_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

SHARDS = tuple(f"{number:02d}" for number in range(16))


class VisitEvent(BaseModel):
    """One tracker event that some trigger names."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    at: Time
    """When it happened, by the tracker's clock."""
    received_at: Time
    matched_at: Time
    """When it first came into the visit's row."""
    properties: dict[str, JsonValue] = Field(default={}, repr=False)


class Fired(BaseModel):
    """A message that is on its way: what is needed to take it back."""

    model_config = ConfigDict(frozen=True)

    message_id: str
    trigger: str
    visit_id: str
    profile_id: str | None
    campaign: str
    delivery: str
    integration: str
    decided_at: Time
    begins_at: Time
    """An excluded event since then, however late it comes, takes the message back."""
    valid_until: Time


class Visit(BaseModel):
    """What is known of one visit."""

    model_config = ConfigDict(frozen=True)

    id: str
    tracker: str
    last_at: Time
    """Time of the newest event of any name: silence counts from here."""
    events: tuple[VisitEvent, ...] = ()
    """Sorted by time, then id; each id once."""
    identifiers: tuple[Identifier, ...] = Field(default=(), repr=False)
    """Who the visitor said to be: sorted, each once."""
    consumed: dict[str, Time] = {}
    """Trigger → event time through which its events are used up."""
    outbox: tuple[MessageJob, ...] = Field(default=(), repr=False)
    """Decisions that are taken and may not have been sent yet."""
    fired: tuple[Fired, ...] = ()
    """Messages that may not have gone out yet."""
    due_at: Time | None = None
    version: int = Field(default=0, exclude=True)
    """0 if there is no row yet."""


class Visits:
    """The visits table. Rows may be deleted `keep` after their last event or deadline."""

    def __init__(self, client: DynamoDBClient, table: str, keep: timedelta) -> None:
        self._client, self._table, self._keep = client, table, keep

    def read(self, visit_id: str) -> Visit | None:
        """One visit, consistently; None if there is no row."""
        return self.read_all([visit_id]).get(visit_id)

    def read_all(self, visit_ids: Iterable[str]) -> dict[str, Visit]:
        """Those of these visits that have a row, by id, read consistently."""
        return {key: _visit(row) for key, row in read_rows(self._client, self._table, visit_ids).items()}

    def write(self, visit: Visit) -> Visit | None:
        """Writes the visit if its row is still as it was read. Returns it as written; None if another was first."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item=self._item(visit),
                ConditionExpression="attribute_not_exists(pk) OR version = :read",
                ExpressionAttributeValues={":read": {"N": str(visit.version)}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return None
        return visit.model_copy(update={"version": visit.version + 1})

    def due(self, shard: str, until: datetime, limit: int) -> Iterator[tuple[str, datetime]]:
        """Ids and times of at most `limit` visits of this shard that are due by then, those overdue longest first."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName="due",
            KeyConditionExpression="due_shard = :shard AND due_at <= :until",
            ExpressionAttributeValues={":shard": {"S": shard}, ":until": {"N": str(until.timestamp())}},
            PaginationConfig={"MaxItems": limit},
        )
        for page in pages:
            for item in page["Items"]:
                yield item["pk"]["S"], datetime.fromtimestamp(float(item["due_at"]["N"]), until.tzinfo)

    def _item(self, visit: Visit) -> dict[str, AttributeValueTypeDef]:
        item: dict[str, AttributeValueTypeDef] = {
            "pk": {"S": visit.id},
            "visit": {"S": visit.model_dump_json(exclude_defaults=True)},
            "version": {"N": str(visit.version + 1)},
            "expires_at": {"N": str(int((max(visit.last_at, visit.due_at or visit.last_at) + self._keep).timestamp()))},
        }
        if visit.due_at is not None:
            item |= {"due_shard": {"S": shard_of(visit.id)}, "due_at": {"N": str(visit.due_at.timestamp())}}
        return item


def shard_of(visit_id: str) -> str:
    """The shard of the index `due` that a visit's row is in while it is due."""
    return SHARDS[zlib.crc32(visit_id.encode()) % len(SHARDS)]


def in_order(events: Iterable[VisitEvent]) -> Sequence[VisitEvent]:
    """The events by time, then id, so that their order never depends on how they arrived."""
    return sorted(events, key=lambda event: (event.at, event.id))


def _visit(row: Row) -> Visit:
    return Visit.model_validate_json(row["visit"]["S"]).model_copy(update={"version": int(row["version"]["N"])})
