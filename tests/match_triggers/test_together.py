"""What goes beyond one visit: other devices, other triggers, what fired before, changes of a profile, what is missing."""

from __future__ import annotations

from datetime import timedelta

from match_triggers.handler import App, compose
from shared.jobs import MessageJob, TimerJob, TrackerEvent
from shared.trackers import PROFILES
from shared.visits import Visit
from tests.aws import Aws
from tests.match_triggers.shop import START, arrived, cart_trigger, people, put_trigger, settings_of, tracker_event

KEY = "shop#a#browser-1"
LOGIN = tracker_event("Signed In", 0, user_id="u1", traits={"email": "ada@example.com", "first_name": "Ada"})
ADDED = tracker_event("Product Added", 10, properties={"product_id": "lamp"})


def started(aws: Aws, *triggers: dict[str, object]) -> App:
    for changes in triggers:
        put_trigger(aws, cart_trigger(**changes))
    return compose(settings_of(aws), aws.dynamodb, aws.sqs, aws.clock)


def happen(app: App, aws: Aws, *events: TrackerEvent) -> None:
    assert app.invoked(aws.delivery("events", arrived(*events))) == {"batchItemFailures": []}


def look(app: App, aws: Aws, seconds: float, *keys: str) -> list[MessageJob]:
    """What is decided about these visitors so many seconds after noon, looked at until nothing is due."""
    aws.clock.at = START + timedelta(seconds=seconds)
    for _ in range(4):
        assert app.invoked(aws.delivery("timers", TimerJob(visit_ids=keys or (KEY,)))) == {"batchItemFailures": []}
    return [MessageJob.model_validate_json(body) for body in aws.received("messages")]


def outcomes(jobs: list[MessageJob]) -> list[tuple[str, str, str]]:
    return [(job.trigger, job.decided, job.reason) for job in jobs]


def row(app: App, key: str = KEY) -> Visit:
    visit = app.desk.visits.read(key)
    assert visit is not None
    return visit


def test_an_order_on_another_device_ends_the_wait(aws: Aws) -> None:
    app = started(aws, {})
    happen(app, aws, LOGIN, ADDED)
    happen(app, aws, tracker_event("Order Completed", 600, anonymous_id="phone", user_id="u1"))
    (job,) = look(app, aws, 3700)
    assert (job.decided, job.reason) == ("skip", "order placed")
    assert "received Order Completed" in [hop.what for hop in job.hops]
    assert (row(app).due_at, row(app).outbox) == (None, ())


def test_an_order_that_a_server_tells_of_ends_the_wait_on_whatever_tracker(aws: Aws) -> None:
    app = started(aws, {})
    happen(app, aws, LOGIN, ADDED)
    happen(app, aws, tracker_event("Order Completed", 600, tracker="till", anonymous_id=None, user_id="u1"))
    assert outcomes(look(app, aws, 3700)) == [("cart", "skip", "order placed")]


def test_an_order_of_somebody_else_or_on_a_tracker_that_does_not_count_ends_nothing(aws: Aws) -> None:
    app = started(aws, {"trackers": ["shop"]})
    happen(app, aws, LOGIN, ADDED)
    happen(app, aws, tracker_event("Order Completed", 600, tracker="till", anonymous_id=None, user_id="u1"))
    happen(app, aws, tracker_event("Order Completed", 600, anonymous_id="phone", user_id="u2"))
    assert outcomes(look(app, aws, 3700)) == [("cart", "send", "")]


def test_a_trigger_that_fires_ends_what_others_wait_for_and_takes_their_messages_back(aws: Aws) -> None:
    app = started(
        aws,
        {"name": "views", "must_include": ["Product Viewed"], "wait_seconds": 60},
        {"name": "cart", "wait_seconds": 600, "cancels": ["views", "late"]},
        {"name": "late", "must_include": ["Product Viewed"], "wait_seconds": 7200},
        {"name": "other", "wait_seconds": 900},
    )
    happen(app, aws, LOGIN, tracker_event("Product Viewed", 5), ADDED)
    (viewed,) = look(app, aws, 71)
    assert outcomes([viewed]) == [("views", "send", "")]
    jobs = look(app, aws, 615)
    assert outcomes(jobs) == [("cart", "send", ""), ("late", "skip", "cancelled by cart")]
    taken_back = app.desk.ledger.read(viewed.message_id)
    assert taken_back is not None
    assert (taken_back.status, taken_back.trace[-1].reason) == ("skipped", "cancelled by cart")
    assert outcomes(look(app, aws, 8000)) == [("other", "send", "")]


def test_all_others_are_cancelled_and_what_begins_afterwards_is_not(aws: Aws) -> None:
    app = started(aws, {"name": "cart", "wait_seconds": 600, "cancels": "all"}, {"name": "slow", "wait_seconds": 7200})
    happen(app, aws, LOGIN, ADDED)
    assert outcomes(look(app, aws, 615)) == [("cart", "send", ""), ("slow", "skip", "cancelled by cart")]
    happen(app, aws, tracker_event("Product Added", 616))
    assert outcomes(look(app, aws, 616 + 601)) == [("cart", "send", ""), ("slow", "skip", "cancelled by cart")]


def test_a_trigger_fires_again_only_after_its_time(aws: Aws) -> None:
    app = started(aws, {"wait_seconds": 60, "reentry_seconds": 86_400})
    happen(app, aws, LOGIN, ADDED)
    assert outcomes(look(app, aws, 71)) == [("cart", "send", "")]
    happen(app, aws, tracker_event("Product Added", 1000))
    assert outcomes(look(app, aws, 1061)) == [("cart", "skip", "fired already")]
    happen(app, aws, tracker_event("Product Added", 90_000))
    assert outcomes(look(app, aws, 90_061)) == [("cart", "send", "")]
    assert row(app).fired_at == {"cart": START + timedelta(seconds=90_060)}


