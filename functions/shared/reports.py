"""Reports: how often each trigger fired on a day, and what became of it.

A trigger has a few rows a day, in the table of messages and with its retention time: which of them a process writes to was drawn
when it started, so no row is hot (eight take some 2,600 batches a second). One write a trigger and batch, whatever the batch
holds. What is counted has been written before, on a condition that holds once; so a repeat is not counted again.

**How exact this is.** A process that is killed between writing what it decided and counting it loses the counts of that one
batch; a count that DynamoDB took, whose answer was lost on its way, is added again by the AWS client. Counting never fails a
message: what cannot be counted is logged and left. What the ledger says of a message is exact, and has its reason.

All of a message is counted on the day, in UTC, on which it was decided about.

| counter | means |
|---|---|
| `fired` | decided: to be sent |
| `cancelled` | decided: not to be sent, as the visitor did what ends it, came back, or another trigger fired |
| `skipped:REASON` | decided: not to be sent, for any other reason |
| `sent` | the ESP has it |
| `unsent:REASON` | it was to be sent, and was not: no longer valid, suppressed, capped, taken back |
| `parked` | it failed, and waits for a person; again each time that it fails again |
| `late` | fired more than `LATE` seconds after its deadline |
| `late_ms`, `latest_ms` | how late all that fired were, summed; the most, if that is more than `LATE` |

What matched is what was decided about: `fired`, `cancelled` and `skipped`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import BotoCoreError, ClientError

from shared.clock import from_iso, iso
from shared.ledger_rows import Facts
from shared.observe import logger
from shared.rows import read_rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

SHARDS = 8
LATE = 5.0

_RECENT = 10
"""Decisions that a row keeps; now and then twice as many."""
_LONGEST_REASON = 60
_OWN = frozenset({"pk", "expires_at", "recent", "latest_ms"})


@dataclass(frozen=True)
class Firing:
    """One decision."""

    at: datetime
    decided: Literal["send", "skip"]
    reason: str
    message_id: str
    visit_id: str


@dataclass(frozen=True)
class Day:
    """A trigger's report of one day."""

    trigger: str
    day: date
    counts: Mapping[str, int]
    latest_ms: int
    recent: tuple[Firing, ...]
    """The newest decisions: newest first, and as many as were kept."""

    @property
    def matched(self) -> int:
        """What was decided about."""
        return sum(n for name, n in self.counts.items() if name in ("fired", "cancelled") or name.startswith("skipped:"))


@dataclass(frozen=True)
class Decision:
    """What `match_triggers` decided about a message."""

    of: Facts
    decided: Literal["send", "skip"]
    reason: str = ""
    cancelled: bool = False
    lateness: float = 0.0
    """Seconds since its deadline."""


@dataclass
class _Tally:
    counts: Counter[str] = field(default_factory=Counter)
    recent: deque[Firing] = field(default_factory=lambda: deque(maxlen=_RECENT))
    latest_ms: int = 0


@dataclass
class Counts:
    """What is to be counted of one batch."""

    _tallies: defaultdict[tuple[str, date], _Tally] = field(default_factory=lambda: defaultdict(_Tally))

    def decided(self, decision: Decision) -> None:
        """Counts a decision, once it is written."""
        of, tally = decision.of, self._tally(decision.of)
        tally.recent.append(Firing(of.decided_at, decision.decided, decision.reason, of.message_id, of.visit_id))
        if decision.decided == "skip":
            tally.counts["cancelled" if decision.cancelled else f"skipped:{kind_of(decision.reason)}"] += 1
            return
        late_ms = max(0, round(decision.lateness * 1000))
        tally.counts["fired"] += 1
        tally.counts["late_ms"] += late_ms
        tally.counts["late"] += late_ms > LATE * 1000
        tally.latest_ms = max(tally.latest_ms, late_ms)

    def ended(self, of: Facts, status: Literal["sent", "skipped", "parked"], reason: str = "") -> None:
        """Counts what became of a message that was to be sent, once the ledger has it."""
        self._tally(of).counts[f"unsent:{kind_of(reason)}" if status == "skipped" else status] += 1

    def taken(self) -> Counts:
        """These, which are then forgotten here."""
        taken, self._tallies = Counts(self._tallies), defaultdict(_Tally)
        return taken

    def rows(self) -> Iterator[tuple[str, date, _Tally]]:
        """Each trigger's and day's."""
        for (trigger, day), tally in self._tallies.items():
            yield trigger, day, tally

    def _tally(self, of: Facts) -> _Tally:
        return self._tallies[of.trigger, of.decided_at.date()]


