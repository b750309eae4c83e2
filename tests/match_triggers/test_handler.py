from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from match_triggers import handler
from match_triggers.handler import App, compose
from shared.aws import take_calls
from shared.errors import Transient
from shared.ids import message_id
from shared.jobs import EventsJob, MessageJob, TimerJob
from shared.profiles import Profiles
from shared.visits import Visit
from tests.aws import Aws
from tests.match_triggers.shop import START, arrived, cart_trigger, put_trigger, settings_of, tracker_event
from tests.people import found

KEY = "shop#a#browser-1"
EVENTS = Path("events/match_triggers")
LOGIN = tracker_event("Signed In", 0, user_id="u1", traits={"email": "Ada@Example.com", "first_name": "Ada"})
ADDED = tracker_event("Product Added", 1, properties={"product_id": "lamp", "quantity": 2})


def handed(app: App, aws: Aws, *jobs: EventsJob) -> None:
    assert app.invoked(aws.delivery("events", *jobs)) == {"batchItemFailures": []}


def timer_goes_off(app: App, aws: Aws, key: str = KEY) -> None:
    assert app.invoked(aws.delivery("timers", TimerJob(visit_ids=(key,)))) == {"batchItemFailures": []}


def sent(aws: Aws) -> list[MessageJob]:
    return [MessageJob.model_validate_json(body) for body in aws.received("messages")]


def row(app: App, key: str = KEY) -> Visit:
    visit = app.desk.visits.read(key)
    assert visit is not None
    return visit


def calls() -> dict[str, int]:
    return {name: number for name, number in take_calls().items() if name.startswith("dynamodb")}


