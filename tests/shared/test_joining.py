from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import boto3
import pytest

from shared.errors import Transient
from shared.person import Identifier, Profile, Suppression, address_hash
from shared.profiles import Profiles
from shared.sends import Slot, write_sends
from tests.aws import Aws
from tests.crash import Executioner, Killed
from tests.people import found

OLD: Identifier = ("user_id", "guest-7")
NEW: Identifier = ("user_id", "ada")


@pytest.fixture
def profiles(aws: Aws) -> Profiles:
    return Profiles(aws.dynamodb, aws.table("profiles"))


def suppression(cause: Any, at: Any, *, channel: str = "email", address: str = "") -> Suppression:
    return Suppression(channel, cause, cause, at, "a test", address)


def two(profiles: Profiles, aws: Aws, suffix: str = "") -> tuple[str, str]:
    """The guest, and the person with an account who they are, each with something that the other lacks."""
    now = aws.clock()
    guest = profiles.upsert(
        [(OLD[0], OLD[1] + suffix), ("email", f"guest{suffix}@example.com")],
        {"email": f"guest{suffix}@example.com", "city": "Bonn", "plan": "free"},
        now,
    )
    phone = f"+491711234567{suffix.removeprefix('-')}"
    member = profiles.upsert(
        [(NEW[0], NEW[1] + suffix), ("phone", phone)],
        {"city": "Köln", "phone": phone, "first_name": "Ada"},
        now + timedelta(hours=1),
    )
    assert guest != member
    return guest, member


def said_to_be_one(profiles: Profiles, aws: Aws, suffix: str = "") -> str:
    later = aws.clock() + timedelta(hours=2)
    return profiles.upsert([(NEW[0], NEW[1] + suffix), (OLD[0], OLD[1] + suffix)], {}, later, alias=True)


def known(profiles: Profiles, profile: str) -> Profile:
    found = profiles.get(profile)
    assert found is not None
    return found


def test_an_alias_makes_one_person_of_two(aws: Aws, profiles: Profiles) -> None:
    guest, member = two(profiles, aws)
    one = said_to_be_one(profiles, aws)
    assert one == min(guest, member)
    person = known(profiles, one)
    assert person.attributes == {
        "email": "guest@example.com",
        "city": "Köln",
        "plan": "free",
        "phone": "+491711234567",
        "first_name": "Ada",
    }
    assert person.identifiers == {"user_id": "ada", "email": "guest@example.com", "phone": "+491711234567"}
    everything = [OLD, NEW, ("email", "guest@example.com"), ("phone", "+491711234567")]
    assert found(profiles, everything) == [one]
    assert known(profiles, guest) == known(profiles, member) == person


def test_nothing_of_the_person_is_left_in_the_row_that_forwards(aws: Aws, profiles: Profiles) -> None:
    guest, member = two(profiles, aws)
    profiles.remember_contact(max(guest, member), "crm", "c1")
    profiles.suppress(max(guest, member), suppression("unsubscribed", aws.clock(), channel="sms"))
    said_to_be_one(profiles, aws)
    key = {"pk": {"S": f"profile#{max(guest, member)}"}}
    row = aws.dynamodb.get_item(TableName=aws.table("profiles"), Key=key)["Item"]
    assert row.keys() == {"pk", "joined", "version"}
    assert row["joined"] == {"S": min(guest, member)}


def test_who_shares_a_device_stays_who_they_are(aws: Aws, profiles: Profiles) -> None:
    guest, member = two(profiles, aws)
    profiles.upsert([NEW, OLD], {"city": "Ulm"}, aws.clock() + timedelta(hours=2))
    assert found(profiles, [OLD, NEW]) == [guest, member]
    assert known(profiles, guest).attributes["city"] == "Bonn"


def test_a_new_user_on_a_device_is_not_the_one_before(aws: Aws, profiles: Profiles) -> None:
    device: Identifier = ("ecid", "device")
    nobody = profiles.upsert([device], {"city": "Bonn"}, aws.clock())
    ada = profiles.upsert([NEW, device], {"first_name": "Ada"}, aws.clock())
    assert ada == nobody
    bob = profiles.upsert([("user_id", "bob"), device], {"first_name": "Bob"}, aws.clock() + timedelta(hours=1))
    assert found(profiles, [NEW, ("user_id", "bob"), device]) == [ada, bob]
    assert known(profiles, ada).attributes == {"city": "Bonn", "first_name": "Ada"}
    assert profiles.upsert([device], {"city": "Ulm"}, aws.clock() + timedelta(hours=2)) == ada
    profiles.upsert([("user_id", "bob"), OLD, device], {}, aws.clock() + timedelta(hours=3), alias=True)
    assert found(profiles, [NEW, ("user_id", "bob"), OLD]) == [ada, bob]