def test_a_trigger_that_fires_once_never_fires_again(aws: Aws) -> None:
    app = started(aws, {"wait_seconds": 60, "reentry_seconds": None})
    happen(app, aws, LOGIN, ADDED)
    look(app, aws, 71)
    happen(app, aws, tracker_event("Product Added", 20 * 86_400))
    assert outcomes(look(app, aws, 20 * 86_400 + 61)) == [("cart", "skip", "fired already")]
    kept = aws.dynamodb.get_item(TableName=aws.table("visits"), Key={"pk": {"S": KEY}})["Item"]["expires_at"]["N"]
    assert int(kept) > (START + timedelta(days=700)).timestamp()


def test_a_change_of_a_profile_is_an_event_of_its_own(aws: Aws) -> None:
    moved = {"changed": "city", "where": [{"path": "new", "equals": "Paris"}]}
    app = started(
        aws, {"name": "moved", "type": "profile_change", "must_include": [moved], "must_not_include": [], "wait_seconds": 5}
    )
    happen(app, aws, tracker_event("Identified", 0, user_id="u1", traits={"city": "Rome"}))
    happen(app, aws, tracker_event("Identified", 60, user_id="u1", traits={"city": "Paris"}))
    (profile,) = people(app.desk, ("user_id", "u1"))
    (job,) = look(app, aws, 66, f"{PROFILES}#u#{profile}")
    assert (job.trigger, job.decided, job.profile_id) == ("moved", "send", profile)
    event = job.context["event"]
    assert isinstance(event, dict)
    assert event["properties"] == {"attribute": "city", "old": "Rome", "new": "Paris"}
    assert app.desk.visits.read(KEY) is None


def test_a_change_that_was_told_by_who_then_died_is_told_again(aws: Aws) -> None:
    app = started(aws, {"name": "moved", "type": "profile_change", "must_include": [{"changed": "city"}], "wait_seconds": 5})
    told = aws.delivery("events", arrived(tracker_event("Identified", 60, user_id="u1", traits={"city": "Paris"})))
    write_all = app.desk.visits.write_all

    def die(*_: object) -> None:
        raise ConnectionError

    app.desk.visits.write_all = die  # type: ignore[method-assign, assignment]
    assert app.invoked(told)["batchItemFailures"] != []
    app.desk.visits.write_all = write_all  # type: ignore[method-assign]
    assert app.invoked(told)["batchItemFailures"] == []
    (profile,) = people(app.desk, ("user_id", "u1"))
    assert len(row(app, f"{PROFILES}#u#{profile}").events) == 1


def test_a_message_waits_for_what_it_must_have(aws: Aws) -> None:
    app = started(aws, {"requires": ["profile.last_name"], "if_missing": "wait", "missing_wait_seconds": 600})
    happen(app, aws, LOGIN, ADDED)
    assert look(app, aws, 3611) == []
    assert row(app).due_at == START + timedelta(seconds=3671)
    assert look(app, aws, 3640) == []
    happen(app, aws, tracker_event("Signed In", 3641, user_id="u1", traits={"last_name": "Lovelace"}))
    (job,) = look(app, aws, 3671)
    assert job.decided == "send"
    assert job.anchor_at == START + timedelta(seconds=10)
    assert (row(app).due_at, row(app).held) == (None, {})


def test_what_ends_it_meanwhile_ends_it_and_some_day_it_is_dropped(aws: Aws) -> None:
    lacking = {"requires": ["profile.last_name"], "if_missing": "wait", "missing_wait_seconds": 600}
    app = started(aws, lacking)
    happen(app, aws, LOGIN, ADDED)
    assert look(app, aws, 3611) == []
    happen(app, aws, tracker_event("Order Completed", 3650))
    assert outcomes(look(app, aws, 3671)) == [("cart", "skip", "order placed")]
    happen(app, aws, tracker_event("Product Added", 4000))
    assert look(app, aws, 7601) == []
    assert [reason for _, _, reason in outcomes(look(app, aws, 4000 + 3600 + 601))] == ["missing: profile.last_name"]


def test_several_people_for_one_device_are_named_on_the_trace(aws: Aws) -> None:
    app = started(aws, {})
    grace = tracker_event("Signed In", 20, user_id="u2", traits={"email": "grace@example.com"})
    happen(app, aws, LOGIN, ADDED, grace)
    (job,) = look(app, aws, 3700)
    both = people(app.desk, ("user_id", "u1"), ("user_id", "u2"))
    assert (job.reason, job.hops[-1].data["profiles"]) == ("several profiles", both)


def test_one_visitors_failure_leaves_those_of_the_same_timer_alone(aws: Aws) -> None:
    app = started(aws, {})
    happen(app, aws, LOGIN, ADDED, tracker_event("Product Added", 10, anonymous_id="other"))
    sound = row(app)
    aws.dynamodb.put_item(
        TableName=aws.table("visits"),
        Item={"pk": {"S": KEY}, "visit": {"S": '{"id": 7}'}, "version": {"N": str(sound.version)}},
    )
    aws.clock.at = START + timedelta(seconds=3700)
    event = aws.delivery("timers", TimerJob(visit_ids=(KEY, "shop#a#other")))
    assert len(app.invoked(event)["batchItemFailures"]) == 1  # type: ignore[arg-type]
    assert [MessageJob.model_validate_json(body).visit_id for body in aws.received("messages")] == ["shop#a#other"]
