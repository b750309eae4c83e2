from __future__ import annotations

import contextlib
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from match_triggers.identity import Meant, gathered, identifiers_of, learn, meant
from shared.jobs import TrackerEvent
from shared.person import Identifier
from shared.profiles import Profiles
from tests.aws import Aws
from tests.crash import Executioner, Killed
from tests.match_triggers.shop import START, tracker_event
from tests.people import found

ADA = hashlib.sha256(b"ada@example.com").hexdigest()


def test_all_that_an_event_says_of_the_visitor_in_its_usual_spelling() -> None:
    event = tracker_event(
        "Identified",
        0,
        user_id="7",
        traits={"email": " Ada@Example.com", "phone": "0171 1234567", "country": "DE"},
        identifiers=[("user_id", "guest"), ("email_sha256", ADA.upper()), ("loyalty", " 12 "), ("email", "A@Example.com")],
    )
    assert identifiers_of(event) == [
        ("user_id", "7"),
        ("email", "ada@example.com"),
        ("phone", "+491711234567"),
        ("user_id", "guest"),
        ("email_sha256", ADA),
        ("loyalty", "12"),
        ("email", "a@example.com"),
    ]


@pytest.mark.parametrize(
    ("namespace", "value"),
    [
        ("email", "nobody"),
        ("email", f"{'a' * 250}@example.com"),
        ("email_sha256", ADA[:63]),
        ("email_sha256", "ada@example.com"),
        ("phone", "0171 1234567"),
        ("phone", "none"),
        ("profile", "p_1"),
        ("loyalty", " "),
        ("loyalty", "x" * 501),
        ("x" * 101, "1"),
    ],
)
def test_what_cannot_be_an_identifier_is_left_out(namespace: str, value: str) -> None:
    assert identifiers_of(tracker_event("Identified", 0, identifiers=[(namespace, value)])) == []
    assert identifiers_of(tracker_event("Identified", 0, traits={namespace: value})) == []


@pytest.mark.parametrize("value", [7, None, True, ["ada@example.com"]])
def test_traits_of_another_kind_say_nothing(value: Any) -> None:
    assert identifiers_of(tracker_event("Identified", 0, traits={"email": value, "phone": value})) == []


def test_a_change_of_a_profile_is_about_that_profile() -> None:
    event = tracker_event("Profile Changed", 0, tracker="profiles", anonymous_id=None, user_id="p_1")
    assert identifiers_of(event) == [("profile", "p_1")]


@given(st.permutations(range(30)))
def test_a_visitor_of_too_many_names_keeps_the_same_ones_whatever_came_first(order: list[int]) -> None:
    events = [tracker_event("A", second, user_id=f"u{second}", identifiers=[("a", f"{second:02d}")]) for second in range(30)]
    known: tuple[Identifier, ...] = ()
    for index in order:
        known = gathered(known, [events[index]])
    assert known == gathered((), events)
    assert len(known) == 20
    assert {namespace for namespace, _ in known} == {"user_id"}


OWNERS: dict[Identifier, str] = {
    ("user_id", "ada"): "p_ada",
    ("user_id", "bob"): "p_bob",
    ("email", "ada@example.com"): "p_ada",
    ("ecid", "device"): "p_bob",
    ("profile", "p_1"): "p_1",
}


@pytest.mark.parametrize(
    ("identifiers", "order", "expected"),
    [
        ([("user_id", "ada"), ("email", "ada@example.com")], [], Meant(("p_ada",))),
        ([("user_id", "ada"), ("user_id", "nobody")], [], Meant(("p_ada",))),
        ([("user_id", "ada"), ("ecid", "device")], [], Meant(("p_ada", "p_bob"))),
        ([("user_id", "nobody")], [], Meant()),
        ([], [], Meant()),
        ([("user_id", "ada"), ("ecid", "device")], ["user_id", "ecid"], Meant(("p_ada",), "user_id")),
        ([("user_id", "ada"), ("ecid", "device")], ["ecid", "user_id"], Meant(("p_bob",), "ecid")),
        ([("user_id", "nobody"), ("ecid", "device")], ["user_id", "ecid"], Meant(("p_bob",), "ecid")),
        ([("user_id", "ada"), ("user_id", "bob"), ("ecid", "device")], ["user_id", "ecid"], Meant(("p_ada", "p_bob"), "user_id")),
        ([("ecid", "device")], ["user_id"], Meant()),
        ([("profile", "p_1")], ["user_id"], Meant(("p_1",), "profile")),
    ],
)
def test_who_is_meant(identifiers: list[Identifier], order: list[str], expected: Meant) -> None:
    assert meant(OWNERS, identifiers, order) == expected