def test_an_alias_of_somebody_unknown_is_one_more_name(aws: Aws, profiles: Profiles) -> None:
    one = profiles.upsert([NEW, OLD], {}, aws.clock(), alias=True)
    assert found(profiles, [OLD]) == found(profiles, [NEW]) == [one]
    other = profiles.upsert([OLD, ("user_id", "third")], {"city": "Ulm"}, aws.clock() + timedelta(hours=1), alias=True)
    assert other == one
    assert found(profiles, [("user_id", "third")]) == [one]


def test_three_names_of_three_people_make_one(aws: Aws, profiles: Profiles) -> None:
    names: list[Identifier] = [("user_id", str(number)) for number in range(3)]
    ids = [profiles.upsert([name], {f"of_{name[1]}": True}, aws.clock()) for name in names]
    assert profiles.upsert(names, {}, aws.clock(), alias=True) == min(ids)
    assert known(profiles, max(ids)).attributes == {"of_0": True, "of_1": True, "of_2": True}


def test_opt_outs_and_bounces_of_both_hold_and_so_do_later_permissions(aws: Aws, profiles: Profiles) -> None:
    guest, member = two(profiles, aws)
    now = aws.clock()
    profiles.suppress(guest, suppression("bounced", now))
    profiles.suppress(member, suppression("unsubscribed", now, channel="sms"))
    profiles.suppress(guest, suppression("unsubscribed", now))
    profiles.allow("email", "guest@example.com", now + timedelta(minutes=5), "a form")
    person = known(profiles, said_to_be_one(profiles, aws))
    assert person.suppressed == {"email": "bounced", "sms": "unsubscribed"}
    profiles.suppress(person.id, suppression("unsubscribed", now + timedelta(minutes=1)))
    assert {one.cause for one in known(profiles, person.id).suppressions if one.channel == "email"} == {"bounced"}


def test_a_permission_given_to_one_does_not_undo_a_later_opt_out_of_the_other(aws: Aws, profiles: Profiles) -> None:
    guest, member = two(profiles, aws)
    now, address = aws.clock(), "guest@example.com"
    profiles.upsert([NEW], {"email": address}, now + timedelta(hours=1))
    profiles.suppress(member, suppression("unsubscribed", now))
    profiles.allow("email", address, now + timedelta(minutes=5), "a form")
    profiles.suppress(guest, suppression("unsubscribed", now + timedelta(minutes=10)))
    assert known(profiles, said_to_be_one(profiles, aws)).suppressed == {"email": "unsubscribed"}


def test_slots_and_contacts_of_both_are_kept(aws: Aws, profiles: Profiles) -> None:
    guest, member = two(profiles, aws)
    now = aws.clock()
    for number, one in enumerate((guest, member)):
        slot = Slot("cart", "email", now, 0, "taken", now + timedelta(days=1))
        aws.dynamodb.update_item(
            TableName=aws.table("profiles"),
            Key={"pk": {"S": f"profile#{one}"}},
            UpdateExpression="SET sends = :sends",
            ExpressionAttributeValues={":sends": {"S": write_sends({f"m_{number}": slot})}},
        )
        profiles.remember_contact(one, f"crm-{number}", f"c{number}")
    person = known(profiles, said_to_be_one(profiles, aws))
    assert person.sends.keys() == {"m_0", "m_1"}
    assert person.crm_ids == {"crm-0": "c0", "crm-1": "c1"}


def test_what_comes_under_the_old_id_reaches_the_person(aws: Aws, profiles: Profiles) -> None:
    guest, member = two(profiles, aws)
    one = said_to_be_one(profiles, aws)
    for old in (guest, member):
        profiles.remember_contact(old, old, "c1")
        profiles.suppress(old, suppression("unsubscribed", aws.clock(), channel="sms" if old == guest else "email"))
    person = known(profiles, one)
    assert person.crm_ids == {guest: "c1", member: "c1"}
    assert person.suppressed == {"email": "unsubscribed", "sms": "unsubscribed"}
    profiles.forget_contact(max(guest, member), guest, "c1")
    assert known(profiles, one).crm_ids == {member: "c1"}


def test_an_address_that_one_had_once_still_finds_the_person(aws: Aws, profiles: Profiles) -> None:
    guest, member = two(profiles, aws)
    now = aws.clock()
    former: Identifier = ("email", "former@example.com")
    profiles.upsert([("user_id", "guest-7" if guest > member else "ada"), former], {}, now - timedelta(days=1))
    one = said_to_be_one(profiles, aws)
    assert profiles.owners([[former, NEW]]) == {former: one, NEW: one}
    assert profiles.upsert([former], {"city": "Ulm"}, now + timedelta(hours=3)) == one
    assert known(profiles, one).attributes["city"] == "Ulm"


