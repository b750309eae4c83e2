"""When each tracker was last heard of: what tells a quiet night from a webhook that the vendor has switched off.

One row a tracker in the table `state`, `heard#NAME`, for those that are to be watched. It outlives the rest of that table: it is
kept for longer than any silence that a definition may ask for. A process that takes posts writes it once a minute at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shared.clock import Clock
from shared.observe import logger, whereabouts
from shared.rows import read_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_EACH = timedelta(minutes=1)
_KEPT = timedelta(days=60)


class Heard:
    """The rows of trackers that are watched."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._client, self._table, self._clock = client, table, clock
        self._written: dict[str, datetime] = {}

    def of(self, tracker: str) -> None:
        """Something came from this tracker. Costs nothing within a minute of the last time, and never the post that came."""
        now = self._clock()
        if now - self._written.get(tracker, now - _EACH) < _EACH:
            return
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": _key(tracker)}},
                UpdateExpression="SET heard_at = :now, expires_at = :later",
                ExpressionAttributeValues=_times(now),
            )
        except Exception as error:  # of AWS
            logger.warning("not noted that a tracker was heard of", tracker=tracker, reason=whereabouts(error))
        self._written[tracker] = now

    def begin(self, tracker: str) -> None:
        """Silence counts from now, unless it counts already."""
        times = _times(self._clock())
        row = {"pk": {"S": _key(tracker)}, "heard_at": times[":now"], "expires_at": times[":later"]}
        try:
            self._client.put_item(TableName=self._table, Item=row, ConditionExpression="attribute_not_exists(pk)")
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def last(self, trackers: Iterable[str]) -> dict[str, datetime]:
        """When each of these trackers was last heard of, or since when it is listened to; those of which neither is known not."""
        names = {_key(name): name for name in trackers}
        rows = read_rows(self._client, self._table, names)
        return {names[key]: datetime.fromtimestamp(float(row["heard_at"]["N"]), UTC) for key, row in rows.items()}


def _times(now: datetime) -> dict[str, AttributeValueTypeDef]:
    return {":now": {"N": str(now.timestamp())}, ":later": {"N": str(int((now + _KEPT).timestamp()))}}


def _key(tracker: str) -> str:
    return f"heard#{tracker}"
