"""People in memory are found and told apart as those in the table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cli.memory import MemoryProfiles, MemoryVisits
from shared.person import Identifier
from shared.profiles import Profiles
from shared.visits import Visit
from tests.aws import Aws
from tests.people import found

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
STEPS: list[tuple[list[Identifier], dict[str, str], int, bool]] = [
    ([("user_id", "u1")], {"first_name": "Ada", "email": "ada@example.com"}, 0, False),
    ([("email", "Ada@example.com")], {"tier": "gold"}, 1, False),
    ([("user_id", "u1"), ("email", "ada@example.com")], {"tier": "silver"}, 2, False),
    ([("user_id", "u1")], {"first_name": "Late", "city": "Ulm"}, -1, False),
    ([("email_sha256", "b" * 64)], {"first_name": "Bo"}, 3, False),
    ([("email_sha256", "b" * 64), ("user_id", "u1")], {}, 4, True),
    ([("user_id", "u3"), ("loyalty_id", "l")], {"tier": "bronze"}, 5, False),
    ([("user_id", "u4"), ("loyalty_id", "l")], {"tier": "silver"}, 6, False),
    ([("loyalty_id", "l")], {"tier": "gold"}, 7, False),
    ([("user_id", "u1"), ("loyalty_id", "l")], {"tier": "bronze"}, 8, True),
]


def test_the_same_is_learnt(aws: Aws) -> None:
    stored, memory = Profiles(aws.dynamodb, aws.table("profiles")), MemoryProfiles()
    asked = list(dict.fromkeys(one for identifiers, *_ in STEPS for one in identifiers))
    for identifiers, attributes, minute, alias in STEPS:
        for profiles in (stored, memory):
            profiles.upsert(identifiers, attributes, NOON + timedelta(minutes=minute), alias=alias, watched={"tier"})
        groups = [
            [[*profiles.owners([asked]).values()].index(one) for one in profiles.owners([asked]).values()]
            for profiles in (stored, memory)
        ]
        assert groups[0] == groups[1]
        people = [
            [(one.attributes, one.changes) for one in profiles.get_all(found(profiles, asked)).values()]
            for profiles in (stored, memory)
        ]
        assert sorted(people[0], key=str) == sorted(people[1], key=str)


def test_a_row_is_only_written_as_it_was_read() -> None:
    visits = MemoryVisits()
    first = visits.write(Visit(id="v", tracker="shop"))
    assert first is not None
    assert visits.write(Visit(id="v", tracker="shop")) is None
    assert visits.write(first) is not None


def test_rows_fall_due_in_their_order_and_each_once() -> None:
    visits = MemoryVisits()
    one = visits.write(Visit(id="one", tracker="shop", due_at=NOON))
    assert one is not None
    visits.write(one.model_copy(update={"due_at": NOON + timedelta(hours=2)}))
    visits.write(Visit(id="two", tracker="shop", due_at=NOON + timedelta(hours=1)))
    assert visits.next_due() == NOON + timedelta(hours=1)
    assert visits.take_due(NOON + timedelta(hours=3)) == ["two", "one"]
    assert visits.next_due() is None