def test_identifiers_of_many_visitors_are_read_at_once(aws: Aws, profiles: Profiles) -> None:
    two(profiles, aws)
    calls: list[str] = []

    def count(model: Any, **_: object) -> None:
        calls.append(model.name)

    aws.dynamodb.meta.events.register("before-call.*", count)
    found = profiles.owners([[OLD], [NEW, ("profile", "p_1")], [("user_id", "nobody")]])
    aws.dynamodb.meta.events.unregister("before-call.*", count)
    assert found.keys() == {OLD, NEW, ("profile", "p_1")}
    assert calls == ["BatchGetItem", "BatchGetItem"]


def test_whoever_is_kept_for_good_is_kept_under_both_ids(aws: Aws, profiles: Profiles) -> None:
    two(profiles, aws)
    said_to_be_one(profiles, aws)
    assert {key.split("#")[0] for key, ends in rows(aws).items() if ends is None} == set()
    guest, member = two(profiles, aws, "-2")
    profiles.suppress(guest, suppression("unsubscribed", aws.clock()))
    said_to_be_one(profiles, aws, "-2")
    assert rows(aws)[f"profile#{guest}"] is rows(aws)[f"profile#{member}"] is None


def rows(aws: Aws) -> dict[str, str | None]:
    """When each row may be deleted."""
    found = aws.dynamodb.scan(TableName=aws.table("profiles"))["Items"]
    return {row["pk"]["S"]: row["expires_at"]["N"] if "expires_at" in row else None for row in found}


def test_a_row_that_forwards_to_nobody_any_more_is_no_trap(aws: Aws, profiles: Profiles) -> None:
    two(profiles, aws)
    one = said_to_be_one(profiles, aws)
    aws.dynamodb.delete_item(TableName=aws.table("profiles"), Key={"pk": {"S": f"profile#{one}"}})
    assert profiles.get(one) is None
    assert profiles.upsert([OLD], {"city": "Ulm"}, aws.clock()) == one
    assert known(profiles, one).attributes == {"city": "Ulm"}


def test_killed_at_any_moment_and_repeated_the_two_are_one(aws: Aws, profiles: Profiles) -> None:
    for moment in range(200):
        guest, member = two(profiles, aws, f"-{moment}")
        profiles.suppress(guest, suppression("unsubscribed", aws.clock()))
        executioner = Executioner(moment)
        executioner.watch(aws.dynamodb)
        with contextlib.suppress(Killed):
            said_to_be_one(profiles, aws, f"-{moment}")
        executioner.unwatch(aws.dynamodb)
        between = [known(profiles, one) for one in (guest, member)]
        assert between[0].suppressed == {"email": "unsubscribed"}, moment
        assert all(one.attributes for one in between), moment
        one = said_to_be_one(profiles, aws, f"-{moment}")
        names: list[Identifier] = [("user_id", f"guest-7-{moment}"), ("user_id", f"ada-{moment}")]
        assert found(profiles, names) == [one], moment
        person = known(profiles, one)
        assert person.suppressed == {"email": "unsubscribed"}, moment
        assert person.attributes["city"] == "Köln", moment
        assert person.attributes["plan"] == "free", moment
        if executioner.calls <= moment:
            break
    assert 20 < moment < 199


Other = Callable[[Profiles, Aws, str, str, str], object]


def opt_out_of_guest(profiles: Profiles, aws: Aws, guest: str, member: str, suffix: str) -> None:
    profiles.suppress(guest, suppression("complained", aws.clock(), channel="sms"))


def opt_out_of_member(profiles: Profiles, aws: Aws, guest: str, member: str, suffix: str) -> None:
    profiles.suppress(member, suppression("complained", aws.clock()))


def stopped_address(profiles: Profiles, aws: Aws, guest: str, member: str, suffix: str) -> None:
    profiles.suppress_address(f"guest{suffix}@example.com", suppression("complained", aws.clock()))


@pytest.mark.parametrize("other", [opt_out_of_guest, opt_out_of_member, stopped_address])
def test_an_opt_out_in_the_middle_of_joining_is_not_lost(aws: Aws, profiles: Profiles, other: Other) -> None:
    def act(guest: str, member: str, suffix: str) -> None:
        other(profiles, aws, guest, member, suffix)

    def check(person: Profile) -> None:
        assert [*person.suppressed.values()] == ["complained"]

    in_the_middle(aws, profiles, act, check)


