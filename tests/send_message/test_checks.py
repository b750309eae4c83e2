from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from send_message.checks import Send, Skip, Verdict, Wait, quiet_until, verdict
from shared.definitions import Cap, Integration, Policy, QuietHours, Trigger
from shared.emails import is_address
from shared.jobs import MessageJob
from shared.person import Profile, Suppression, address_hash, stranger
from shared.sends import Sends, Slot
from tests.send_message.world import INTEGRATION, TRIGGER

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EMAIL = "ada@example.com"
NIGHT = QuietHours(begins="21:00", ends="08:00", zone="UTC")


def job(message_id: str = "m_1", valid_until: datetime = NOW + DAY, trigger: str = "abandoned") -> MessageJob:
    return MessageJob(
        message_id=message_id,
        trigger=trigger,
        trigger_version=1,
        visit_id="v",
        profile_id="p",
        decided="send",
        campaign="carts",
        delivery="first",
        template="cart",
        integration="postbird",
        decided_at=NOW,
        anchor_at=NOW,
        valid_until=valid_until,
    )


def trigger(**changes: Any) -> Trigger:  # a model's own fields
    return Trigger.model_validate({**TRIGGER, **changes})


def person(
    sends: Sends | None = None, *suppressions: Suppression, also: Mapping[str, JsonValue] | None = None, **attributes: JsonValue
) -> Profile:
    known: Mapping[str, JsonValue] = {"email": EMAIL, **attributes, **(also or {})}
    return Profile("p", known, {}, suppressions, {}, 1, {"user_id": "7"}, sends=sends or {})


def ask(
    what: MessageJob | None = None,
    rule: Trigger | None = None,
    who: Profile | None = None,
    policy: Policy | None = None,
    now: datetime = NOW,
    **integration: JsonValue,
) -> Verdict:
    via = Integration.model_validate({**INTEGRATION, **integration})
    return verdict(what or job(), rule or trigger(), who or person(), policy, integration=via, now=now)


def reason(made: Verdict) -> str:
    assert isinstance(made, Skip | Wait)
    return made.reason


def taken(hours_ago: float, rule: str = "other", channel: str = "email") -> Slot:
    at = NOW - hours_ago * HOUR
    return Slot(rule, channel, at, 0, "taken", at + DAY)


def stopped(**changes: Any) -> Suppression:  # a dataclass's own fields
    return Suppression(**{"channel": "email", "cause": "complained", "reason": "why", "at": NOW, "source": "x", **changes})


def test_a_message_goes_out_and_takes_a_slot() -> None:
    assert ask() == Send({"m_1": Slot("abandoned", "email", NOW, 0, "taken", NOW + DAY)})


def test_the_first_reason_in_the_order_of_the_checks_is_the_one() -> None:
    late, off = job(valid_until=NOW - HOUR), trigger(enabled=False)
    gone = person(None, stopped(), email="")
    full = {str(hours): taken(hours) for hours in range(5)}
    policy = Policy(name="email", quiet_hours=QuietHours(begins="00:00", ends="23:00"))
    assert reason(ask(late, off, gone, policy)) == "no longer valid"
    assert reason(ask(None, off, gone, policy)) == "the trigger is switched off"
    assert reason(ask(None, None, gone, policy)) == "suppressed: why"
    assert reason(ask(None, None, person(full, email=""), policy)) == "no email address"
    assert reason(ask(None, None, person(full), policy)) == "quiet hours"
    assert reason(ask(None, None, person(full))) == "frequency cap of the channel: 5 in 24 h"


def test_without_a_trigger_or_a_person_it_is_skipped() -> None:
    integration = Integration.model_validate(INTEGRATION)
    assert verdict(job(), None, person(), None, integration=integration, now=NOW) == Skip("the trigger was deleted", {})
    assert verdict(job(), trigger(), None, None, integration=integration, now=NOW) == Skip("no profile", {})


def test_a_message_is_valid_to_the_last_moment() -> None:
    assert isinstance(ask(job(valid_until=NOW)), Send)