def test_why_nobody_is_meant_and_what_the_trace_says() -> None:
    several = Meant(("p_ada", "p_bob"), "user_id")
    assert (several.only, several.fault) == (None, "several profiles")
    assert several.data() == {"profiles": ["p_ada", "p_bob"], "identified_by": "user_id"}
    assert (Meant().only, Meant().fault, Meant().data()) == (None, "no profile", {})
    assert (Meant(("p_ada",)).only, Meant(("p_ada",)).fault, Meant(("p_ada",)).data()) == ("p_ada", "", {})


@pytest.fixture
def profiles(aws: Aws) -> Profiles:
    return Profiles(aws.dynamodb, aws.table("profiles"))


def identified(second: float, **values: Any) -> TrackerEvent:
    return tracker_event("Identified", second, user_id="7", **values)


def test_the_hash_of_an_address_finds_whose_it_is_and_leaves_the_address(profiles: Profiles) -> None:
    learn([identified(0, traits={"email": "Ada@Example.com"})], profiles)
    hashed = tracker_event("Identified", 9, identifiers=[("email_sha256", ADA)], traits={"city": "Bonn"})
    learn([hashed], profiles)
    (one,) = found(profiles, identifiers_of(hashed))
    person = profiles.get(one)
    assert person is not None
    assert person.attributes == {"email": "Ada@Example.com", "city": "Bonn"}
    assert person.identifiers == {"user_id": "7", "email": "ada@example.com", "email_sha256": ADA}
    assert found(profiles, [("email", "ada@example.com")]) == [one]


def test_the_hash_of_a_phone_number_finds_whose_it_is(profiles: Profiles) -> None:
    learn([identified(0, traits={"phone": "0171 1234567", "country": "DE"})], profiles)
    hashed = hashlib.sha256(b"+491711234567").hexdigest()
    learn([tracker_event("Identified", 9, identifiers=[("phone_sha256", hashed)], traits={"city": "Bonn"})], profiles)
    assert len(found(profiles, [("user_id", "7"), ("phone", "+491711234567"), ("phone_sha256", hashed.upper())])) == 1


def test_the_hash_may_come_before_the_address(profiles: Profiles) -> None:
    learn([tracker_event("Identified", 0, identifiers=[("email_sha256", ADA)], traits={"city": "Bonn"})], profiles)
    learn([identified(9, traits={"email": "ada@example.com"})], profiles)
    (one,) = found(profiles, [("user_id", "7"), ("email", "ada@example.com"), ("email_sha256", ADA)])
    person = profiles.get(one)
    assert person is not None
    assert person.attributes == {"city": "Bonn", "email": "ada@example.com"}


def test_what_is_said_again_and_again_is_stored_once_at_its_newest_time(aws: Aws, profiles: Profiles) -> None:
    learn([identified(second, traits={"city": "Bonn"}) for second in (5, 1, 3)], profiles)
    person = profiles.get(found(profiles, [("user_id", "7")])[0])
    assert person is not None
    assert person.version == 1
    assert person.changed == {"city": START + timedelta(seconds=5)}


def test_an_alias_without_traits_joins_two_people(profiles: Profiles) -> None:
    learn([identified(0, traits={"city": "Bonn"})], profiles)
    learn([tracker_event("Identified", 1, user_id="guest", traits={"plan": "free"})], profiles)
    names: list[Identifier] = [("user_id", "7"), ("user_id", "guest")]
    learn([identified(2, identifiers=[("user_id", "guest")])], profiles)
    assert len(found(profiles, names)) == 2
    learn([identified(3, identifiers=[("user_id", "guest")], alias=True)], profiles)
    assert len(found(profiles, names)) == 1


def told(event: TrackerEvent) -> tuple[Any, ...]:
    properties = event.properties
    return properties["attribute"], properties.get("old"), properties.get("new")