def test_what_is_learnt_in_the_middle_of_joining_is_not_lost(aws: Aws, profiles: Profiles) -> None:
    at = aws.clock() + timedelta(hours=3)

    def act(guest: str, member: str, suffix: str) -> None:
        for name in ("guest-7", "ada"):
            profiles.upsert([("user_id", name + suffix)], {f"from_{name}": suffix}, at)

    def check(person: Profile) -> None:
        assert {"from_guest-7", "from_ada", "plan", "first_name"} <= person.attributes.keys()

    in_the_middle(aws, profiles, act, check)


def test_the_same_two_joined_at_the_same_time(aws: Aws, profiles: Profiles) -> None:
    def act(guest: str, member: str, suffix: str) -> None:
        said_to_be_one(profiles, aws, suffix)

    def check(person: Profile) -> None:
        assert person.attributes["city"] == "Köln"

    in_the_middle(aws, profiles, act, check)


def in_the_middle(aws: Aws, profiles: Profiles, act: Callable[[str, str, str], None], check: Callable[[Profile], None]) -> None:
    """Before each call of joining two comes all of the other act; and the other way round."""

    def join(guest: str, member: str, suffix: str) -> None:
        said_to_be_one(profiles, aws, suffix)

    for outer, inner in ((join, act), (act, join)):
        for moment in range(60):
            suffix = f"-{moment}{'' if outer is join else '9'}"
            of = (*two(profiles, aws, suffix), suffix)
            calls = interrupted(aws, moment, partial(inner, *of), partial(outer, *of))
            if calls <= moment:
                break
            (one,) = found(profiles, [("user_id", f"guest-7{suffix}"), ("user_id", f"ada{suffix}")])
            check(known(profiles, one))
        assert 1 < moment < 59


def interrupted(aws: Aws, moment: int, inner: Callable[[], None], outer: Callable[[], None]) -> int:
    """Does all of the inner act before this call of the outer one. Returns how many calls both made."""
    calls = itertools.count()

    def other(**_: object) -> None:
        if next(calls) == moment:
            inner()

    aws.dynamodb.meta.events.register("before-call.*", other)
    outer()
    aws.dynamodb.meta.events.unregister("before-call.*", other)
    return next(calls)


@pytest.mark.parametrize("first", ["user_id", "email"])
def test_somebody_new_of_whom_two_tell_at_once_is_one(aws: Aws, profiles: Profiles, first: str) -> None:
    """By the user id and the address, and by the address alone."""
    for moment in range(30):
        user: Identifier = ("user_id", f"u{first}{moment}")
        email: Identifier = ("email", f"{first}{moment}@example.com")

        def of_user(user: Identifier = user, email: Identifier = email) -> None:
            profiles.upsert([user, email], {"email": email[1], "first_name": "Ada"}, aws.clock())

        def of_email(email: Identifier = email) -> None:
            profiles.upsert([email], {"email": email[1], "city": "Bonn"}, aws.clock())

        calls = interrupted(aws, moment, *((of_email, of_user) if first == "user_id" else (of_user, of_email)))
        if calls <= moment:
            break
        assert len(found(profiles, [user, email])) == 1, moment
        person = known(profiles, found(profiles, [user])[0])
        assert person.attributes == {"email": email[1], "first_name": "Ada", "city": "Bonn"}, moment
    assert 3 < moment < 29


def test_a_chain_of_aliases_by_many_at_once(aws: Aws) -> None:
    """Eight names, each said to be the next one's, by four at once: all are one, and nothing of anybody is lost."""
    table = aws.table("profiles")
    names: list[Identifier] = [("user_id", str(number)) for number in range(8)]
    first = Profiles(aws.dynamodb, table)
    for name in names:
        first.upsert([name], {f"of_{name[1]}": True}, aws.clock())

    def join(pair: tuple[Identifier, Identifier]) -> None:
        profiles = Profiles(boto3.client("dynamodb"), table)
        for _ in range(20):
            with contextlib.suppress(Transient):
                profiles.upsert(pair, {}, aws.clock(), alias=True)
                return
        raise AssertionError("never joined")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(join, itertools.pairwise(names)))
    (one,) = found(first, names)
    assert known(first, one).attributes == {f"of_{number}": True for number in range(8)}


def test_an_opt_out_by_the_hash_of_an_address_holds_for_the_joined(aws: Aws, profiles: Profiles) -> None:
    guest, member = two(profiles, aws)
    said_to_be_one(profiles, aws)
    stop = suppression("complained", aws.clock(), address=address_hash("email", "guest@example.com"))
    profiles.suppress(max(guest, member), stop)
    assert known(profiles, min(guest, member)).suppressed == {"email": "complained"}
    assert [one.cause for one in profiles.suppressions_of("email", "guest@example.com")] == ["complained"]
