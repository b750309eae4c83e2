from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from send_message.checks import Send, Skip, Wait, verdict
from shared.definitions import Integration, Policy
from shared.fields import Cap
from shared.sends import Sends, Slot
from tests.send_message.asking import DAY, HOUR, NIGHT, NOW, ask, job, person, reason, stopped, taken, trigger
from tests.send_message.world import INTEGRATION


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
    assert ask(who=person(sends, stopped())) == Skip("suppressed: why", sends)
    again = ask(who=person(sends))
    assert again.sends["m_1"].at == NOW


def test_a_slot_is_given_back_by_what_surely_did_not_go_out() -> None:
    sends = {"m_1": taken(1, "abandoned")}
    integration = Integration.model_validate(INTEGRATION)
    off = verdict(job(), None, person(sends), None, integration=integration, now=NOW, unsent=True)
    assert off == Skip("the trigger was unpublished", {})
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
