from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from send_message.checks import Send, Skip, Wait, hours_from, open_from, quiet_until, verdict
from shared.definitions import Integration, Policy, QuietHours
from shared.emails import is_address
from shared.person import address_hash, stranger
from shared.sends import Slot
from shared.triggers import DAYS, Day, Hours
from tests.send_message.asking import DAY, HOUR, NIGHT, NOW, ask, job, person, reason, stopped, taken, trigger
from tests.send_message.world import INTEGRATION


def test_a_message_goes_out_and_takes_a_slot() -> None:
    assert ask() == Send({"m_1": Slot("abandoned", "email", NOW, 0, "taken", NOW + DAY)})


def test_the_first_reason_in_the_order_of_the_checks_is_the_one() -> None:
    late, closed = job(valid_until=NOW - HOUR), trigger(hours={"begins": "13:00", "ends": "14:00"})
    gone = person(None, stopped(), email="")
    full = {str(hours): taken(hours) for hours in range(5)}
    policy = Policy(name="email", quiet_hours=QuietHours(begins="00:00", ends="23:00"))
    assert reason(ask(late, closed, gone, policy)) == "no longer valid"
    assert reason(ask(None, None, gone, policy)) == "suppressed: why"
    assert reason(ask(None, None, person(full, email=""), policy)) == "no email address"
    assert reason(ask(None, None, person(full), policy)) == "quiet hours"
    assert reason(ask(None, closed, person(full))) == "outside the trigger's hours"
    assert reason(ask(None, None, person(full))) == "frequency cap of the channel: 5 in 24 h"


def test_without_a_trigger_or_a_person_it_is_skipped() -> None:
    integration = Integration.model_validate(INTEGRATION)
    assert verdict(job(), None, person(), None, integration=integration, now=NOW) == Skip("the trigger was unpublished", {})
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


def test_of_a_stranger_nothing_is_known() -> None:
    assert reason(ask(who=stranger("p"))) == "no email address"


# The trigger's hours


WORKDAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri")