class Reports:
    """The rows of reports in the table of messages. `retention` is seconds; `shard` is this process's, below `SHARDS`."""

    def __init__(self, client: DynamoDBClient, table: str, retention: int, shard: int) -> None:
        self._client, self._table, self._retention, self._shard = client, table, retention, shard

    def add(self, counts: Counts) -> None:
        """Adds these: one write for each trigger and day. Raises nothing that AWS says: what is not counted is logged."""
        for trigger, day, tally in counts.rows():
            try:
                self._add(f"{_key(trigger, day)}{self._shard}", day, tally)
            except (BotoCoreError, ClientError) as error:
                logger.warning("not counted", trigger=trigger, error=type(error).__name__, counts=dict(tally.counts))

    def read(self, triggers: Iterable[str], days: Sequence[date]) -> list[Day]:
        """The reports of these triggers on these days, in this order; those of which nothing is known have no counts."""
        wanted = [(trigger, day) for trigger in triggers for day in days]
        keys = {one: [f"{_key(*one)}{shard}" for shard in range(SHARDS)] for one in wanted}
        rows = read_rows(self._client, self._table, [key for those in keys.values() for key in those])
        return [_day(*one, [rows[key] for key in those if key in rows]) for one, those in keys.items()]

    def _add(self, key: str, day: date, tally: _Tally) -> None:
        counts = {name: number for name, number in tally.counts.items() if number}
        names = {f"#c{index}": name for index, name in enumerate(counts)}
        values: dict[str, AttributeValueTypeDef] = {f":c{index}": {"N": str(n)} for index, n in enumerate(counts.values())}
        sets = ["expires_at = :expires"]
        values[":expires"] = {"N": str(_midnight(day) + self._retention)}
        if tally.recent:
            values[":recent"] = _column(tally.recent)
        if len(tally.recent) == _RECENT:
            sets.append("recent = :recent")
        elif tally.recent:
            sets.append("recent = list_append(if_not_exists(recent, :none), :recent)")
            values[":none"] = {"L": []}
        before = self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": key}},
            UpdateExpression=f"ADD {', '.join(f'#c{n} :c{n}' for n in range(len(counts)))} SET {', '.join(sets)}",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ReturnValues="ALL_OLD",
        ).get("Attributes", {})
        self._tidy(key, before, tally)

    def _tidy(self, key: str, before: Row, tally: _Tally) -> None:
        """Shortens the list when it has grown to twice its length, and keeps the latest: what one write cannot do, and seldom."""
        sets: list[str] = []
        values: dict[str, AttributeValueTypeDef] = {}
        listed = before["recent"]["L"] if "recent" in before else []
        if len(tally.recent) < _RECENT and len(listed) + len(tally.recent) > 2 * _RECENT:
            sets.append("recent = :recent")
            values[":recent"] = {"L": [*listed, *_column(tally.recent)["L"]][-_RECENT:]}
        if tally.latest_ms > (int(before["latest_ms"]["N"]) if "latest_ms" in before else LATE * 1000):
            sets.append("latest_ms = :latest")
            values[":latest"] = {"N": str(tally.latest_ms)}
        if sets:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": key}},
                UpdateExpression=f"SET {', '.join(sets)}",
                ExpressionAttributeValues=values,
            )


def kind_of(reason: str) -> str:
    """A reason without what is particular to one message, so that there are only so many: `suppressed: hard bounce 550` is
    `suppressed`. What is missing is no such thing: that a trigger says."""
    kind = reason if reason.startswith("missing: ") else reason.partition(":")[0]
    return kind[:_LONGEST_REASON] or "no reason"


def _key(trigger: str, day: date) -> str:
    return f"report#{trigger}#{day.isoformat()}#"


def _midnight(day: date) -> int:
    return (day.toordinal() + 1 - date(1970, 1, 1).toordinal()) * 86_400


def _column(firings: Iterable[Firing]) -> AttributeValueTypeDef:
    texts = (json.dumps([iso(one.at), one.decided, one.reason[:200], one.message_id, one.visit_id]) for one in firings)
    return {"L": [{"S": text} for text in texts]}


def _day(trigger: str, day: date, rows: Sequence[Row]) -> Day:
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update({name: int(value["N"]) for name, value in row.items() if name not in _OWN})
    latest = max((int(row["latest_ms"]["N"]) for row in rows if "latest_ms" in row), default=0)
    return Day(trigger, day, dict(sorted(counts.items())), latest, _newest(rows))


def _newest(rows: Iterable[Row]) -> tuple[Firing, ...]:
    texts = [one["S"] for row in rows if "recent" in row for one in row["recent"]["L"]]
    found = (json.loads(text) for text in texts)
    firings = [Firing(from_iso(at), decided, *rest) for at, decided, *rest in found]
    return tuple(sorted(firings, key=lambda one: (one.at, one.message_id), reverse=True))
