"""Short-lived state that all running functions share: leases (one does it at a time) and circuits (nobody calls what is down)."""

from __future__ import annotations

import contextlib
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.clock import Clock
from shared.errors import Misconfigured, SendbridgeError, Transient
from shared.queues import Randomness
from shared.rows import read_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEPT = 3600
_PROBE = 30


class Leases:
    """Leases by name: whoever takes one has it until it is given back or its time is over. Safe under threads."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._client, self._table, self._clock = client, table, clock
        self._holders: dict[str, str] = {}

    def take(self, name: str, seconds: float) -> bool:
        """Whether we got the lease."""
        # Anew each time: of two takes by one process, the one whose time is over must not give back the other's.
        holder = uuid.uuid4().hex
        # The AWS client repeats a call whose answer was lost: then the holder is this very take.
        taken = self._put(name, holder, seconds, "attribute_not_exists(pk) OR #until <= :now OR holder = :holder")
        if taken:
            self._holders[name] = holder
        return taken

    def give_back(self, name: str, *, after: float = 0) -> None:
        """Frees the lease that this process took last, if it still has it; in so many seconds, if `after` is given."""
        holder = self._holders.pop(name, None)
        if holder is not None:
            self._put(name, holder, after, "holder = :holder AND #until >= :now")

    def _put(self, name: str, holder: str, seconds: float, condition: str) -> bool:
        now = self._clock().timestamp()
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "pk": {"S": f"lease#{name}"},
                    "holder": {"S": holder},
                    "until": {"N": str(now + seconds if seconds else 0)},
                    "expires_at": {"N": str(int(now + seconds) + _KEPT)},
                },
                ConditionExpression=condition,
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":now": {"N": str(now)}, ":holder": {"S": holder}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True


@dataclass(frozen=True)
class _Circuit:
    """A circuit as it was known at `at`: open until `until`, for the `opened`th time in a row; 0 if no call has failed."""

    at: float = 0
    until: float = 0
    opened: int = 0


class Circuits:
    """One circuit a destination or integration. Open: nobody calls. Then one probe at a time is let through until one succeeds.

    `threshold` failures in a row within this process open it; a wait that the vendor asked for opens it at once. Calls that
    were under way when it opened change nothing, however they end, unless the vendor asks for a longer wait. Safe under threads.
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
        self._lock = threading.RLock()
        self._failures: dict[str, int] = {}
        self._known: dict[str, _Circuit] = {}

    def check(self, name: str) -> None:
        """Raises Transient while the circuit is open, with how long to wait."""
        known, now = self._read(name), self._clock().timestamp()
        if now < known.until:
            raise Transient(f"{name}: the circuit is open", retry_after=known.until - now)
        if known.opened and not self._probes.take(f"probe#{name}", _PROBE):
            raise Transient(f"{name}: waiting for one probe of the circuit", retry_after=2)

    def open_for(self, name: str) -> float:
        """Seconds for which the circuit is still open, as far as this process knows; 0 if it is not."""
        known = self._known.get(name, _Circuit())
        return max(0.0, known.until - self._clock().timestamp())

    def succeeded(self, name: str) -> None:
        """A call got through: closes the circuit, if the call was its probe."""
        with self._lock:
            self._failures.pop(name, None)
            known, now = self._known.get(name, _Circuit()), self._clock().timestamp()
            if not known.opened or now < known.until:
                return
            self._known[name] = _Circuit(now)
        self._close(name, now)
        self._probes.give_back(f"probe#{name}")

    def failed(self, name: str, error: SendbridgeError) -> None:
        """A call ended in `Transient` or `Misconfigured`."""
        asked = error.retry_after if isinstance(error, Transient) else None
        with self._lock:
            known, now = self._known.get(name, _Circuit()), self._clock().timestamp()
            if known.until > now and (asked is None or now + asked <= known.until):
                return
            self._failures[name] = self._failures.get(name, 0) + 1
            few = self._failures[name] < self._threshold and not known.opened and not isinstance(error, Misconfigured)
            if asked is None and few:
                return
            opened = known.opened if known.until > now else known.opened + 1
            wait = asked if asked is not None else self._chance.uniform(0.5, 1) * min(self._longest, 2.0**opened)
            self._known[name] = opens = _Circuit(now, now + wait, opened)
        self._open(name, opens)
        self._probes.give_back(f"probe#{name}")

    def pause(self, name: str, seconds: float) -> None:
        """The vendor wants nothing more for so long, although nothing is wrong: so no probe follows."""
        with self._lock:
            known, now = self._known.get(name, _Circuit()), self._clock().timestamp()
            if now + seconds <= known.until:
                return
            self._known[name] = opens = _Circuit(now, now + seconds, known.opened)
        self._open(name, opens)

    def _open(self, name: str, circuit: _Circuit) -> None:
        """For everybody, unless somebody else has opened it for longer."""
        with contextlib.suppress(self._client.exceptions.ConditionalCheckFailedException):
            self._client.put_item(
                TableName=self._table,
                Item={
                    "pk": {"S": f"circuit#{name}"},
                    "until": {"N": str(circuit.until)},
                    "opened": {"N": str(circuit.opened)},
                    "expires_at": {"N": str(int(circuit.until) + _KEPT)},
                },
                ConditionExpression="attribute_not_exists(pk) OR #until < :until",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":until": {"N": str(circuit.until)}},
            )

    def _close(self, name: str, now: float) -> None:
        """For everybody, unless somebody else has opened it anew."""
        with contextlib.suppress(self._client.exceptions.ConditionalCheckFailedException):
            self._client.delete_item(
                TableName=self._table,
                Key={"pk": {"S": f"circuit#{name}"}},
                ConditionExpression="#until <= :now",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":now": {"N": str(now)}},
            )

    def _read(self, name: str) -> _Circuit:
        """The circuit, as of at most `refresh` seconds ago."""
        with self._lock:
            known, now = self._known.get(name), self._clock().timestamp()
            if known is None or now - known.at >= self._refresh:
                key = f"circuit#{name}"
                row = read_rows(self._client, self._table, [key]).get(key)
                known = _Circuit(now, float(row["until"]["N"]), int(row["opened"]["N"])) if row else _Circuit(now)
                self._known[name] = known
            return known
