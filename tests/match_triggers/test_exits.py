"""What takes a message back after its trigger has fired, and what its job brings along."""

from __future__ import annotations

from datetime import timedelta

import pytest

from match_triggers.handler import App, compose
from shared.jobs import MessageJob, TimerJob
from shared.ledger_rows import Message
from shared.person import from_snapshot
from tests.aws import Aws
from tests.match_triggers.shop import START, arrived, cart_trigger, put_trigger, settings_of, tracker_event
from tests.rows import in_ledger

KEY = "shop#a#browser-1"
LOGIN = tracker_event("Signed In", 0, user_id="u1", traits={"email": "ada@example.com", "first_name": "Ada"})
ADDED = tracker_event("Product Added", 10, properties={"product_id": "lamp"})
INTEGRATION: dict[str, object] = {"name": "esp", "url": "https://esp.example.com/send", "body": {"to": "{{ to }}"}}


def fired(app: App, aws: Aws) -> MessageJob:
    """Ada leaves her cart, and two hours later her trigger fires."""
    app.invoked(aws.delivery("events", arrived(LOGIN, ADDED)))
    aws.clock.at = START + timedelta(hours=2)
    app.invoked(aws.delivery("timers", TimerJob(visit_ids=(KEY,))))
    (body,) = aws.received("messages")
    return MessageJob.model_validate_json(body)


def ordered(app: App, aws: Aws, second: float = 7_300) -> None:
    """Ada orders."""
    aws.clock.forward(200)
    app.invoked(aws.delivery("events", arrived(tracker_event("Order Completed", second))))


def message(app: App, job: MessageJob) -> Message:
    found = app.desk.ledger.read(job.message_id)
    assert found is not None
    return found


@pytest.mark.parametrize("second", [7_300, 11], ids=["after", "late"])
def test_an_order_after_the_trigger_fired_takes_the_message_back(app: App, aws: Aws, second: float) -> None:
    job = fired(app, aws)
    ordered(app, aws, second)
    skipped = message(app, job)
    assert (skipped.status, skipped.trace[-1].reason) == ("skipped", "order placed")
    assert [hop.what for hop in skipped.trace] == ["received Order Completed", "skip"]
    assert (skipped.visit_id, skipped.profile_id, skipped.campaign) == (KEY, job.profile_id, "carts")


def test_the_reason_is_in_the_words_of_the_trigger(aws: Aws) -> None:
    put_trigger(aws, cart_trigger(cancelled_as="bought, or called us"))
    app = compose(settings_of(aws), aws.dynamodb, aws.sqs, aws.clock)
    job = fired(app, aws)
    ordered(app, aws)
    assert message(app, job).trace[-1].reason == "bought, or called us"


def test_an_order_before_the_cart_takes_nothing_back(app: App, aws: Aws) -> None:
    job = fired(app, aws)
    ordered(app, aws, 5)
    assert app.desk.ledger.read(job.message_id) is None


def test_an_order_told_of_twice_takes_back_once(app: App, aws: Aws) -> None:
    job = fired(app, aws)
    for _ in range(2):
        ordered(app, aws)
    assert len(message(app, job).trace) == 2


def test_a_message_that_has_gone_out_stays_sent(app: App, aws: Aws) -> None:
    job = fired(app, aws)
    in_ledger(aws, job, "sent")
    ordered(app, aws)
    assert message(app, job).status == "sent"


def test_a_message_in_doubt_is_cancelled_for_whoever_finds_out(app: App, aws: Aws) -> None:
    job = fired(app, aws)
    in_ledger(aws, job, "unknown")
    ordered(app, aws)
    assert (message(app, job).status, message(app, job).cancelled) == ("unknown", "order placed")


def test_who_dies_before_it_is_told_tells_it_the_next_time(app: App, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    job = fired(app, aws)

    def die(*_: object) -> None:
        raise ConnectionError

    event = aws.delivery("events", arrived(tracker_event("Order Completed", 7_300)))
    with monkeypatch.context() as dying:
        dying.setattr(app.desk.ledger, "skip", die)
        assert len(app.invoked(event)["batchItemFailures"]) == 1  # type: ignore[arg-type]
    assert app.desk.ledger.read(job.message_id) is None
    assert app.invoked(event) == {"batchItemFailures": []}
    assert message(app, job).status == "skipped"


def test_what_is_no_longer_valid_is_forgotten(app: App, aws: Aws) -> None:
    job = fired(app, aws)
    aws.clock.at = job.valid_until + timedelta(seconds=1)
    ordered(app, aws, 100_000)
    assert app.desk.ledger.read(job.message_id) is None


def test_the_job_brings_the_profile_as_it_is_when_it_is_queued(app: App, aws: Aws) -> None:
    job = fired(app, aws)
    assert job.profile is not None
    brought = from_snapshot(job.profile)
    kept = app.desk.profiles.get(job.profile_id or "")
    assert kept is not None
    assert (brought.id, brought.email, brought.attributes["first_name"]) == (job.profile_id, "ada@example.com", "Ada")
    assert brought.version == kept.version
    visit = app.desk.visits.read(KEY)
    assert visit is not None
    assert "ada@example.com" not in str([one.model_dump_json() for one in visit.fired])


def test_a_large_profile_is_left_to_be_read(app: App, aws: Aws) -> None:
    large = tracker_event("Signed In", 1, user_id="u1", traits={"biography": "x" * 20_000})
    app.invoked(aws.delivery("events", arrived(large)))
    job = fired(app, aws)
    assert job.profile is None
    assert job.profile_id is not None


def test_the_job_has_the_version_of_its_integration(app: App, aws: Aws) -> None:
    for _ in range(3):
        aws.define("integration", **INTEGRATION)
    assert fired(app, aws).integration_version == 3


def test_an_integration_that_is_not_there_has_no_version(app: App, aws: Aws) -> None:
    assert fired(app, aws).integration_version == 0