@pytest.mark.parametrize(
    ("what", "holds"),
    [
        ({}, True),
        ({"channel": "sms"}, False),
        ({"cause": "bounced", "address": address_hash("email", "Ada@example.com")}, True),
        ({"cause": "bounced", "address": address_hash("email", "old@example.com")}, False),
    ],
)
def test_an_opt_out_holds_on_its_channel_and_for_its_address(what: dict[str, str], holds: bool) -> None:
    assert isinstance(ask(who=person(None, stopped(**what))), Skip) is holds


@pytest.mark.parametrize(
    ("identifier", "attributes", "why"),
    [
        ("email", {"email": None}, "no email address"),
        ("email", {"email": "ada@"}, "the email address is not valid"),
        ("email_sha256", {"email": None}, "no email address"),
        ("email_sha256", {"email": "ada@"}, "the email address is not valid"),
        ("phone", {}, "no phone number"),
        ("phone", {"phone": "0171 1234567"}, "the phone number is not valid"),
        ("loyalty", {}, "no loyalty"),
        ("email", {}, None),
        ("email_sha256", {}, None),
        ("phone", {"phone": "+491711234567", "email": None}, None),
        ("user_id", {"email": None}, None),
        ("loyalty", {"loyalty": 12, "email": None}, None),
    ],
)
def test_a_person_is_reached_as_the_integration_wants_them_named(
    identifier: str, attributes: dict[str, JsonValue], why: str | None
) -> None:
    made = ask(who=person(also=attributes), identifier=identifier)
    assert (None if isinstance(made, Send) else reason(made)) == why