@pytest.mark.parametrize(
    ("hours", "zone", "now", "begins"),
    [
        # 21 November 2026 is a Saturday
        ({"begins": "09:00", "ends": "18:00"}, "UTC", "2026-11-21T08:59:59", "2026-11-21T09:00:00"),
        ({"begins": "09:00", "ends": "18:00"}, "UTC", "2026-11-21T09:00:00", "2026-11-21T09:00:00"),
        ({"begins": "09:00", "ends": "18:00"}, "UTC", "2026-11-21T18:00:00", "2026-11-22T09:00:00"),
        ({"begins": "09:00", "ends": "18:00", "days": WORKDAYS}, "UTC", "2026-11-21T10:00:00", "2026-11-23T09:00:00"),
        # a night belongs to the day on which it begins
        ({"begins": "22:00", "ends": "02:00", "days": ["fri"]}, "UTC", "2026-11-21T01:59:59", "2026-11-21T01:59:59"),
        ({"begins": "22:00", "ends": "02:00", "days": ["fri"]}, "UTC", "2026-11-21T02:00:00", "2026-11-27T22:00:00"),
        ({"begins": "22:00", "ends": "02:00", "days": ["sat"]}, "UTC", "2026-11-21T01:00:00", "2026-11-21T22:00:00"),
        # whole days, by the date where the person is
        ({"days": ["sun"]}, "UTC", "2026-11-21T23:59:59", "2026-11-22T00:00:00"),
        ({"days": ["sun"], "begins": "09:00", "ends": "09:00"}, "UTC", "2026-11-22T08:00:00", "2026-11-22T08:00:00"),
        ({"days": ["sun"]}, "Pacific/Kiritimati", "2026-11-21T09:00:00", "2026-11-21T10:00:00"),
        ({"days": ["sat"]}, "America/Los_Angeles", "2026-11-22T07:59:00", "2026-11-22T07:59:00"),
        ({"days": ["sat"]}, "Asia/Tokyo", "2026-11-21T15:00:00", "2026-11-27T15:00:00"),
        # summer time begins on 29 March at 02:00 and ends on 25 October at 03:00, both Sundays
        ({"begins": "09:00", "ends": "18:00"}, "Europe/Berlin", "2026-03-28T18:00:00", "2026-03-29T07:00:00"),
        ({"begins": "02:30", "ends": "05:00"}, "Europe/Berlin", "2026-03-29T00:00:00", "2026-03-29T01:30:00"),
        ({"days": ["mon"]}, "Europe/Berlin", "2026-10-25T12:00:00", "2026-10-25T23:00:00"),
    ],
)
def test_hours_begin_where_the_person_is(hours: dict[str, JsonValue], zone: str, now: str, begins: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    found = hours_from(Hours.model_validate(hours), person(time_zone=zone), at)
    assert found == datetime.fromisoformat(begins).replace(tzinfo=UTC)


def test_whose_zone_is_not_known_has_that_of_the_hours() -> None:
    hours = Hours(begins="22:00", ends="23:00", zone="Asia/Tokyo")
    assert hours_from(hours, person(), NOW) == NOW + HOUR


WINDOW = st.tuples(MINUTES, MINUTES)


@given(st.sets(st.sampled_from(DAYS), min_size=1), WINDOW, WINDOW, st.sampled_from(ZONES), st.integers(0, 366 * 24 * 60))
def test_a_message_goes_out_within_the_hours_and_never_in_quiet_ones(
    days: set[Day], window: tuple[int, int], quiet: tuple[int, int], zone: str, minute: int
) -> None:
    """The first such minute, but for where the clock is changed meanwhile; none if there is none in ten days."""
    (begins, ends), (quiet_begins, quiet_ends) = window, quiet
    if quiet_begins == quiet_ends:
        return
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    clock = [f"{m // 60:02}:{m % 60:02}" for m in (begins, ends, quiet_begins, quiet_ends)]
    hours = Hours(days=tuple(days), begins=clock[0], ends=clock[1])
    where = ZoneInfo(zone)

    def good(at: datetime) -> bool:
        wall = at.astimezone(where)
        shown = wall.hour * 60 + wall.minute
        of_yesterday = begins > ends and shown < ends
        day = DAYS[(wall.weekday() - of_yesterday) % 7]
        within = begins == ends or (shown - begins) % 1440 < (ends - begins) % 1440
        return day in days and within and (shown - quiet_begins) % 1440 >= (quiet_ends - quiet_begins) % 1440

    last = now + timedelta(days=10)
    found = open_from(hours, QuietHours(begins=clock[2], ends=clock[3]), person(time_zone=zone), now, last)
    assert found > last or good(found)
    assert (found == now) == good(now)
    if now.astimezone(where).utcoffset() == (last + DAY).astimezone(where).utcoffset():
        minutes = int((min(found, last) - now) / timedelta(minutes=1))
        assert not any(good(now + timedelta(minutes=m)) for m in range(minutes))


def test_what_never_meets_the_hours_before_it_is_too_old_does_not_wait_in_vain() -> None:
    night_only = trigger(hours={"begins": "22:00", "ends": "07:00"})
    policy = Policy(name="email", quiet_hours=NIGHT)
    assert reason(ask(rule=night_only, policy=policy)) == "no longer valid within the trigger's hours"
    assert reason(ask(rule=night_only, policy=policy, now=NOW + 12 * HOUR)) == "no longer valid after quiet hours"


def test_an_exempt_trigger_keeps_its_own_hours_only() -> None:
    policy = Policy(name="email", quiet_hours=QuietHours(begins="00:00", ends="23:00"), exempt=("abandoned",))
    assert isinstance(ask(policy=policy), Send)
    made = ask(rule=trigger(hours={"begins": "13:00", "ends": "14:00"}), policy=policy)
    assert isinstance(made, Wait)
    assert (made.reason, made.until) == ("outside the trigger's hours", NOW + HOUR)
