from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from pydantic import JsonValue

from shared.person import (
    CAUSES,
    Cause,
    Profile,
    Suppression,
    address_hash,
    as_snapshot,
    from_snapshot,
    identifier_of,
)
from shared.profiles import Profiles
from tests.aws import Aws
from tests.crash import Executioner, Killed
from tests.people import found


@pytest.fixture
def profiles(aws: Aws) -> Profiles:
    return Profiles(aws.dynamodb, aws.table("profiles"))


def test_a_person_is_found_by_each_identifier(aws: Aws, profiles: Profiles) -> None:
    ada = profiles.upsert([("user_id", "7"), ("email", "Ada@Example.com")], {"email": "Ada@Example.com"}, aws.clock())
    assert found(profiles, [("user_id", "7")]) == [ada]
    assert found(profiles, [("email", " ada@example.com")]) == [ada]
    assert found(profiles, [("email", "else@example.com")]) == []


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
    assert found(profiles, [("user_id", "bob"), ("user_id", "ada")]) == [bob, ada]


def test_an_identifier_stays_with_whom_it_belongs_to(aws: Aws, profiles: Profiles) -> None:
    ada = profiles.upsert([("user_id", "ada"), ("email", "shared@example.com")], {}, aws.clock())
    profiles.upsert([("user_id", "bob")], {}, aws.clock())
    profiles.upsert([("user_id", "bob"), ("email", "shared@example.com")], {}, aws.clock())
    assert found(profiles, [("email", "shared@example.com")]) == [ada]


def because(cause: Cause, reason: str, at: datetime, channel: str = "email") -> Suppression:
    return Suppression(channel, cause, reason, at, "a test")


def test_the_first_of_several_reasons_is_shown_and_the_newest_of_each_is_kept(aws: Aws, profiles: Profiles) -> None:
    who, now = profiles.upsert([("user_id", "7")], {"email": "a@example.com"}, aws.clock()), aws.clock()
    profiles.suppress(who, because("bounced", "hard bounce 550", now))
    profiles.suppress(who, because("complained", "complained", now + timedelta(hours=1)))
    profiles.suppress(who, because("complained", "complained again", now + timedelta(hours=2)))
    profiles.suppress(who, because("complained", "complained late", now))
    profiles.suppress("p_nobody", because("bounced", "hard bounce", now))
    profile = profiles.get(who)
    assert profile is not None
    assert profile.suppressed == {"email": "hard bounce 550"}
    assert {(one.reason, bool(one.address)) for one in profile.suppressions} == {
        ("hard bounce 550", True),
        ("complained again", False),
        ("complained again", True),
    }
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


EMAIL = "ada@example.com"


def known(profiles: Profiles, user: str, at: datetime, **attributes: JsonValue) -> Profile:
    """The person with this user id, of whom this is learnt."""
    found = profiles.get(profiles.upsert([("user_id", user)], attributes, at))
    assert found is not None
    return found


def reread(profiles: Profiles, person: Profile) -> Profile:
    found = profiles.get(person.id)
    assert found is not None
    return found


def test_identifiers_are_kept_as_learnt_and_the_newest_stays(aws: Aws, profiles: Profiles) -> None:
    now = aws.clock()
    profiles.upsert([("email", EMAIL), ("user_id", "7")], {}, now)
    profiles.upsert([("email", EMAIL), ("user_id", "6"), ("crm_id", "c")], {}, now - timedelta(days=1))
    [who] = found(profiles, [("email", EMAIL)])
    profile = profiles.get(who)
    assert profile is not None
    assert profile.identifiers == {"email": EMAIL, "user_id": "7", "crm_id": "c"}


def test_an_identifier_of_somebody_else_is_not_taken_for_theirs(aws: Aws, profiles: Profiles) -> None:
    profiles.upsert([("user_id", "ada"), ("email", EMAIL)], {}, aws.clock())
    bob = known(profiles, "bob", aws.clock())
    profiles.upsert([("user_id", "bob"), ("email", EMAIL)], {}, aws.clock())
    assert reread(profiles, bob).identifiers == {"user_id": "bob"}