@pytest.mark.parametrize("address", ["a@example.com", "zoë@müller.example", "a+b@x.y.co"])
def test_an_address(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize("address", ["", "a", "a@b", "a b@c.de", "a@c.de\n", "a@c.de,b@c.de", "<a@c.de>", "a@-c.de", "a" * 255])
def test_no_address(address: str) -> None:
    assert not is_address(address)


# Quiet hours


@pytest.mark.parametrize(
    ("begins", "ends", "zone", "now", "until"),
    [
        # over midnight, in UTC
        ("21:00", "08:00", "UTC", "2026-11-21T20:59:59", "2026-11-21T20:59:59"),
        ("21:00", "08:00", "UTC", "2026-11-21T21:00:00", "2026-11-22T08:00:00"),
        ("21:00", "08:00", "UTC", "2026-11-22T07:59:59", "2026-11-22T08:00:00"),
        ("21:00", "08:00", "UTC", "2026-11-22T08:00:00", "2026-11-22T08:00:00"),
        # within a day
        ("12:00", "14:00", "UTC", "2026-11-21T11:59:59", "2026-11-21T11:59:59"),
        ("12:00", "14:00", "UTC", "2026-11-21T12:00:00", "2026-11-21T14:00:00"),
        ("12:00", "14:00", "UTC", "2026-11-21T14:00:00", "2026-11-21T14:00:00"),
        ("00:00", "08:00", "UTC", "2026-11-21T00:00:00", "2026-11-21T08:00:00"),
        # elsewhere: a day earlier, a day later, half an hour aside
        ("21:00", "08:00", "America/Los_Angeles", "2026-11-21T05:00:00", "2026-11-21T16:00:00"),
        ("21:00", "08:00", "Pacific/Kiritimati", "2026-11-21T07:00:00", "2026-11-21T18:00:00"),
        ("21:00", "08:00", "Asia/Kolkata", "2026-11-21T15:30:00", "2026-11-22T02:30:00"),
        # summer time begins in the night (29 March, 02:00 becomes 03:00) and ends in it (25 October, 03:00 becomes 02:00)
        ("21:00", "08:00", "Europe/Berlin", "2026-03-28T20:00:00", "2026-03-29T06:00:00"),
        ("21:00", "08:00", "Europe/Berlin", "2026-10-24T19:00:00", "2026-10-25T07:00:00"),
        # an end that the clock skips, and one that it shows twice
        ("21:00", "02:30", "Europe/Berlin", "2026-03-28T20:00:00", "2026-03-29T01:30:00"),
        ("21:00", "02:30", "Europe/Berlin", "2026-10-24T19:00:00", "2026-10-25T00:30:00"),
        ("21:00", "02:30", "Europe/Berlin", "2026-10-25T01:00:00", "2026-10-25T01:30:00"),
    ],
)
def test_quiet_hours_end_where_the_person_is(begins: str, ends: str, zone: str, now: str, until: str) -> None:
    hours = QuietHours(begins=begins, ends=ends)
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    found = quiet_until(hours, person(time_zone=zone), at)
    assert found == datetime.fromisoformat(until).replace(tzinfo=UTC)


@pytest.mark.parametrize("zone", [None, "", "Nowhere/Land", "../../etc/passwd", "Europe", 7, ["UTC"], "x" * 5000, "a\0b"])
def test_whose_zone_is_not_known_has_that_of_the_policy(zone: JsonValue) -> None:
    hours = QuietHours(begins="21:00", ends="08:00", zone="Asia/Tokyo")
    assert quiet_until(hours, person(time_zone=zone), NOW) == NOW + 11 * HOUR


def test_the_zone_is_in_the_attribute_that_the_policy_names() -> None:
    hours = QuietHours(begins="21:00", ends="08:00", zone="UTC", attribute="tz")
    assert quiet_until(hours, person(tz="Asia/Tokyo", time_zone="UTC"), NOW) == NOW + 11 * HOUR


MINUTES = st.integers(0, 24 * 60 - 1)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns"]


@given(MINUTES, MINUTES, st.sampled_from(ZONES), st.integers(0, 366 * 24 * 60))
def test_nobody_is_disturbed_and_nobody_waits_longer_than_needed(begins: int, ends: int, zone: str, minute: int) -> None:
    if begins == ends:
        return
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    clock = [f"{m // 60:02}:{m % 60:02}" for m in (begins, ends)]
    where = ZoneInfo(zone)

    def quiet(at: datetime) -> bool:
        wall = at.astimezone(where)
        shown = wall.hour * 60 + wall.minute
        return (shown - begins) % 1440 < (ends - begins) % 1440

    until = quiet_until(QuietHours(begins=clock[0], ends=clock[1]), person(time_zone=zone), now)
    assert not quiet(until)
    assert (until > now) == quiet(now)
    if now.astimezone(where).utcoffset() == until.astimezone(where).utcoffset():
        assert all(quiet(now + timedelta(minutes=m)) for m in range(int((until - now) / timedelta(minutes=1))))
    else:
        assert until - now <= 26 * HOUR


def test_a_message_waits_for_the_end_of_quiet_hours_and_holds_a_slot() -> None:
    policy, midnight = Policy(name="email", quiet_hours=NIGHT), NOW + 12 * HOUR
    made = ask(rule=trigger(priority=3), policy=policy, now=midnight)
    assert made == Wait(
        "quiet hours", NOW + 20 * HOUR, {"m_1": Slot("abandoned", "email", NOW + 20 * HOUR, 3, "held", NOW + DAY)}
    )


def test_what_would_be_too_old_after_quiet_hours_does_not_wait_in_vain() -> None:
    policy, midnight = Policy(name="email", quiet_hours=NIGHT), NOW + 12 * HOUR
    assert reason(ask(job(valid_until=NOW + 19 * HOUR), policy=policy, now=midnight)) == "no longer valid after quiet hours"
    assert isinstance(ask(job(valid_until=NOW + 20 * HOUR), policy=policy, now=midnight), Wait)


# Frequency caps


def test_five_a_day_if_nobody_says_otherwise() -> None:
    four = {str(hours): taken(hours) for hours in range(4)}
    assert isinstance(ask(who=person(four)), Send)
    made = ask(who=person({**four, "4": taken(4)}))
    assert isinstance(made, Wait)
    assert made.until == NOW + 20 * HOUR
    assert isinstance(ask(who=person({**four, "4": taken(4)}), policy=Policy(name="email", cap=None)), Send)


def test_another_channel_has_a_cap_of_its_own() -> None:
    assert isinstance(ask(who=person({str(hours): taken(hours, channel="sms") for hours in range(5)})), Send)


def test_a_trigger_has_a_cap_of_its_own_besides() -> None:
    rule = trigger(cap=Cap(times=1, hours=48))
    before = Slot("abandoned", "email", NOW - 30 * HOUR, 0, "taken", NOW + 18 * HOUR)
    made = ask(rule=rule, who=person({"a": before}))
    assert made == Wait(
        "frequency cap of the trigger: 1 in 48 h",
        NOW + 18 * HOUR,
        {"a": before, "m_1": Slot("abandoned", "email", NOW + 18 * HOUR, 0, "held", NOW + DAY)},
    )
    assert isinstance(ask(rule=rule, who=person({"a": taken(1)})), Send)
    free = ask(rule=rule)
    assert free.sends["m_1"].until == NOW + 48 * HOUR


def test_what_no_slot_would_be_free_for_in_time_is_skipped() -> None:
    full = {str(hours): taken(hours) for hours in range(5)}
    held = Slot("abandoned", "email", NOW, 0, "held", NOW + DAY)
    made = ask(job(valid_until=NOW + 19 * HOUR), who=person({**full, "m_1": held}))
    assert made == Skip("frequency cap of the channel: 5 in 24 h", full)


def test_a_slot_that_an_earlier_attempt_took_stays_taken_until_somebody_knows_better() -> None:
    sends = {"m_1": taken(1, "abandoned")}
    policy, midnight = Policy(name="email", quiet_hours=NIGHT), NOW + 12 * HOUR
    assert ask(who=person(sends), policy=policy, now=midnight) == Wait("quiet hours", NOW + 20 * HOUR, sends)
    assert ask(rule=trigger(enabled=False), who=person(sends)) == Skip("the trigger is switched off", sends)
    again = ask(who=person(sends))
    assert again.sends["m_1"].at == NOW


def test_a_slot_is_given_back_by_what_surely_did_not_go_out() -> None:
    sends = {"m_1": taken(1, "abandoned")}
    integration = Integration.model_validate(INTEGRATION)
    off = verdict(job(), trigger(enabled=False), person(sends), None, integration=integration, now=NOW, unsent=True)
    assert off == Skip("the trigger is switched off", {})
    policy, midnight = Policy(name="email", quiet_hours=NIGHT), NOW + 12 * HOUR
    waits = verdict(job(), trigger(), person(sends), policy, integration=integration, now=midnight, unsent=True)
    assert waits.sends["m_1"].state == "held"
    late = verdict(
        job(valid_until=midnight), trigger(), person(sends), policy, integration=integration, now=midnight, unsent=True
    )
    assert late == Skip("no longer valid after quiet hours", {})


def test_transactional_messages_neither_count_nor_wait() -> None:
    policy = Policy(name="email", cap=Cap(times=1), quiet_hours=NIGHT, exempt=("abandoned",))
    sends = {"a": taken(1, "other")}
    assert ask(who=person(sends), policy=policy, now=NOW + 12 * HOUR) == Send(sends)
    assert isinstance(ask(job(trigger="x"), trigger(name="x"), person({"a": taken(1, "abandoned")}), policy), Send)
    assert reason(ask(who=person(None, stopped()), policy=policy)) == "suppressed: why"


def test_a_cap_of_its_own_holds_for_a_transactional_trigger_too() -> None:
    policy = Policy(name="email", exempt=("abandoned",))
    rule = trigger(cap=Cap(times=1))
    first = ask(rule=rule, policy=policy)
    assert isinstance(first, Send)
    assert isinstance(ask(job("m_2"), rule, person(first.sends), policy), Wait)


# Many messages to one person, in any order


class Message:
    """One that arrives at an hour, with a priority and a validity."""

    def __init__(self, name: str, arrives: float, priority: int, valid_for: float) -> None:
        self.job = job(name, NOW + (arrives + valid_for) * HOUR)
        self.arrives, self.rule = NOW + arrives * HOUR, trigger(priority=priority)


def played(messages: list[Message], policy: Policy) -> tuple[dict[str, datetime], dict[str, str], list[tuple[str, bool]]]:
    """Asks about each whenever it is to be asked about. Returns when each was sent, why others were not, and whether each send
    left the slots to those of higher priority that waited."""
    waiting = {one.job.message_id: (one.arrives, one) for one in messages}
    sent: dict[str, datetime] = {}
    skipped: dict[str, str] = {}
    fair: list[tuple[str, bool]] = []
    sends: Sends = {}
    held: set[str] = set()
    asked = 0
    while waiting:
        name, (now, one) = min(waiting.items(), key=lambda item: item[1][0])
        made = ask(one.job, one.rule, person(sends), policy, now)
        sends, asked = made.sends, asked + 1
        assert asked < 5000
        if isinstance(made, Wait):
            assert now < made.until <= one.job.valid_until
            waiting[name] = (made.until, one)
            held.add(name)
            continue
        del waiting[name]
        if isinstance(made, Skip):
            skipped[name] = made.reason
            continue
        assert policy.cap is not None
        window = timedelta(hours=policy.cap.hours)
        used = sum(at > now - window for at in sent.values())
        higher = sum(
            other.rule.priority > one.rule.priority and other.job.valid_until > now and until < now + window
            for other_name, (until, other) in waiting.items()
            if other_name in held
        )
        fair.append((name, used + higher < policy.cap.times))
        sent[name] = now
    return sent, skipped, fair


MESSAGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3), st.integers(1, 60)), min_size=1, max_size=12)
POLICIES = st.builds(
    lambda times, hours, quiet: Policy(name="email", cap=Cap(times=times, hours=hours), quiet_hours=NIGHT if quiet else None),
    st.integers(1, 4),
    st.integers(1, 30),
    st.booleans(),
)


