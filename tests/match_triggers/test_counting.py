"""Decisions are counted once, by their kind, on their day."""

from __future__ import annotations

from datetime import timedelta

import pytest

from match_triggers.counting import decision_of
from match_triggers.handler import App
from shared.errors import Transient
from shared.jobs import Hop, MessageJob, TimerJob, TrackerEvent
from shared.reports import Day
from tests.aws import Aws
from tests.match_triggers.shop import START, arrived, cart_trigger, tracker_event

KEYS = [f"shop#a#browser-{number}" for number in range(1, 5)]


def somebody(number: int) -> list[TrackerEvent]:
    """Logs in and leaves a cart."""
    who: dict[str, object] = {"anonymous_id": f"browser-{number}"}
    login = tracker_event("Signed In", 0, user_id=f"u{number}", traits={"email": f"u{number}@example.com"}, **who)
    return [login, tracker_event("Product Added", 1, **who)]


def due(app: App, aws: Aws, *keys: str) -> None:
    app.invoked(aws.delivery("timers", TimerJob(visit_ids=keys)))


def report(app: App, aws: Aws) -> Day:
    [day] = app.reports.read(["cart"], [aws.clock().date()])
    return day


def test_what_was_decided_is_counted_once(app: App, aws: Aws) -> None:
    events = [*somebody(1), *somebody(2), *somebody(3), tracker_event("Order Completed", 60, anonymous_id="browser-3")]
    stranger = tracker_event("Product Added", 1, anonymous_id="browser-4")
    app.invoked(aws.delivery("events", arrived(*events, stranger)))
    aws.clock.at = START + timedelta(seconds=3601 + 7.25)
    for _ in range(2):
        due(app, aws, *KEYS)
    found = report(app, aws)
    assert found.counts == {"fired": 2, "late": 2, "late_ms": 14_500, "cancelled": 1, "skipped:no profile": 1}
    assert (found.matched, found.latest_ms) == (4, 7250)
    assert sorted((one.visit_id, one.decided, one.reason) for one in found.recent) == [
        (KEYS[0], "send", ""),
        (KEYS[1], "send", ""),
        (KEYS[2], "skip", "order placed"),
        (KEYS[3], "skip", "no profile"),
    ]


def test_what_could_not_be_sent_at_once_is_counted_once(app: App, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    app.invoked(aws.delivery("events", arrived(*somebody(1))))
    aws.clock.at = START + timedelta(hours=2)

    def busy(*_: object) -> None:
        raise Transient("SQS is busy")

    with monkeypatch.context() as patched:
        patched.setattr(type(app.desk.messages), "send_all", busy)
        app.invoked(aws.delivery("timers", TimerJob(visit_ids=(KEYS[0],))))
    assert report(app, aws).counts["fired"] == 1
    due(app, aws, KEYS[0])
    assert report(app, aws).counts["fired"] == 1
    assert len(aws.received("messages")) == 1


def test_what_is_taken_back_is_counted_once(app: App, aws: Aws) -> None:
    app.invoked(aws.delivery("events", arrived(*somebody(1))))
    aws.clock.at = START + timedelta(hours=2)
    due(app, aws, KEYS[0])
    order = tracker_event("Order Completed", 7201)
    for _ in range(2):
        aws.clock.forward(60)
        app.invoked(aws.delivery("events", arrived(order)))
    counts = report(app, aws).counts
    assert (counts["fired"], counts["unsent:order placed"]) == (1, 1)


def test_many_decisions_of_one_trigger_are_counted_by_one_write(aws: Aws, app: App) -> None:
    app.invoked(aws.delivery("events", arrived(*(event for number in range(30) for event in somebody(number)))))
    aws.clock.at = START + timedelta(hours=2)
    written: list[str] = []
    aws.dynamodb.meta.events.register("before-call.dynamodb.UpdateItem", lambda model, **_: written.append(model.name))
    due(app, aws, *(f"shop#a#browser-{number}" for number in range(30)))
    assert report(app, aws).counts["fired"] == 30
    # The second, once a day: that it was this late.
    assert len(written) == 2


@pytest.mark.parametrize(
    ("reason", "cancelled"),
    [
        ("order placed", True),
        ("came back", True),
        ("cancelled by welcome", True),
        ("no profile", False),
        ("fired already", False),
    ],
)
def test_what_counts_as_cancelled(reason: str, cancelled: bool) -> None:
    job = MessageJob(
        message_id="m_1",
        trigger="cart",
        trigger_version=1,
        visit_id="v",
        profile_id=None,
        decided="skip",
        reason=reason,
        campaign="c",
        delivery="d",
        template="t",
        integration="i",
        decided_at=START,
        anchor_at=START,
        valid_until=START,
        hops=(Hop(at=START, hop="match_triggers", what="timer", data={"lateness": 1.5}),),
    )
    decision = decision_of(job, cart_trigger())
    assert (decision.cancelled, decision.lateness) == (cancelled, 1.5)
    assert decision_of(job, None).cancelled == (cancelled and reason != "order placed")
