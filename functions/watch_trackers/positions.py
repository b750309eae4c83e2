"""Where in each tracker's journal to go on reading.

One row a tracker in the table `state`, `journal#NAME`: the link to the next page, and the journal that it belongs to. It is
kept for a month after the last event: a journal has seven days.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.clock import Clock
from shared.rows import read_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEPT = timedelta(days=30)


class Positions:
    """The rows of journals."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._client, self._table, self._clock = client, table, clock

    def of(self, tracker: str, journal: str) -> str | None:
        """The link to go on at; None if this journal was never read."""
        key = _key(tracker)
        row = read_rows(self._client, self._table, [key]).get(key)
        return row["next"]["S"] if row is not None and row["journal"]["S"] == journal else None

    def keep(self, tracker: str, journal: str, link: str) -> None:
        """All before this link is done."""
        expires_at = int((self._clock() + _KEPT).timestamp())
        self._client.put_item(
            TableName=self._table,
            Item={
                "pk": {"S": _key(tracker)},
                "journal": {"S": journal},
                "next": {"S": link},
                "expires_at": {"N": str(expires_at)},
            },
        )


def _key(tracker: str) -> str:
    return f"journal#{tracker}"
