from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from shared.person import Cause, Suppression
from shared.profiles import Profiles
from tests.aws import Aws


@pytest.fixture
def profiles(aws: Aws) -> Profiles:
    return Profiles(aws.dynamodb, aws.table("profiles"))


def test_a_person_is_found_by_each_identifier(aws: Aws, profiles: Profiles) -> None:
    ada = profiles.upsert([("user_id", "7"), ("email", "Ada@Example.com")], {"email": "Ada@Example.com"}, aws.clock())
    assert profiles.find([("user_id", "7")]) == [ada]
    assert profiles.find([("email", " ada@example.com")]) == [ada]
    assert profiles.find([("email", "else@example.com")]) == []


def test_the_newest_value_wins_whatever_the_order_of_arrival(aws: Aws, profiles: Profiles) -> None:
    now = aws.clock()
    who = profiles.upsert([("user_id", "7")], {"city": "new"}, now)
    profiles.upsert([("user_id", "7")], {"city": "old", "name": "Ada"}, now - timedelta(days=1))
    profile = profiles.get(who)
    assert profile is not None
    assert profile.attributes == {"city": "new", "name": "Ada"}


def test_the_same_facts_again_change_nothing(aws: Aws, profiles: Profiles) -> None:
    for _ in range(3):
        who = profiles.upsert([("user_id", "7")], {"city": "x"}, aws.clock())
    profile = profiles.get(who)
    assert profile is not None
    assert profile.version == 1


def test_two_people_of_one_device_are_both_named(aws: Aws, profiles: Profiles) -> None:
    ada = profiles.upsert([("user_id", "ada")], {"email": "a@example.com"}, aws.clock())
    bob = profiles.upsert([("user_id", "bob")], {"email": "b@example.com"}, aws.clock())
    assert profiles.find([("user_id", "bob"), ("user_id", "ada")]) == [bob, ada]


def test_an_identifier_stays_with_whom_it_belongs_to(aws: Aws, profiles: Profiles) -> None:
    ada = profiles.upsert([("user_id", "ada"), ("email", "shared@example.com")], {}, aws.clock())
    profiles.upsert([("user_id", "bob")], {}, aws.clock())
    profiles.upsert([("user_id", "bob"), ("email", "shared@example.com")], {}, aws.clock())
    assert profiles.find([("email", "shared@example.com")]) == [ada]


def because(cause: Cause, reason: str, at: datetime, channel: str = "email") -> Suppression:
    return Suppression(channel, cause, reason, at, "a test")


def test_the_first_of_several_reasons_is_shown_and_the_newest_of_each_is_kept(aws: Aws, profiles: Profiles) -> None:
    who, now = profiles.upsert([("user_id", "7")], {}, aws.clock()), aws.clock()
    profiles.suppress(who, because("bounced", "hard bounce 550", now))
    profiles.suppress(who, because("complained", "complained", now + timedelta(hours=1)))
    profiles.suppress(who, because("complained", "complained again", now + timedelta(hours=2)))
    profiles.suppress(who, because("complained", "complained late", now))
    profiles.suppress("p_nobody", because("bounced", "hard bounce", now))
    profile = profiles.get(who)
    assert profile is not None
    assert profile.suppressed == {"email": "hard bounce 550"}
    assert {one.reason for one in profile.suppressions} == {"hard bounce 550", "complained again"}
    assert profiles.get("p_nobody") is None


def test_no_address_is_in_a_key_or_a_repr(aws: Aws, profiles: Profiles) -> None:
    who = profiles.upsert([("email", "ada@example.com")], {"email": "ada@example.com"}, aws.clock())
    keys = [item["pk"]["S"] for item in aws.dynamodb.scan(TableName=aws.table("profiles"))["Items"]]
    assert not any("ada" in key for key in keys)
    assert "ada" not in repr(profiles.get(who))


def test_a_contact_is_forgotten_unless_another_was_remembered(aws: Aws, profiles: Profiles) -> None:
    who = profiles.upsert([("user_id", "7")], {}, aws.clock())
    profiles.remember_contact(who, "crm", "c1")
    profiles.forget_contact(who, "crm", "c0")
    profile = profiles.get(who)
    assert profile is not None
    assert profile.crm_ids == {"crm": "c1"}
    profiles.forget_contact(who, "crm", "c1")
    profile = profiles.get(who)
    assert profile is not None
    assert profile.crm_ids == {}


def expiries(aws: Aws) -> dict[str, int | None]:
    """When each row may be deleted: of profiles, and of identifiers by their namespace."""
    rows = aws.dynamodb.scan(TableName=aws.table("profiles"))["Items"]
    return {
        "#".join(row["pk"]["S"].split("#")[:-1]): int(row["expires_at"]["N"]) if "expires_at" in row else None for row in rows
    }


def test_a_person_is_kept_for_the_retention_after_the_last_that_was_learnt(aws: Aws) -> None:
    profiles = Profiles(aws.dynamodb, aws.table("profiles"), timedelta(days=10))
    for _ in range(3):
        profiles.upsert([("user_id", "7"), ("email", "a@example.com")], {"email": "a@example.com"}, aws.clock())
        until = int((aws.clock() + timedelta(days=10)).timestamp())
        assert set(expiries(aws).values()) == {until}
        aws.clock.forward(6 * 86400)


def test_an_opt_out_and_the_address_it_is_for_are_kept_for_good(aws: Aws) -> None:
    profiles = Profiles(aws.dynamodb, aws.table("profiles"), timedelta(days=10))
    known = [("user_id", "7"), ("email", "a@example.com")]
    who = profiles.upsert(known, {"email": "a@example.com"}, aws.clock())
    profiles.suppress(who, because("unsubscribed", "unsubscribed", aws.clock()))
    aws.clock.forward(6 * 86400)
    profiles.upsert(known, {"email": "a@example.com"}, aws.clock())
    kept = expiries(aws)
    assert kept["profile"] is None
    assert kept["identifier#email"] is None
    assert kept["identifier#user_id"] is not None
