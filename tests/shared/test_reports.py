from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import pytest
from botocore.exceptions import ClientError

from shared import aws as our_aws
from shared.reports import SHARDS, Counts, Day, Decision, Firing, Reports, kind_of
from shared.visits import Fired
from tests.aws import Aws

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = AT.date()
KEPT = 10


def message(number: int = 0, trigger: str = "cart", at: datetime = AT) -> Fired:
    return Fired(
        message_id=f"m_{number}",
        trigger=trigger,
        visit_id=f"shop#a#{number}",
        profile_id=None,
        campaign="c",
        delivery="d",
        integration="i",
        decided_at=at + timedelta(seconds=number),
        begins_at=at,
        valid_until=at,
    )


def sent(number: int = 0, lateness: float = 0.0, trigger: str = "cart", at: datetime = AT) -> Decision:
    return Decision(message(number, trigger, at), "send", lateness=lateness)


def counted(*decisions: Decision) -> Counts:
    counts = Counts()
    for decision in decisions:
        counts.decided(decision)
    return counts


def reports(aws: Aws, shard: int = 0) -> Reports:
    return Reports(our_aws.client("dynamodb"), aws.table("messages"), 86_400, shard)


def read(aws: Aws, trigger: str = "cart", day: date = DAY) -> Day:
    [found] = reports(aws).read([trigger], [day])
    return found


def writes() -> int:
    return our_aws.take_calls().get("dynamodb:UpdateItem", 0)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("no longer valid", "no longer valid"),
        ("suppressed: hard bounce 550 5.1.1", "suppressed"),
        ("frequency cap of the channel: 3 in 24 h", "frequency cap of the channel"),
        ("missing: profile.first_name", "missing: profile.first_name"),
        ("x" * 500, "x" * 60),
        ("", "no reason"),
    ],
)
def test_reasons_are_counted_by_their_kind(reason: str, kind: str) -> None:
    assert kind_of(reason) == kind


def test_what_was_decided_and_what_became_of_it(aws: Aws) -> None:
    counts = counted(
        sent(1, 0.4),
        sent(2, 7.5),
        Decision(message(3), "skip", "order placed", cancelled=True),
        Decision(message(4), "skip", "several profiles: p_1, p_2"),
    )
    counts.ended(message(1), "sent")
    counts.ended(message(2), "skipped", "suppressed: unsubscribed")
    counts.ended(message(5), "parked")
    reports(aws).add(counts)
    found = read(aws)
    assert found.counts == {
        "fired": 2,
        "late": 1,
        "late_ms": 7900,
        "cancelled": 1,
        "skipped:several profiles": 1,
        "sent": 1,
        "unsent:suppressed": 1,
        "parked": 1,
    }
    assert (found.matched, found.latest_ms) == (4, 7500)
    assert found.recent[0] == Firing(AT + timedelta(seconds=4), "skip", "several profiles: p_1, p_2", "m_4", "shop#a#4")


def test_a_batch_costs_one_write_for_each_trigger_and_day(aws: Aws) -> None:
    counts = counted(*(sent(number) for number in range(100)))
    for number in range(100):
        counts.ended(message(number), "sent")
    our_aws.take_calls()
    reports(aws).add(counts)
    assert writes() == 1
    reports(aws).add(counted(sent(trigger="a"), sent(trigger="b"), sent(at=AT + timedelta(days=1))))
    assert writes() == 3
    assert read(aws).counts == {"fired": 100, "sent": 100}
    assert read(aws, day=DAY + timedelta(days=1)).counts == {"fired": 1}


def test_processes_add_up(aws: Aws) -> None:
    for shard in range(SHARDS):
        reports(aws, shard).add(counted(sent(shard, lateness=6 + shard)))
        reports(aws, shard).add(counted(sent(shard + 100)))
    found = read(aws)
    assert (found.counts["fired"], found.counts["late"], found.latest_ms) == (16, 8, 13_000)
    assert [one.message_id for one in found.recent[:2]] == ["m_107", "m_106"]
    assert len(found.recent) == 16


def test_the_newest_are_kept_however_they_come(aws: Aws) -> None:
    our_aws.take_calls()
    for number in range(60):
        reports(aws).add(counted(sent(number)))
    assert writes() == 60 + 4
    found = read(aws).recent
    assert KEPT <= len(found) <= 2 * KEPT
    assert [one.message_id for one in found[:KEPT]] == [f"m_{number}" for number in range(59, 59 - KEPT, -1)]
    reports(aws).add(counted(*(sent(number) for number in range(100, 150))))
    assert [one.message_id for one in read(aws).recent] == [f"m_{number}" for number in range(149, 149 - KEPT, -1)]


def test_the_latest_is_kept(aws: Aws) -> None:
    for lateness in (3.0, 9.0, 8.0):
        reports(aws).add(counted(sent(lateness=lateness)))
    assert (read(aws).latest_ms, read(aws).counts["late_ms"]) == (9000, 20_000)


def test_who_is_early_is_not_late(aws: Aws) -> None:
    reports(aws).add(counted(sent(lateness=-2.0)))
    assert read(aws).counts == {"fired": 1}


def test_rows_go_with_the_messages_that_they_are_about(aws: Aws) -> None:
    reports(aws).add(counted(sent()))
    row = aws.dynamodb.get_item(TableName=aws.table("messages"), Key={"pk": {"S": "report#cart#2026-11-21#0"}})["Item"]
    assert row["expires_at"]["N"] == str(int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()))


def test_of_what_nothing_is_known_there_is_an_empty_day(aws: Aws) -> None:
    before = DAY - timedelta(days=1)
    assert reports(aws).read(["cart", "other"], [DAY, before]) == [
        Day(trigger, day, {}, 0, ()) for trigger in ("cart", "other") for day in (DAY, before)
    ]


@pytest.mark.parametrize("status", ["sent", "skipped", "parked"])
def test_what_became_of_it_alone_leaves_the_list_as_it_is(aws: Aws, status: Literal["sent", "skipped", "parked"]) -> None:
    reports(aws).add(counted(sent(1)))
    counts = Counts()
    counts.ended(message(1), status, "no longer valid")
    reports(aws).add(counts)
    assert [one.message_id for one in read(aws).recent] == ["m_1"]


def test_what_cannot_be_counted_fails_nothing_and_is_logged(aws: Aws, caplog: pytest.LogCaptureFixture) -> None:
    nowhere = Reports(aws.dynamodb, "no-such-table", 86_400, 0)
    with pytest.raises(ClientError):
        nowhere.read(["cart"], [DAY])
    nowhere.add(counted(sent(), replace(sent(), of=message(1, "other"))))
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == ["not counted"] * 2
