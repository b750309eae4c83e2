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
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from shared.errors import Transient
from shared.jobs import MessageJob, Time
from shared.person import Identifier
from shared.rows import read_rows
from shared.statements import Refused, Result, Statement, execute

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

SHARDS = tuple(f"{number:02d}" for number in range(16))

_EPOCH = datetime.fromtimestamp(0, UTC)

EVERYWHERE = "*"
"""In place of a tracker: of a row that has what a person did on any tracker, on any device."""

Span = tuple[Time, Time]
"""A time in which a visitor was active: from one event to another, without a longer silence between."""


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
    tracker: str = ""
    """Where it comes from, in a row that has events of several trackers."""
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
    """What is known of one visitor."""

    model_config = ConfigDict(frozen=True)

    id: str
    tracker: str
    active: tuple[Span, ...] = ()
    """When the visitor was active, in the order of time: by this, visits are told apart, and silence is measured."""
    events: tuple[VisitEvent, ...] = ()
    """Sorted by time, then id; each id once."""
    identifiers: tuple[Identifier, ...] = Field(default=(), repr=False)
    """Who the visitor said to be: sorted, each once."""
    consumed: dict[str, Time] = {}
    """Trigger → time through which what happened is used up."""
    done: dict[str, tuple[str, ...]] = {}
    """Trigger that fires for each event → ids of those among `events` that it has decided about."""
    fired_at: dict[str, Time] = {}
    """Trigger that must not fire again too soon → when it last did, by its deadline."""
    held: dict[str, Time] = {}
    """Message that waits for what it lacks → when to look again."""
    outbox: tuple[MessageJob, ...] = Field(default=(), repr=False)
    """Decisions that are taken and may not have been sent yet."""
    recalled: dict[str, str] = {}
    """Message that is to be taken back before the outbox is sent → why."""
    fired: tuple[Fired, ...] = ()
    """Messages that may not have gone out yet."""
    attentive_until: Time | None = None
    """Until when an event of any name may matter, as it goes on with a visit or begins a wait anew."""
    kept_until: Time | None = None
    """The row is kept until then at least."""
    due_at: Time | None = None
    version: int = Field(default=0, exclude=True)
    """0 if there is no row yet."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_release(cls, row: object) -> object:
        """Rows used to say only when the last event was: then it counts as one visit from the first event to that one."""
        if not isinstance(row, dict) or "last_at" not in row:
            return row
        last_at, events = row["last_at"], row.get("events", [])
        rest = {name: value for name, value in row.items() if name != "last_at"}
        return rest | {
            "active": [[events[0]["at"] if events else last_at, last_at]],
            "attentive_until": row.get("due_at"),
        }

    @property
    def last_at(self) -> datetime | None:
        """When the visitor was last active; None if only others told of them."""
        return self.active[-1][1] if self.active else None


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
        """Writes the visit if its row is still as it was read. Returns it as written; None if another was first.

        Raises Transient if DynamoDB could not.
        """
        (written,) = self.write_all([visit])
        if isinstance(written, Transient):
            raise written
        return written

    def write_all(self, visits: Iterable[Visit]) -> list[Visit | Transient | None]:
        """Writes these, each for itself, 25 a request; what became of each, in their order, as `write` tells it."""
        visits = list(visits)
        results = execute(self._client, [self._statement(visit) for visit in visits])
        return [self._as_written(visit, result) for visit, result in zip(visits, results, strict=True)]

    def _as_written(self, visit: Visit, result: Result) -> Visit | Transient | None:
        if isinstance(result, Refused):
            return None
        return result or visit.model_copy(update={"version": visit.version + 1})

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

    def _statement(self, visit: Visit) -> Statement:
        text: AttributeValueTypeDef = {"S": visit.model_dump_json(exclude_defaults=True)}
        # What is a number, or a text of our own, stands in the statement itself: a parameter costs boto3 five times as much.
        plain = {"version": str(visit.version + 1), "expires_at": str(int(self._kept_until(visit).timestamp()))}
        if visit.due_at is not None:
            plain |= {"due_shard": f"'{shard_of(visit.id)}'", "due_at": repr(visit.due_at.timestamp())}
        if not visit.version:
            columns = "".join(f", '{name}': {value}" for name, value in plain.items())
            return Statement(f"INSERT INTO \"{self._table}\" VALUE {{'pk': ?, 'visit': ?{columns}}}", [{"S": visit.id}, text])
        sets = " ".join(f"SET {name} = {value}" for name, value in plain.items())
        removed = " REMOVE due_shard REMOVE due_at" if visit.due_at is None else ""
        where = f"pk = ? AND version = {visit.version}"
        return Statement(f'UPDATE "{self._table}" SET visit = ? {sets}{removed} WHERE {where}', [text, {"S": visit.id}])  # noqa: S608

    def _kept_until(self, visit: Visit) -> datetime:
        last = (*(end for _, end in visit.active[-1:]), *(event.at for event in visit.events[-1:]), visit.due_at)
        known = [time for time in last if time is not None]
        until = max(known) + self._keep if known else None
        return max(time for time in (until, visit.kept_until, _EPOCH) if time is not None)


def shard_of(visit_id: str) -> str:
    """The shard of the index `due` that a visit's row is in while it is due."""
    return SHARDS[zlib.crc32(visit_id.encode()) % len(SHARDS)]


def in_order(events: Iterable[VisitEvent]) -> Sequence[VisitEvent]:
    """The events by time, then id, so that their order never depends on how they arrived."""
    return sorted(events, key=lambda event: (event.at, event.id))


def _visit(row: Row) -> Visit:
    return Visit.model_validate_json(row["visit"]["S"]).model_copy(update={"version": int(row["version"]["N"])})