@given(MESSAGES, POLICIES)
def test_whatever_comes_the_caps_and_the_night_are_kept_and_all_come_to_an_end(
    facts: list[tuple[int, int, int]], policy: Policy
) -> None:
    messages = [Message(f"m_{index}", *one) for index, one in enumerate(facts)]
    sent, skipped, fair = played(messages, policy)
    assert sent.keys() | skipped.keys() == {one.job.message_id for one in messages}
    assert policy.cap is not None
    for at in sent.values():
        assert sum(at - timedelta(hours=policy.cap.hours) < other <= at for other in sent.values()) <= policy.cap.times
        assert policy.quiet_hours is None or 8 <= at.hour < 21
    assert all(sent[one.job.message_id] <= one.job.valid_until for one in messages if one.job.message_id in sent)
    assert [name for name, kept in fair if not kept] == []


@given(st.permutations(range(7)), st.integers(1, 4), st.integers(1, 72))
def test_who_comes_first_of_equals_does_not_change_how_many_go_out_when(order: list[int], times: int, valid_for: int) -> None:
    policy = Policy(name="email", cap=Cap(times=times, hours=12), quiet_hours=NIGHT)

    def times_of(names: list[int]) -> list[datetime]:
        sent, _, _ = played([Message(f"m_{name}", 0, 0, valid_for) for name in names], policy)
        return sorted(sent.values())

    assert times_of(order) == times_of(sorted(order))


@given(st.permutations(range(5)), st.integers(1, 4))
def test_the_highest_priorities_get_the_slots_that_are_left_after_the_night(order: list[int], times: int) -> None:
    policy = Policy(name="email", cap=Cap(times=times, hours=24), quiet_hours=NIGHT)
    # All come in the night, and end before a second day's slots.
    messages = [Message(f"m_{priority}", 10 + index / 10, priority, 20) for index, priority in enumerate(order)]
    sent, _, _ = played(messages, policy)
    assert set(sent) == {f"m_{priority}" for priority in range(5 - times, 5)}


def test_of_a_stranger_nothing_is_known() -> None:
    assert reason(ask(who=stranger("p"))) == "no email address"
