"""Claiming messages, and settling them, many in one request.

A message is claimed with a lease before it is posted, and settled right after it: so at most one has it at a time, and whoever
claims one that was not settled knows that it may have gone out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.jobs import Hop, MessageJob
from shared.ledger_rows import Claim, Message, Status, claim_columns, facts_columns, hops_column, number
from shared.statements import Refused, Result, Statement, execute

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

_COLUMNS = (
    "pk",
    "facts",
    "visit_id",
    "created_at",
    "expires_at",
    "integration",
    "integration_version",
    "status",
    "attempts",
    "lease_until",
    "claimed_by",
    "tried_at",
    "kept",
    "alone",
    "sent_to",
    "trace",
)


@dataclass(frozen=True)
class Fresh:
    """A message that has no row yet, and the row that it is to get: claimed, or at its end already."""

    job: MessageJob
    status: Status
    claim: Claim
    hops: Sequence[Hop] = ()
    """What comes after the job's own."""


@dataclass(frozen=True)
class Change:
    """What is to become of a message's row, if it is still as it was read (`was`), or still claimed by `claim.by`."""

    message_id: str
    status: Status
    claim: Claim
    hops: int
    """How many groups of hops the row has."""
    hop: Hop | None = None
    """One more of them."""
    was: Message | None = None
    esp_message_id: str = ""


class Claims:
    """The messages table, for whoever sends. `retention` is how many seconds after creation a row may be deleted."""

    def __init__(self, client: DynamoDBClient, table: str, retention: int) -> None:
        self._client, self._table, self._retention = client, table, retention
        self._insert = f'INSERT INTO "{table}" VALUE {{{", ".join(f"{chr(39)}{name}{chr(39)}: ?" for name in _COLUMNS)}}}'

    def insert(self, fresh: Iterable[Fresh]) -> list[Result]:
        """Makes the rows of messages that have none. Refused for those that have one."""
        return execute(self._client, [Statement(self._insert, self._row(one)) for one in fresh])

    def change(self, changes: Iterable[Change]) -> list[Result]:
        """Changes rows, each only if nobody else has changed it meanwhile. What an AWS client repeats is no such change."""
        changes = list(changes)
        results = execute(self._client, [self._changed(change) for change in changes])
        return [
            None if isinstance(result, Refused) and _is_done(change, result.row) else result
            for change, result in zip(changes, results, strict=True)
        ]

    def _row(self, fresh: Fresh) -> list[AttributeValueTypeDef]:
        columns: dict[str, AttributeValueTypeDef] = {
            **facts_columns(fresh.job, self._retention),
            **claim_columns(fresh.claim),
            "status": {"S": fresh.status},
            "attempts": {"N": "1" if fresh.status == "sending" else "0"},
            "trace": hops_column(fresh.job.hops, fresh.hops),
        }
        return [columns[name] for name in _COLUMNS]

    def _changed(self, change: Change) -> Statement:
        was, claim = change.was, change.claim
        sets: dict[str, AttributeValueTypeDef] = {'"status"': {"S": change.status}, "lease_until": number(claim.until)}
        if change.hop is not None:
            # Behind the last one: DynamoDB appends what is set beyond a list's end.
            sets[f'"trace"[{change.hops}]'] = hops_column([change.hop])["L"][0]
        sets["tried_at"] = number(claim.tried_at)
        if was is None:
            sets["esp_message_id"] = {"S": change.esp_message_id}
            where: dict[str, AttributeValueTypeDef] = {"claimed_by": {"S": claim.by}, '"status"': {"S": "sending"}}
        else:
            taken = change.status == "sending"
            sets |= {"attempts": {"N": str(was.attempts + taken)}, "esp_message_id": {"S": change.esp_message_id}}
            sets |= {name: value for name, value in claim_columns(claim).items() if name not in ("lease_until", "tried_at")}
            where = {"attempts": {"N": str(was.attempts)}, '"status"': {"S": was.status}, "claimed_by": {"S": was.claim.by}}
        assigned = " ".join(f"SET {name} = ?" for name in sets)
        conditions = " AND ".join(f"{name} = ?" for name in ("pk", *where))
        text = f'UPDATE "{self._table}" {assigned} WHERE {conditions}'
        return Statement(text, [*sets.values(), {"S": change.message_id}, *where.values()])


def _is_done(change: Change, row: Row | None) -> bool:
    """Whether a row is already as it should become: by our own call, whose answer was lost."""
    return (
        row is not None
        and row["status"] == {"S": change.status}
        and row.get("claimed_by") == {"S": change.claim.by}
        and (change.hop is None or len(row["trace"]["L"]) > change.hops)
    )