@pytest.mark.parametrize(
    ("learnt", "phone"),
    [
        ({"phone": "+49 (171) 123-4567"}, "+491711234567"),
        ({"phone": "0171 1234567", "country": "DE"}, "+491711234567"),
        ({"phone": "0171 1234567"}, ""),
        ({"phone": "0171 1234567", "country": "nowhere"}, ""),
        ({"phone": "+49 17"}, ""),
        ({"phone": 491711234567}, ""),
        ({}, ""),
    ],
)
def test_a_phone_number_is_e164_or_nothing(aws: Aws, profiles: Profiles, learnt: dict[str, JsonValue], phone: str) -> None:
    assert known(profiles, "7", aws.clock(), **learnt).phone == phone


def test_a_phone_number_is_understood_once_its_country_is_known(aws: Aws, profiles: Profiles) -> None:
    known(profiles, "7", aws.clock(), phone="0171 1234567")
    assert known(profiles, "7", aws.clock(), country="DE").phone == "+491711234567"


def test_no_identifier_is_in_a_key(aws: Aws, profiles: Profiles) -> None:
    profiles.upsert([("user_id", "ada77")], {"email": EMAIL, "phone": "+491711234567"}, aws.clock())
    keys = [item["pk"]["S"] for item in aws.dynamodb.scan(TableName=aws.table("profiles"))["Items"]]
    assert len(keys) == 4
    assert not any("ada" in key or "1711234567" in key for key in keys)


def test_an_opt_out_survives_the_person(aws: Aws, profiles: Profiles) -> None:
    ada = known(profiles, "7", aws.clock(), email=EMAIL)
    profiles.suppress(ada.id, because("unsubscribed", "unsubscribed", aws.clock()))
    aws.dynamodb.delete_item(TableName=aws.table("profiles"), Key={"pk": {"S": f"profile#{ada.id}"}})
    assert known(profiles, "7", aws.clock(), email="other@example.com").suppressed == {}
    assert known(profiles, "7", aws.clock() + timedelta(seconds=1), email=" ADA@example.com ").suppressed == {
        "email": "unsubscribed"
    }


def test_a_dead_address_is_dead_for_all_who_have_it_and_only_while_they_do(aws: Aws, profiles: Profiles) -> None:
    ada, bob = known(profiles, "ada", aws.clock(), email=EMAIL), known(profiles, "bob", aws.clock(), email=EMAIL)
    profiles.suppress(ada.id, because("bounced", "hard bounce", aws.clock()))
    eve = known(profiles, "eve", aws.clock(), email=EMAIL)
    assert [reread(profiles, one).suppressed for one in (ada, bob, eve)] == [{"email": "hard bounce"}] * 3
    later = aws.clock() + timedelta(hours=1)
    assert known(profiles, "bob", later, email="bob@example.com").suppressed == {}


def test_who_unsubscribes_does_so_for_every_address_they_ever_have(aws: Aws, profiles: Profiles) -> None:
    ada = known(profiles, "ada", aws.clock(), email=EMAIL)
    profiles.suppress(ada.id, because("unsubscribed", "unsubscribed", aws.clock()))
    moved = known(profiles, "ada", aws.clock() + timedelta(hours=1), email="new@example.com")
    assert moved.suppressed == {"email": "unsubscribed"}
    assert known(profiles, "bob", aws.clock(), email="new@example.com").suppressed == {}


def test_a_bounce_of_an_address_that_the_person_no_longer_has_is_not_theirs(aws: Aws, profiles: Profiles) -> None:
    ada = known(profiles, "ada", aws.clock(), email="new@example.com")
    bounce = because("bounced", "hard bounce", aws.clock())
    profiles.suppress(ada.id, replace(bounce, address=address_hash("email", EMAIL)))
    assert reread(profiles, ada).suppressed == {}
    assert [one.reason for one in profiles.suppressions_of("email", EMAIL)] == ["hard bounce"]
    assert profiles.suppressions_of("email", "new@example.com") == ()