@pytest.fixture
def counting(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> App:
    """The function as Lambda makes it, from its environment, but for the clock; its definitions read already."""
    put_trigger(aws, cart_trigger(trackers=["shop"]))
    for name, value in settings_of(aws).to_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(handler, "utc_now", aws.clock)
    handler._app.cache_clear()
    app = handler._app()
    app.desk.triggers.all()
    take_calls()
    return app


def test_an_abandoned_cart_becomes_one_message(app: App, aws: Aws) -> None:
    handed(app, aws, arrived(LOGIN, ADDED), arrived(ADDED))
    aws.clock.forward(3601.5)
    for _ in range(2):
        timer_goes_off(app, aws)
    (job,) = sent(aws)
    assert job.message_id == message_id("cart", KEY, ADDED.id)
    assert (job.decided, job.context["cart"]) == ("send", [{"product_id": "lamp", "quantity": 2}])
    assert found(app.desk.profiles, [("email", "ada@example.com"), ("user_id", "u1")]) == [job.profile_id]
    assert (row(app).due_at, row(app).outbox, row(app).consumed) == (None, (), {"cart": ADDED.at + timedelta(hours=1)})


def test_what_is_told_of_a_person_is_in_the_profile(app: App, aws: Aws) -> None:
    older = tracker_event("Signed In", -60, user_id="u1", traits={"first_name": "A.", "last_name": "Lovelace"})
    handed(app, aws, arrived(LOGIN), arrived(older))
    (profile,) = app.desk.profiles.get_all(found(app.desk.profiles, [("user_id", "u1")])).values()
    assert profile.attributes == {"email": "Ada@Example.com", "first_name": "Ada", "last_name": "Lovelace"}


def test_the_buyer_and_the_stranger_have_a_trace(app: App, aws: Aws) -> None:
    bought = tracker_event("Order Completed", 5)
    handed(app, aws, arrived(LOGIN, ADDED, bought, tracker_event("Product Added", 2, anonymous_id="browser-2")))
    aws.clock.forward(7200)
    timer_goes_off(app, aws)
    timer_goes_off(app, aws, "shop#a#browser-2")
    assert sorted((job.decided, job.reason) for job in sent(aws)) == [("skip", "no profile"), ("skip", "order placed")]


def test_several_people_on_one_device_get_nothing(app: App, aws: Aws) -> None:
    other = tracker_event("Signed In", 3, user_id="u2", traits={"email": "grace@example.com"})
    handed(app, aws, arrived(LOGIN, ADDED, other))
    aws.clock.forward(7200)
    timer_goes_off(app, aws)
    assert [job.reason for job in sent(aws)] == ["several profiles"]


def test_an_action_restarts_the_silence_and_the_old_timer_finds_that(app: App, aws: Aws) -> None:
    handed(app, aws, arrived(ADDED))
    handed(app, aws, arrived(tracker_event("Page Viewed", 1800)))
    aws.clock.forward(3602)
    timer_goes_off(app, aws)
    assert sent(aws) == []
    assert row(app).due_at == START + timedelta(seconds=1800 + 3600)


def test_an_action_after_the_message_begins_no_new_one(app: App, aws: Aws) -> None:
    handed(app, aws, arrived(ADDED))
    aws.clock.forward(4000)
    timer_goes_off(app, aws)
    assert len(sent(aws)) == 1
    handed(app, aws, arrived(tracker_event("Page Viewed", 4000), ADDED))
    assert row(app).due_at is None


def test_a_near_deadline_gets_its_timer_at_once_with_its_exact_delay(aws: Aws) -> None:
    put_trigger(aws, cart_trigger(wait_seconds=2))
    app = compose(settings_of(aws), aws.dynamodb, aws.sqs, aws.clock)
    aws.clock.at = ADDED.at + timedelta(seconds=0.3)
    handed(app, aws, arrived(ADDED))
    started = time.monotonic()
    assert aws.received("timers") == []
    while not (timers := aws.received("timers")):
        assert time.monotonic() - started < 10
        time.sleep(0.05)
    assert timers == [TimerJob(visit_ids=(KEY,)).model_dump_json()]
    assert 1.0 < time.monotonic() - started < 5


def test_a_timer_that_comes_a_little_early_is_sent_again_and_an_old_one_is_not(app: App, aws: Aws) -> None:
    handed(app, aws, arrived(ADDED))
    aws.clock.at = ADDED.at + timedelta(seconds=3600 - 0.5)
    timer_goes_off(app, aws)
    time.sleep(1.1)
    assert len(aws.received("timers")) == 1
    aws.clock.at = ADDED.at + timedelta(seconds=3600 - 30)
    timer_goes_off(app, aws)
    assert _pending(aws) == 0
    assert sent(aws) == []


def _pending(aws: Aws) -> int:
    url = aws.queue("timers")
    names: Any = ["ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessages"]
    return sum(int(n) for n in aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values())


def test_the_sweep_finds_whatever_is_due_soon_or_was_left_behind(app: App, aws: Aws) -> None:
    visitors = [tracker_event("Product Added", 0, anonymous_id=f"browser-{number}") for number in range(40)]
    later = tracker_event("Product Added", 0, anonymous_id="later")
    handed(app, aws, arrived(*visitors))
    aws.clock.forward(120)
    handed(app, aws, arrived(later.model_copy(update={"at": aws.clock()})))
    aws.clock.forward(3600 - 29)
    assert app.invoked({"source": "aws.events"}) == {}
    timers = [TimerJob.model_validate_json(body) for body in aws.received("timers")]
    assert len(timers) == 4
    woken = {visit_id for timer in timers for visit_id in timer.visit_ids}
    assert woken == {f"shop#a#browser-{number}" for number in range(40)}
    aws.clock.forward(10 * 86400)
    app.invoked(json.loads((EVENTS / "sweep.json").read_text()))
    assert sum(len(TimerJob.model_validate_json(body).visit_ids) for body in aws.received("timers")) == 41


def test_an_outage_later_the_message_is_not_fresher_than_its_deadline(app: App, aws: Aws) -> None:
    handed(app, aws, arrived(LOGIN, ADDED))
    aws.clock.forward(3 * 86400)
    timer_goes_off(app, aws)
    (job,) = sent(aws)
    assert job.valid_until == ADDED.at + timedelta(seconds=3600 + 86400)


def test_an_unreadable_record_is_parked_and_its_neighbour_is_done(app: App, aws: Aws) -> None:
    handed_over = aws.delivery("events", '{"events": 7}', arrived(ADDED))
    assert app.invoked(handed_over) == {"batchItemFailures": []}
    (parked,) = aws.received_messages("events-parked")
    assert parked["MessageAttributes"]["reason"]["StringValue"].startswith("unreadable: events")
    assert row(app).events


def test_one_visits_failure_leaves_its_neighbours_alone(app: App, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> str:
        raise RuntimeError("profiles are down")

    monkeypatch.setattr(Profiles, "upsert", down)
    event = aws.delivery("events", arrived(LOGIN), arrived(tracker_event("Product Added", 1, anonymous_id="browser-2")))
    records: Any = event["Records"]
    failed = [record["messageId"] for record in records if "browser-1" in record["body"]]
    assert app.invoked(event) == {"batchItemFailures": [{"itemIdentifier": failed[0]}]}
    assert row(app, "shop#a#browser-2").events


def test_a_batch_that_cannot_be_read_at_all_comes_back_after_a_delay_of_its_own(
    app: App, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> dict[str, Visit]:
        raise RuntimeError("DynamoDB is down")

    monkeypatch.setattr(type(app.desk.visits), "read_all", down)
    event = aws.delivery("events", arrived(ADDED), arrived(LOGIN))
    records: Any = event["Records"]
    assert app.invoked(event) == {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in records]}


def test_two_at_once_lose_nothing(app: App, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another invocation writes the row between our read and our write, for each of the first two tries."""
    rival = compose(settings_of(aws), aws.dynamodb, aws.sqs, aws.clock)
    writes = type(app.desk.visits).write_all
    turns = iter([2, 3])

    def write_all(self: Any, visits: Iterable[Visit]) -> list[Visit | Transient | None]:
        if self is app.desk.visits and (second := next(turns, None)):
            handed(rival, aws, arrived(tracker_event("Product Added", second)))
        return writes(self, visits)

    monkeypatch.setattr(type(app.desk.visits), "write_all", write_all)
    handed(app, aws, arrived(ADDED))
    assert [event.id for event in row(app).events] == ["Product Added@1", "Product Added@2", "Product Added@3"]


def test_what_touches_no_trigger_costs_nothing(counting: App, aws: Aws) -> None:
    handed(counting, aws, arrived(*(tracker_event("Product Added", n, tracker="blog", anonymous_id=f"{n}") for n in range(9))))
    assert calls() == {}


def test_where_no_trigger_attends_what_none_names_costs_nothing(aws: Aws) -> None:
    put_trigger(aws, cart_trigger(type="event", must_not_include=[], wait_seconds=1))
    app = compose(settings_of(aws), aws.dynamodb, aws.sqs, aws.clock)
    handed(app, aws, arrived(ADDED))
    app.desk.triggers.all()
    take_calls()
    handed(app, aws, arrived(*(tracker_event("Page Viewed", n, user_id="u1") for n in range(9))))
    assert calls() == {}
    assert len(row(app).events) == 1


def test_an_order_by_a_user_costs_two_writes_and_a_stranger_s_one(counting: App, aws: Aws) -> None:
    handed(counting, aws, arrived(ADDED, tracker_event("Product Added", 1, anonymous_id="other")))
    take_calls()
    written: list[str] = []
    write_all = counting.desk.visits.write_all

    def noted(visits: Iterable[Visit]) -> list[Visit | Transient | None]:
        visits = list(visits)
        written.extend(visit.id for visit in visits)
        return write_all(visits)

    counting.desk.visits.write_all = noted  # type: ignore[method-assign]
    stranger = tracker_event("Order Completed", 5, anonymous_id="other")
    handed(counting, aws, arrived(tracker_event("Order Completed", 5, user_id="u1"), stranger))
    assert sorted(written) == ["*#u#u1", KEY, "shop#a#other"]
    assert calls() == {"dynamodb:BatchGetItem": 1, "dynamodb:BatchExecuteStatement": 1}


def test_visitors_who_fall_due_together_are_worked_off_together(counting: App, aws: Aws) -> None:
    people = [
        tracker_event("Signed In", 0, anonymous_id=f"{n}", user_id=f"u{n}", traits={"first_name": "Ada"}) for n in range(20)
    ]
    handed(counting, aws, arrived(*people, *(tracker_event("Product Added", 1, anonymous_id=f"{n}") for n in range(20))))
    aws.clock.forward(3700)
    counting.desk.triggers.all()
    counting.desk.versions.of("esp")
    take_calls()
    due = TimerJob(visit_ids=tuple(f"shop#a#{n}" for n in range(20)))
    assert counting.invoked(aws.delivery("timers", due)) == {"batchItemFailures": []}
    # Rows, what their users did elsewhere, whose identifiers they are, their profiles; then decided, cleared, and counted.
    used = calls()
    assert used.pop("dynamodb:UpdateItem") <= 2
    assert used == {"dynamodb:BatchGetItem": 4, "dynamodb:BatchExecuteStatement": 2}
    assert len(sent(aws)) == 20


def test_visitors_who_do_nothing_a_trigger_names_cost_one_read_in_all(counting: App, aws: Aws) -> None:
    handed(counting, aws, arrived(*(tracker_event("Page Viewed", n, anonymous_id=f"{n}") for n in range(50))))
    assert calls() == {"dynamodb:BatchGetItem": 1}


def test_a_visit_costs_one_read_and_one_write(counting: App, aws: Aws) -> None:
    for _ in range(2):
        handed(counting, aws, arrived(ADDED, tracker_event("Page Viewed", 2)), arrived(tracker_event("Product Added", 3)))
    assert calls() == {"dynamodb:BatchGetItem": 2, "dynamodb:BatchExecuteStatement": 1}


def test_through_the_entry_point(counting: App, aws: Aws) -> None:
    assert counting.desk.clock is aws.clock
    body = (EVENTS / "events.json").read_text()
    assert handler.handle(aws.delivery("events", body), None) == {"batchItemFailures": []}
    aws.clock.forward(2 * 3600)
    assert handler.handle(aws.delivery("timers", (EVENTS / "timer.json").read_text()), None) == {"batchItemFailures": []}
    assert [job.decided for job in sent(aws)] == ["send"]
    assert handler.handle(json.loads((EVENTS / "sweep.json").read_text()), None) == {}
