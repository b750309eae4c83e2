"""Claiming messages, and settling them, many in one request.

A message is claimed with a lease before it is posted, and settled right after it: so at most one has it at a time, and whoever
claims one that was not settled knows that it may have gone out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.clock import iso
from shared.jobs import Hop, MessageJob
from shared.ledger_rows import Claim, Message, Status, expiry, facts_column, hops_column, way_column
from shared.statements import Refused, Result, Statement, execute

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

_PLAIN = re.compile(r"[A-Za-z0-9 .:_-]*")


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

    def insert(self, fresh: Iterable[Fresh]) -> list[Result]:
        """Makes the rows of messages that have none. Refused for those that have one."""
        return execute(self._client, [self._made(one) for one in fresh])

    def change(self, changes: Iterable[Change]) -> list[Result]:
        """Changes rows, each only if nobody else has changed it meanwhile. What an AWS client repeats is no such change."""
        changes = list(changes)
        results = execute(self._client, [self._changed(change) for change in changes])
        return [
            None if isinstance(result, Refused) and _is_done(change, result.row) else result
            for change, result in zip(changes, results, strict=True)
        ]

    # What is a number, or a text of our own, stands in the statement itself: a parameter costs boto3 five times as much.

    def _made(self, fresh: Fresh) -> Statement:
        job, claim = fresh.job, fresh.claim
        plain: dict[str, str | float] = {
            "created_at": iso(job.decided_at),
            "expires_at": expiry(job, self._retention),
            "status": fresh.status,
            "attempts": int(fresh.status == "sending"),
            "lease_until": claim.until,
            "claimed_by": claim.by,
            "tried_at": claim.tried_at,
        }
        literals = ", ".join(f"'{name}': {_literal(value)}" for name, value in plain.items())
        text = f"INSERT INTO \"{self._table}\" VALUE {{'pk': ?, 'facts': ?, 'visit_id': ?, 'way': ?, 'trace': ?, {literals}}}"
        trace = hops_column(job.hops, fresh.hops)
        return Statement(text, [{"S": job.message_id}, facts_column(job), {"S": job.visit_id}, way_column(claim), trace])

    def _changed(self, change: Change) -> Statement:
        was, claim = change.was, change.claim
        plain: dict[str, str | float] = {'"status"': change.status, "tried_at": claim.tried_at}
        sets: dict[str, AttributeValueTypeDef] = {"esp_message_id": {"S": change.esp_message_id}}
        if change.hop is not None:
            # Behind the last one: DynamoDB appends what is set beyond a list's end.
            sets[f'"trace"[{change.hops}]'] = hops_column([change.hop])["L"][0]
        where: dict[str, str | float] = {"claimed_by": claim.by, '"status"': "sending"}
        if was is not None:
            plain |= {"lease_until": claim.until, "claimed_by": claim.by, "attempts": was.attempts + (change.status == "sending")}
            sets["way"] = way_column(claim)
            where = {"claimed_by": was.claim.by, '"status"': was.status, "attempts": was.attempts}
        assigned = [f"SET {name} = ?" for name in sets] + [f"SET {name} = {_literal(value)}" for name, value in plain.items()]
        conditions = "".join(f" AND {name} = {_literal(value)}" for name, value in where.items())
        text = f'UPDATE "{self._table}" {" ".join(assigned)} WHERE pk = ?{conditions}'  # literals are checked
        return Statement(text, [*sets.values(), {"S": change.message_id}])


def _literal(value: str | float) -> str:
    """A value as it may stand in a statement."""
    if not isinstance(value, str):
        return str(value)
    if not _PLAIN.fullmatch(value):
        raise ValueError("no text of our own")
    return f"'{value}'"


def _is_done(change: Change, row: Row | None) -> bool:
    """Whether a row is already as it should become: by our own call, whose answer was lost."""
    return (
        row is not None
        and row["status"] == {"S": change.status}
        and row.get("claimed_by") == {"S": change.claim.by}
        and (change.hop is None or len(row["trace"]["L"]) > change.hops)
    )