def test_a_channel_of_its_own(aws: Aws, profiles: Profiles) -> None:
    ada = known(profiles, "ada", aws.clock(), email=EMAIL, phone="+491711234567")
    profiles.suppress(ada.id, because("unsubscribed", "STOP", aws.clock(), "sms"))
    assert reread(profiles, ada).suppressed == {"sms": "STOP"}
    assert known(profiles, "bob", aws.clock(), phone="+49 171 1234567").suppressed == {"sms": "STOP"}


def test_an_address_is_stopped_by_hand_before_anybody_has_it(aws: Aws, profiles: Profiles) -> None:
    profiles.suppress_address(" Ada@Example.com", because("manual", "asked by phone", aws.clock()))
    assert known(profiles, "ada", aws.clock(), email=EMAIL).suppressed == {"email": "asked by phone"}
    assert found(profiles, [("email", EMAIL)]) == []
    profiles.upsert([("user_id", "ada"), ("email", EMAIL)], {}, aws.clock())
    assert found(profiles, [("email", EMAIL)]) == found(profiles, [("user_id", "ada")])
    assert expiries(aws)["identifier#email"] is None


def test_an_opt_in_lifts_an_older_unsubscription_and_nothing_else(aws: Aws, profiles: Profiles) -> None:
    now = aws.clock()
    ada, bob = known(profiles, "ada", now, email=EMAIL), known(profiles, "bob", now, email=EMAIL)
    profiles.suppress(ada.id, because("unsubscribed", "unsubscribed", now))
    profiles.allow("email", EMAIL, now - timedelta(hours=1), "a form")
    assert reread(profiles, ada).suppressed == {"email": "unsubscribed"}
    profiles.allow("email", EMAIL, now + timedelta(hours=1), "a form")
    assert [reread(profiles, one).suppressed for one in (ada, bob)] == [{}, {}]
    profiles.suppress(ada.id, because("unsubscribed", "told late", now + timedelta(minutes=59)))
    assert reread(profiles, ada).suppressed == {}
    profiles.suppress(ada.id, because("unsubscribed", "again", now + timedelta(hours=2)))
    profiles.suppress(ada.id, because("complained", "complained", now + timedelta(hours=3)))
    profiles.allow("email", EMAIL, now + timedelta(hours=4), "a form")
    assert reread(profiles, ada).suppressed == {"email": "complained"}


def test_by_hand_any_cause_is_lifted(aws: Aws, profiles: Profiles) -> None:
    now = aws.clock()
    ada = known(profiles, "ada", now, email=EMAIL)
    for cause in CAUSES:
        profiles.suppress(ada.id, because(cause, cause, now))
    profiles.allow("email", EMAIL, now + timedelta(hours=1), "somebody", CAUSES)
    assert reread(profiles, ada).suppressions == ()
    assert profiles.suppressions_of("email", EMAIL) == ()


def test_after_an_opt_in_a_person_is_forgotten_in_time_again(aws: Aws, profiles: Profiles) -> None:
    now = aws.clock()
    ada = known(profiles, "ada", now, email=EMAIL)
    profiles.suppress(ada.id, because("unsubscribed", "unsubscribed", now))
    profiles.allow("email", EMAIL, now + timedelta(hours=1), "a form")
    known(profiles, "ada", now + timedelta(hours=2), email=EMAIL)
    assert None not in expiries(aws).values()


