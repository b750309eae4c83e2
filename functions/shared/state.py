"""Short-lived state that all running functions share: leases (one does it at a time) and circuits (nobody calls what is down)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from shared.clock import Clock
from shared.errors import Misconfigured, SendbridgeError, Transient
from shared.queues import Randomness
from shared.rows import read_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEPT = 3600


class Leases:
    """Leases by name: whoever takes one has it until it is given back or its time is over."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._client, self._table, self._clock = client, table, clock
        self._holder = uuid.uuid4().hex

    def take(self, name: str, seconds: float) -> bool:
        """Whether we got the lease."""
        now = self._clock().timestamp()
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "pk": {"S": f"lease#{name}"},
                    "holder": {"S": self._holder},
                    "until": {"N": str(now + seconds)},
                    "expires_at": {"N": str(int(now + seconds) + _KEPT)},
                },
                ConditionExpression="attribute_not_exists(pk) OR #until < :now",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":now": {"N": str(now)}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def give_back(self, name: str) -> None:
        """Frees the lease if it is still ours."""
        try:
            self._client.delete_item(
                TableName=self._table,
                Key={"pk": {"S": f"lease#{name}"}},
                ConditionExpression="holder = :holder",
                ExpressionAttributeValues={":holder": {"S": self._holder}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return


class Circuits:
    """One circuit a destination or integration. Open: nobody calls. Then one probe at a time is let through until one succeeds.

    `threshold` failures in a row within this process open it; a wait that the vendor asked for opens it at once.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        clock: Clock,
        chance: Randomness,
        *,
        threshold: int = 3,
        longest: float = 300,
        refresh: float = 1,
    ) -> None:
        self._client, self._table, self._clock, self._chance = client, table, clock, chance
        self._threshold, self._longest, self._refresh = threshold, longest, refresh
        self._probes = Leases(client, table, clock)
        self._failures: dict[str, int] = {}
        self._known: dict[str, tuple[float, float, int]] = {}

    def check(self, name: str) -> None:
        """Raises Transient while the circuit is open, with how long to wait."""
        until, opened = self._read(name)
        now = self._clock().timestamp()
        if now < until:
            raise Transient(f"{name}: the circuit is open", retry_after=until - now)
        if opened and not self._probes.take(f"probe#{name}", 30):
            raise Transient(f"{name}: waiting for one probe of the circuit", retry_after=2)

    def open_for(self, name: str) -> float:
        """Seconds for which the circuit is still open, as far as this process knows; 0 if it is not."""
        known = self._known.get(name)
        return max(0.0, known[1] - self._clock().timestamp()) if known else 0

    def succeeded(self, name: str) -> None:
        """A call got through: closes the circuit."""
        self._failures.pop(name, None)
        known = self._known.get(name)
        if known is not None and known[2]:
            self._client.delete_item(TableName=self._table, Key={"pk": {"S": f"circuit#{name}"}})
            self._probes.give_back(f"probe#{name}")
            self._known[name] = (self._clock().timestamp(), 0, 0)

    def failed(self, name: str, error: SendbridgeError) -> None:
        """A call ended in `Transient` or `Misconfigured`."""
        self._failures[name] = self._failures.get(name, 0) + 1
        known = self._known.get(name, (0.0, 0.0, 0))
        asked = error.retry_after if isinstance(error, Transient) else None
        if asked is None and self._failures[name] < self._threshold and not known[2] and not isinstance(error, Misconfigured):
            return
        opened = known[2] + 1
        wait = asked if asked is not None else self._chance.uniform(0.5, 1) * min(self._longest, 2.0**opened)
        now = self._clock().timestamp()
        self._client.put_item(
            TableName=self._table,
            Item={
                "pk": {"S": f"circuit#{name}"},
                "until": {"N": str(now + wait)},
                "opened": {"N": str(opened)},
                "expires_at": {"N": str(int(now + wait) + _KEPT)},
            },
        )
        self._known[name] = (now, now + wait, opened)
        self._probes.give_back(f"probe#{name}")

    def _read(self, name: str) -> tuple[float, int]:
        """Until when the circuit is open, and how often in a row it was opened; as of at most `refresh` seconds ago."""
        now = self._clock().timestamp()
        known = self._known.get(name)
        if known is None or now - known[0] >= self._refresh:
            key = f"circuit#{name}"
            row = read_rows(self._client, self._table, [key]).get(key)
            known = (now, float(row["until"]["N"]), int(row["opened"]["N"])) if row else (now, 0.0, 0)
            self._known[name] = known
        return known[1], known[2]
