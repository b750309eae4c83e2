from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from shared.visits import SHARDS, Visit, VisitEvent, Visits, in_order, shard_of
from tests.aws import Aws

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def event(name: str, second: float, **changes: object) -> VisitEvent:
    at = NOON + timedelta(seconds=second)
    values = {"id": f"{name}@{second:g}", "name": name, "at": at, "received_at": at, "matched_at": at}
    return VisitEvent.model_validate(values | changes)


def visit(**changes: object) -> Visit:
    return Visit.model_validate({"id": "shop#a#1", "tracker": "shop", "active": [[NOON, NOON]]} | changes)


@pytest.fixture
def visits(aws: Aws) -> Visits:
    return Visits(aws.dynamodb, aws.table("visits"), timedelta(days=30))


def test_a_row_comes_back_as_it_was_written(visits: Visits) -> None:
    whole = visit(
        events=(event("Product Added", 1, properties={"name": "Lampe ⚡", "price": 1.5}),),
        identifiers=(("email", "ada@example.com"),),
        consumed={"cart": NOON},
        due_at=NOON + timedelta(seconds=1.234),
    )
    written = visits.write(whole)
    assert written == whole.model_copy(update={"version": 1})
    assert visits.read("shop#a#1") == written
    assert visits.read("shop#a#2") is None


def test_a_row_of_an_older_release_counts_as_one_visit(aws: Aws, visits: Visits) -> None:
    last, first = NOON + timedelta(hours=3), event("Product Added", 60)
    old = {
        "id": "shop#a#1",
        "tracker": "shop",
        "last_at": last.isoformat(),
        "events": [first.model_dump(mode="json")],
        "consumed": {"cart": NOON.isoformat()},
        "due_at": last.isoformat(),
    }
    columns = {"pk": {"S": "shop#a#1"}, "visit": {"S": json.dumps(old)}, "version": {"N": "7"}}
    aws.dynamodb.put_item(TableName=aws.table("visits"), Item=columns)
    read = visits.read("shop#a#1")
    assert read is not None
    assert (read.active, read.last_at, read.attentive_until, read.version) == (((first.at, last),), last, last, 7)
    assert visits.write(read.model_copy(update={"due_at": None})) is not None
    again = visits.read("shop#a#1")
    assert again is not None
    assert (again.active, again.events, again.due_at) == (read.active, (first,), None)


def test_many_are_written_together_each_for_itself(visits: Visits) -> None:
    overtaken = visits.write(visit(id="shop#a#0"))
    assert overtaken is not None
    written = visits.write_all([visit(id=f"shop#a#{number}", due_at=NOON) for number in range(60)])
    assert [one is None for one in written] == [True, *[False] * 59]
    again = [one.model_copy(update={"due_at": None}) for one in written if isinstance(one, Visit)]
    assert all(isinstance(one, Visit) and one.version == 2 for one in visits.write_all(again))
    assert visits.read("shop#a#59") == again[-1].model_copy(update={"version": 2})


def test_only_one_of_two_who_read_the_same_row_writes_it(visits: Visits) -> None:
    first = visits.write(visit())
    assert first is not None
    assert visits.write(visit()) is None
    assert visits.write(first.model_copy(update={"consumed": {"cart": NOON}})) is not None
    assert visits.write(first) is None


def test_those_overdue_longest_come_first_up_to_the_limit(visits: Visits) -> None:
    same_shard = [f"v{number}" for number in range(200) if shard_of(f"v{number}") == shard_of("v0")][:4]
    for name, minutes in zip(same_shard, (5, -60 * 24 * 40, 1, 9), strict=True):
        visits.write(visit(id=name, due_at=NOON + timedelta(minutes=minutes)))
    found = list(visits.due(shard_of("v0"), NOON + timedelta(minutes=5), 10))
    assert found == [
        (same_shard[1], NOON - timedelta(days=40)),
        (same_shard[2], NOON + timedelta(minutes=1)),
        (same_shard[0], NOON + timedelta(minutes=5)),
    ]
    assert [name for name, _ in visits.due(shard_of("v0"), NOON + timedelta(minutes=5), 2)] == same_shard[1:3]


def test_what_is_not_due_is_in_no_shard(visits: Visits) -> None:
    due = visits.write(visit(due_at=NOON))
    assert due is not None
    visits.write(due.model_copy(update={"due_at": None}))
    assert not any(list(visits.due(shard, NOON + timedelta(days=1), 10)) for shard in SHARDS)


def test_a_row_outlives_its_deadline(aws: Aws, visits: Visits) -> None:
    visits.write(visit(due_at=NOON + timedelta(days=30)))
    (row,) = aws.dynamodb.scan(TableName=aws.table("visits"))["Items"]
    assert int(row["expires_at"]["N"]) == int((NOON + timedelta(days=60)).timestamp())


def test_a_row_is_kept_as_long_as_somebody_needs_it(aws: Aws, visits: Visits) -> None:
    visits.write(visit(kept_until=NOON + timedelta(days=400)))
    visits.write(visit(id="*#u#ada", active=(), events=(event("Order Completed", 0),)))
    rows = {row["pk"]["S"]: int(row["expires_at"]["N"]) for row in aws.dynamodb.scan(TableName=aws.table("visits"))["Items"]}
    assert rows == {
        "shop#a#1": (NOON + timedelta(days=400)).timestamp(),
        "*#u#ada": (NOON + timedelta(days=30)).timestamp(),
    }


def test_the_shards_share_the_visits_evenly() -> None:
    filled = [shard_of(f"shop#a#{number}") for number in range(1600)]
    assert all(50 < filled.count(shard) < 150 for shard in SHARDS)


def test_order_is_by_time_then_id_whatever_the_order_of_arrival() -> None:
    events = [event("B", 1), event("A", 1), event("C", 0)]
    assert [one.name for one in in_order(events)] == [one.name for one in in_order(events[::-1])] == ["C", "A", "B"]


def test_nothing_personal_is_in_a_repr() -> None:
    shown = repr(visit(identifiers=(("email", "ada@example.com"),), events=(event("A", 1, properties={"name": "Ada"}),)))
    assert "ada@example.com" not in shown
    assert "Ada" not in shown