@pytest.mark.parametrize("identified", [False, True])
def test_to_stop_an_address_and_to_give_it_to_a_person_at_once(aws: Aws, profiles: Profiles, identified: bool) -> None:
    """Before each call of the one comes all of the other."""
    for moment in range(40):
        email, calls = f"{moment}@example.com", iter(range(40))

        def other(*, email: str = email, calls: Iterator[int] = calls, moment: int = moment, **_: object) -> None:
            if next(calls) == moment:
                profiles.suppress_address(email, because("manual", "stop", aws.clock()))

        aws.dynamodb.meta.events.register("before-call.*", other)
        identifiers = [("user_id", f"{moment}"), *([("email", email)] if identified else [])]
        person = profiles.get(profiles.upsert(identifiers, {"email": email}, aws.clock()))
        aws.dynamodb.meta.events.unregister("before-call.*", other)
        if next(calls) <= moment:
            break
        assert person is not None
        assert reread(profiles, person).suppressed == {"email": "stop"}, moment
    assert moment > 4


def test_killed_at_any_moment_and_repeated_an_opt_out_is_everywhere(aws: Aws) -> None:
    for moment in range(100):
        profiles, email = Profiles(aws.dynamodb, aws.table("profiles")), f"{moment}@example.com"
        ada = known(profiles, f"ada {moment}", aws.clock(), email=email)
        bob = known(profiles, f"bob {moment}", aws.clock(), email=email)
        executioner = Executioner(moment)
        executioner.watch(aws.dynamodb)
        with contextlib.suppress(Killed):
            profiles.suppress(ada.id, because("complained", "complained", aws.clock()))
        executioner.unwatch(aws.dynamodb)
        profiles.suppress(ada.id, because("complained", "complained", aws.clock()))
        assert [reread(profiles, one).suppressed for one in (ada, bob)] == [{"email": "complained"}] * 2, moment
        if executioner.calls <= moment:
            break
    assert 8 < moment < 99


def test_a_snapshot_is_the_person_as_sending_needs_them(aws: Aws, profiles: Profiles) -> None:
    ada = known(profiles, "ada", aws.clock(), email=EMAIL, phone="+491711234567")
    profiles.suppress(ada.id, because("bounced", "hard bounce", aws.clock()))
    ada = reread(profiles, ada)
    again = from_snapshot(json.loads(json.dumps(as_snapshot(ada))))
    assert again == replace(ada, changed={}, identified={}, crm_ids={})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("email", "Ada@Example.com"),
        ("email_sha256", hashlib.sha256(b"ada@example.com").hexdigest()),
        ("phone", "+491711234567"),
        ("user_id", "7"),
        ("loyalty", "12"),
        ("nothing", ""),
        ("vip", ""),
    ],
)
def test_an_esp_knows_the_person_by_any_identifier_or_attribute(aws: Aws, profiles: Profiles, kind: str, value: str) -> None:
    attributes: dict[str, JsonValue] = {"email": "Ada@Example.com", "phone": "+491711234567", "loyalty": 12, "vip": True}
    assert identifier_of(known(profiles, "7", aws.clock(), **attributes), kind) == value


def test_who_is_known_by_the_hash_of_a_stopped_address_does_not_have_it_forgotten(aws: Aws, profiles: Profiles) -> None:
    profiles.suppress_address(EMAIL, because("manual", "asked by phone", aws.clock()))
    who = profiles.upsert([("email_sha256", address_hash("email", EMAIL))], {"city": "Bonn"}, aws.clock())
    assert expiries(aws)["identifier#email"] is None
    assert found(profiles, [("email", EMAIL)]) == [who]
    profiles.upsert([("email", EMAIL)], {"email": EMAIL}, aws.clock())
    person = profiles.get(who)
    assert person is not None
    assert person.suppressed == {"email": "asked by phone"}


def test_of_two_names_of_a_kind_the_first_is_theirs_and_both_find_them(aws: Aws, profiles: Profiles) -> None:
    who = profiles.upsert([("user_id", "new"), ("user_id", "old")], {}, aws.clock())
    person = profiles.get(who)
    assert person is not None
    assert person.identifiers == {"user_id": "new"}
    assert found(profiles, [("user_id", "old"), ("user_id", "new")]) == [who]
