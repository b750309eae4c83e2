"""Rate limits that all running functions keep together: so many messages in so many seconds, however many functions send.

The window is cut into slots, and one row per limit says how many were let through in each of the newest ones. A message is let
through if the slots of a whole window, and two more, hold fewer than the limit: so that it is kept in every window, wherever
that begins, as long as messages go out within a slot after they were let through, and the functions' clocks differ by less
than that. The two slots cost a tenth of the limit. What goes out later than that may exceed the limit, by itself only.

A function takes for a batch at once, and as much more as it used in the slot before: far less than a write a message. What it
does not use by the end of the slot is lost to all, as is what a killed function had taken; never is more sent. While it knows
that there is no room, it does not ask the table.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from shared.clock import Clock
from shared.fields import Limit
from shared.queues import Randomness

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

_SLOTS = 20
_MORE = 2
_SHORTEST = 0.05
"""Seconds of a slot, at least: what lies between a take and its message's arrival."""
_TRIES = 20
_LONGEST = 300.0
_TELLING = 10
"""Messages let through that say enough of how many wait."""
_KEPT = 3600


@dataclass(frozen=True)
class Grant:
    """How many may go now, and in how many seconds the others may ask again."""

    granted: int
    retry_after: float = 0


@dataclass(frozen=True)
class _Window:
    """What was let through in the newest slots, the newest being `slot`: by slot number modulo their count."""

    slot: int
    used: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.used)

    def at(self, slot: int) -> _Window:
        """The same at a later slot: what is older than a window is forgotten."""
        count = len(self.used)
        gone = {number % count for number in range(self.slot + 1, min(slot, self.slot + count) + 1)}
        return _Window(slot, tuple(0 if place in gone else used for place, used in enumerate(self.used)))

    def plus(self, taken: int) -> _Window:
        """With so many more in the newest slot."""
        place = self.slot % len(self.used)
        return replace(self, used=(*self.used[:place], self.used[place] + taken, *self.used[place + 1 :]))

    def next_free(self) -> int:
        """The slot from which on more may be let through, if this one is full."""
        count = len(self.used)
        oldest = next((s for s in range(self.slot - count + 1, self.slot + 1) if self.used[s % count]), self.slot)
        return oldest + count


@dataclass
class _Crowd:
    """How many wait, judged by how many asked in vain: those who wait are told to come back over so many `seconds`.

    Over half of these seconds about all of them ask once. They are too few for all: most ask in vain, so that the limit is used
    up; but were they told to come back at once, nearly all would.
    """

    seconds: float = 0
    since: float | None = None
    granted: int = 0
    refused: int = 0

    def saw(self, granted: int, refused: int, now: float, window: float) -> None:
        """Counts those who asked, and judges anew when it is time."""
        if self.since is None:
            self.since = now
        self.granted, self.refused = self.granted + granted, self.refused + refused
        lasted, enough = now - self.since, max(window, self.seconds / 2)
        if lasted >= 4 * enough or (lasted >= enough and self.granted >= _TELLING):
            waits = lasted * self.refused / max(self.granted, 1)
            self.seconds = min(waits / 4, 2 * self.seconds + window, _LONGEST)
            self.since, self.granted, self.refused = now, 0, 0