def test_real_changes_of_watched_attributes_are_events(profiles: Profiles) -> None:
    watched = {"plan", "vip"}
    (first,) = learn([identified(0, traits={"plan": "free", "city": "Bonn"})], profiles, watched)
    assert told(first) == ("plan", None, "free")
    assert "old" not in first.properties
    assert (first.tracker, first.name, first.at) == ("profiles", "Profile Changed", START)
    assert [first.user_id] == found(profiles, [("user_id", "7")])
    again = learn([identified(1, traits={"plan": "free", "city": "Ulm"})], profiles, watched)
    late = learn([identified(0.5, traits={"plan": "none"})], profiles, watched)
    assert again == late == []
    said = learn([identified(2, traits={"plan": "gold", "vip": 1}), identified(3, traits={"vip": True})], profiles, watched)
    assert [told(one) for one in said] == [("plan", "free", "gold"), ("vip", None, 1), ("vip", 1, True)]
    (gone,) = learn([identified(4, traits={"plan": None})], profiles, watched)
    assert told(gone) == ("plan", "gold", None)


def test_to_and_fro_within_one_batch_are_two_changes(profiles: Profiles) -> None:
    plans = ["free", "free", "gold", "gold", "free"]
    events = [identified(second, traits={"plan": plan}) for second, plan in enumerate(plans)]
    assert [told(one)[1:] for one in learn(events, profiles, {"plan"})] == [
        (None, "free"),
        ("free", "gold"),
        ("gold", "free"),
    ]


def test_the_same_events_again_say_the_same_changes(profiles: Profiles) -> None:
    events = [identified(second, traits={"plan": plan}) for second, plan in enumerate(["free", "gold"])]
    first = learn(events, profiles, {"plan"})
    assert len(first) == 2
    assert learn(events, profiles, {"plan"}) == first
    assert len({one.id for one in first}) == 2


def test_a_phone_number_in_another_spelling_is_no_change(profiles: Profiles) -> None:
    learn([identified(0, traits={"phone": "+491711234567", "country": "DE"})], profiles, {"phone"})
    assert learn([identified(1, traits={"phone": "0171 1234567"})], profiles, {"phone"}) == []


def test_what_is_too_large_to_be_kept_is_no_change(profiles: Profiles) -> None:
    assert learn([identified(0, traits={"plan": "x" * 3000})], profiles, {"plan"}) == []


def calls_of(aws: Aws, act: Any) -> list[str]:
    made: list[str] = []

    def count(model: Any, **_: object) -> None:
        made.append(model.name)

    aws.dynamodb.meta.events.register("before-call.*", count)
    act()
    aws.dynamodb.meta.events.unregister("before-call.*", count)
    return made


def test_without_anybody_who_watches_changes_cost_nothing(aws: Aws, profiles: Profiles) -> None:
    learn([identified(0, traits={"plan": "free"})], profiles)
    row = {"pk": {"S": f"profile#{found(profiles, [('user_id', '7')])[0]}"}}
    unwatched = calls_of(aws, lambda: learn([identified(1, traits={"plan": "gold"})], profiles))
    assert "changes" not in aws.dynamodb.get_item(TableName=aws.table("profiles"), Key=row)["Item"]
    watched = calls_of(aws, lambda: learn([identified(2, traits={"plan": "free"})], profiles, {"plan"}))
    assert unwatched == ["BatchGetItem", "BatchGetItem", "UpdateItem", "BatchGetItem"]
    assert watched == [*unwatched, "BatchGetItem"]
    assert calls_of(aws, lambda: learn([tracker_event("A", 3)], profiles, {"plan"})) == []


def test_killed_at_any_moment_and_repeated_no_change_is_lost(aws: Aws, profiles: Profiles) -> None:
    for moment in range(60):
        who = f"u{moment}"
        learn([tracker_event("Identified", 0, user_id=who, traits={"plan": "free"})], profiles)
        events = [
            tracker_event("Identified", second, user_id=who, traits={"plan": plan}) for second, plan in ((1, "gold"), (2, "none"))
        ]
        executioner = Executioner(moment)
        executioner.watch(aws.dynamodb)
        with contextlib.suppress(Killed):
            learn(events, profiles, {"plan"})
        executioner.unwatch(aws.dynamodb)
        stored = profiles.get_all(found(profiles, [("user_id", who)])).popitem()[1].attributes["plan"]
        # Meanwhile somebody says something newer: what had not been stored by then loses against it, and is no change.
        learn([tracker_event("Identified", 3, user_id=who, traits={"plan": "gold"})], profiles, {"plan"})
        said = [told(one)[1:] for one in learn(events, profiles, {"plan"})]
        if executioner.calls <= moment:
            break
        assert said == [("free", "gold"), ("gold", "none")][: ["free", "gold", "none"].index(str(stored))], moment
    assert 12 < moment < 59
    assert said == [("free", "gold"), ("gold", "none")]
