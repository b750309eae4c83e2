"""Which version of each integration is current: a message in flight keeps the one that it was decided with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Versions:
    """The integrations' versions by name, in memory for at most `ttl` seconds. Nothing else of them is read."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock, ttl: float) -> None:
        self._client, self._table, self._clock, self._ttl = client, table, clock, ttl
        self._read_at = float("-inf")
        self._known: dict[str, int] = {}

    def of(self, integration: str) -> int:
        """The current version; 0 if there is no such integration."""
        now = self._clock().timestamp()
        if now - self._read_at >= self._ttl:
            self._known, self._read_at = self._read(), now
        return self._known.get(integration, 0)

    def _read(self) -> dict[str, int]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :kind",
            ProjectionExpression="sk, version",
            ExpressionAttributeValues={":kind": {"S": "integration"}},
        )
        return {item["sk"]["S"]: int(item["version"]["N"]) for page in pages for item in page["Items"]}