@dataclass
class _Held:
    """What this process knows of one limit, and has taken of it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    window: _Window | None = None
    slot: int = 0
    left: int = 0
    """Taken in this slot, and not let through yet."""
    let_through: int = 0
    """In this slot."""
    before: int = 0
    """In the slot before it."""
    crowd: _Crowd = field(default_factory=_Crowd)

    def move_to(self, slot: int) -> None:
        """What was taken in an earlier slot is lost."""
        if slot != self.slot:
            self.before = self.let_through if slot == self.slot + 1 else 0
            self.slot, self.left, self.let_through = slot, 0, 0


class Limits:
    """All limits, in the state table. Safe under threads."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, clock: Clock, chance: Randomness) -> None:
        self._client, self._table, self._clock, self._chance = dynamodb, table, clock, chance
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}

    def take(self, name: str, limit: Limit, wanted: int) -> Grant:
        """Lets through as many of those wanted as the limit allows now. They are to go out at once."""
        key = f"limit#{name}#{limit.seconds:g}"
        with self._lock:
            held = self._held.setdefault(key, _Held())
        count = max(2, min(_SLOTS, int(limit.seconds / _SHORTEST)))
        length = limit.seconds / count
        with held.lock:
            now = self._clock().timestamp()
            held.move_to(int(now / length))
            if held.left < wanted:
                ahead = min(held.before - held.let_through, limit.messages // count)
                window = held.window or _Window(held.slot, (0,) * (count + _MORE))
                held.left += self._taken(key, held, window, limit, max(wanted - held.left, ahead))
            granted = min(wanted, held.left)
            held.left -= granted
            held.let_through += granted
            held.crowd.saw(granted, wanted - granted, now, limit.seconds)
            return Grant(granted, self._patience(held, limit, wanted - granted, now, length))

    def _patience(self, held: _Held, limit: Limit, refused: int, now: float, length: float) -> float:
        """Seconds after which those refused may ask again: not before there can be any, and the longer apart the more wait."""
        if not refused:
            return 0
        full = held.window is not None and held.window.total >= limit.messages
        free_in = held.window.next_free() * length - now if held.window and full else 0
        apart = max(held.crowd.seconds, refused * limit.seconds / limit.messages)
        return max(free_in, 0) + self._chance.uniform(0, apart)

    def _taken(self, key: str, held: _Held, window: _Window, limit: Limit, wanted: int) -> int:
        """Takes as many of those wanted as there are. What is known of the row may be old: then the row comes back instead."""
        known = held.window is not None
        for _ in range(_TRIES):
            # The clock of another function may be a little ahead of ours: what it counts in is then our slot, too.
            slot = max(held.slot, window.slot)
            now = window.at(slot)
            taken = min(wanted, limit.messages - now.total)
            if taken <= 0:
                held.window = now
                return 0
            same = known and slot == window.slot
            row = self._add(key, now, limit, taken) if same else self._put(key, window if known else None, now.plus(taken), limit)
            if row is None:
                held.window = now.plus(taken)
                return taken
            window, known = _read(row, window)
        return 0

    def _add(self, key: str, window: _Window, limit: Limit, taken: int) -> Row | None:
        """Adds to the newest slot. None, or the row as it is if that is another slot meanwhile, or has no room."""
        place = f"u{window.slot % len(window.used)}"
        return self._update(
            key,
            f"SET {place} = {place} + :taken, #total = #total + :taken",
            "#slot = :slot AND #total <= :room",
            {":slot": window.slot, ":taken": taken, ":room": limit.messages - taken},
        )

    def _put(self, key: str, was: _Window | None, window: _Window, limit: Limit) -> Row | None:
        """Begins a slot. None, or the row as it is if it is not as it was known."""
        places = {f"u{place}": used for place, used in enumerate(window.used)}
        sets = ", ".join(f"{place} = :{place}" for place in places)
        values = {f":{place}": used for place, used in places.items()}
        values |= {
            ":slot": window.slot,
            ":total": window.total,
            ":expires": int(self._clock().timestamp() + limit.seconds) + _KEPT,
        }
        if was is not None:
            values |= {":was": was.slot, ":had": was.total}
        return self._update(
            key,
            f"SET {sets}, #slot = :slot, #total = :total, expires_at = :expires",
            "#slot = :was AND #total = :had" if was is not None else "attribute_not_exists(pk)",
            values,
        )

    def _update(self, key: str, update: str, condition: str, values: Mapping[str, int]) -> Row | None:
        numbers: dict[str, AttributeValueTypeDef] = {name: {"N": str(value)} for name, value in values.items()}
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": key}},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={"#slot": "slot", "#total": "total"},
                ExpressionAttributeValues=numbers,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as refused:
            row: Row = refused.response.get("Item", {})  # type: ignore[assignment]  # there, as we ask for ALL_OLD
            return row
        return None


def _read(row: Row, like: _Window) -> tuple[_Window, bool]:
    """What a row says, and whether there is one."""
    if not row:
        return replace(like, used=(0,) * len(like.used)), False
    return _Window(int(row["slot"]["N"]), tuple(int(row[f"u{place}"]["N"]) for place in range(len(like.used)))), True
