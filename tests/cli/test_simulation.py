"""What the simulated clock makes of types of triggers that the ready made ones do not have, and of several triggers at once."""

from __future__ import annotations

from datetime import timedelta

from cli.recording import Person
from cli.simulation import Report, Simulation
from shared.catalogue import Versioned
from tests.match_triggers.shop import tracker_event, versioned

KNOWN = [Person(identifiers={"user_id": "u1"}, attributes={"email": "ada@example.com"})]


def done(name: str, second: float, **changes: object) -> object:
    return tracker_event(name, second, **({"user_id": "u1"} | changes))


def run(trigger: Versioned, *events: object, others: tuple[Versioned, ...] = (), hours: float = 10) -> list[Report]:  # type: ignore[type-arg]
    return Simulation(trigger, others, KNOWN).run(events, timedelta(hours=hours))  # type: ignore[arg-type]


def test_each_event_of_a_trigger_on_events_is_decided_about() -> None:
    trigger = versioned(type="event", wait_seconds=10)
    (report,) = run(trigger, done("Product Added", 0), done("Product Added", 60))
    assert [(one.fired, one.due_at - report.began_at) for one in report.decisions] == [
        (True, timedelta(seconds=10)),
        (True, timedelta(seconds=70)),
    ]


def test_another_trigger_cancels_it() -> None:
    trigger = versioned(wait_seconds=600)
    other = versioned(name="other", must_include=["Checkout Started"], wait_seconds=60, cancels=["cart"])
    (report,) = run(trigger, done("Product Added", 0), done("Checkout Started", 10), others=(other,))
    assert [(one.fired, one.reason) for one in report.decisions] == [(False, "cancelled by other")]


def test_a_change_of_a_profile() -> None:
    trigger = versioned(type="profile_change", must_include=[{"changed": "tier"}], wait_seconds=60)
    (report,) = run(trigger, done("Identified", 0, traits={"tier": "silver"}), done("Identified", 100, traits={"tier": "gold"}))
    assert report.visit_id.startswith("profiles#u#")
    assert [one.fired for one in report.decisions] == [True, True]


def test_a_cart_that_is_emptied_after_it_fired_takes_the_message_back() -> None:
    trigger = versioned(must_not_include=["Order Completed", {"cart": "items", "at_most": 0}], wait_seconds=60)
    events = [
        done("Product Added", 0, properties={"product_id": "p1"}),
        done("Product Added", 5, properties={"product_id": "p2"}),
    ]
    one, other = (done("Product Removed", 200 + n, properties={"product_id": f"p{n}"}) for n in (1, 2))
    (report,) = run(trigger, *events, one)
    assert [(decision.fired, decision.taken_back) for decision in report.decisions] == [(True, "")]
    (report,) = run(trigger, *events, one, other)
    assert [(decision.fired, decision.taken_back) for decision in report.decisions] == [(True, "order placed")]


def test_what_was_ended_before_it_was_satisfied() -> None:
    trigger = versioned(must_include=["Product Viewed", "Product Added"])
    (report,) = run(trigger, done("Product Viewed", 0), done("Order Completed", 5))
    assert report.why == "not satisfied: no Product Added"
    (report,) = run(trigger, done("Product Viewed", 0), done("Order Completed", 5), done("Product Added", 9))
    assert not report.matched
    assert "ended before it was satisfied: order placed" in report.why


def test_a_visit_is_told_from_the_next_by_silence() -> None:
    trigger = versioned(wait_seconds=60, session_seconds=300)
    reports = run(trigger, done("Product Added", 0), done("Page Viewed", 299), done("Page Viewed", 700))
    assert [(one.events, one.matched) for one in reports] == [(2, True), (1, False)]


def test_an_event_that_comes_twice_counts_once() -> None:
    again = done("Product Added", 0)
    (report,) = run(versioned(), again, again)
    assert (report.events, len(report.decisions)) == (1, 1)


def test_trackers_that_the_trigger_does_not_look_at_have_no_visits() -> None:
    assert run(versioned(trackers=["app"]), done("Product Added", 0)) == []


def test_nothing_is_decided_after_the_clock_has_stopped() -> None:
    (report,) = run(versioned(wait_seconds=3600), done("Product Added", 0), hours=0.5)
    assert report.decisions == ()
    assert report.waiting_until is not None
    assert report.waiting_until - report.began_at == timedelta(hours=1)


def test_people_who_turn_out_to_be_one_are_one() -> None:
    other = {"user_id": "u2", "anonymous_id": "browser-2"}
    trigger = versioned(wait_seconds=600)
    alias = done("Identified", 10, alias=True, identifiers=[("user_id", "u2")])
    events = [done("Page Viewed", 0, **other, traits={"first_name": "Ada"}), done("Product Added", 5), alias]
    reports = run(trigger, *events)
    assert [one.fired for report in reports for one in report.decisions] == [True]
