from __future__ import annotations

import random

import pytest

from shared.errors import Misconfigured, Permanent, Transient
from shared.jobs import TimerJob
from shared.queues import MAX_BODY, Batch, Queue, Record, backoff, patience, urls_by_name
from tests.aws import Aws


def batch(aws: Aws, *bodies: TimerJob | str) -> Batch[TimerJob]:
    return Batch(
        aws.delivery("timers", *bodies),
        TimerJob,
        client=aws.sqs,
        queue_url=aws.queue("timers"),
        parked=Queue(aws.sqs, aws.queue("timers-parked")),
        clock=aws.clock,
    )


def failing(errors: dict[str, Exception]) -> object:
    def work(record: Record[TimerJob]) -> None:
        if record.body.visit_ids[0] in errors:
            raise errors[record.body.visit_ids[0]]

    return work


def test_each_record_has_an_outcome_of_its_own(aws: Aws) -> None:
    jobs = [TimerJob(visit_ids=(name,)) for name in ("done", "later", "never", "bug", "wrong")]
    errors: dict[str, Exception] = {
        "later": Transient("503"),
        "never": Permanent("no such contact"),
        "bug": ZeroDivisionError(),
        "wrong": Misconfigured("no credentials"),
    }
    taken = batch(aws, *jobs)
    taken.each(failing(errors))  # type: ignore[arg-type]
    by_sqs_id = {record.message_id: record.body.visit_ids[0] for record in taken.records}
    kept = [by_sqs_id[failure["itemIdentifier"]] for failure in taken.response()["batchItemFailures"]]
    assert sorted(kept) == ["bug", "later", "wrong"]
    [parked] = aws.received_messages("timers-parked")
    assert parked["Body"] == TimerJob(visit_ids=("never",)).model_dump_json()
    assert parked["MessageAttributes"]["reason"]["StringValue"] == "no such contact"
    assert parked["MessageAttributes"]["parked_at"]["StringValue"] == "2026-11-21T12:00:00.000Z"


@pytest.mark.parametrize("body", ["", "not json", "{}", '{"visit_id": 7}', '{"visit_id": "a", "extra": 1}', "[" * 10_000])
def test_a_body_that_cannot_be_read_is_parked_with_its_reason_and_its_neighbour_is_not(aws: Aws, body: str) -> None:
    if not body:
        body = " "
    taken = batch(aws, body, TimerJob(visit_ids=("ok",)))
    assert [record.body.visit_ids[0] for record in taken.records] == ["ok"]
    [parked] = aws.received_messages("timers-parked")
    assert parked["Body"] == body
    assert parked["MessageAttributes"]["reason"]["StringValue"].startswith("unreadable: ")
    assert taken.response() == {"batchItemFailures": []}


def test_sending_many_is_split_and_loses_none(aws: Aws) -> None:
    queue = Queue(aws.sqs, aws.queue("timers"))
    jobs = [TimerJob(visit_ids=(f"{n}-" + "x" * (MAX_BODY // 3),)) for n in range(8)] + [
        TimerJob(visit_ids=(str(n),)) for n in range(25)
    ]
    queue.send_all(jobs)
    sent = {TimerJob.model_validate_json(text).visit_ids[0] for text in aws.received("timers")}
    assert sent == {job.visit_ids[0] for job in jobs}


def test_a_wait_is_never_shorter_than_the_vendor_asked_for_and_is_spread_out() -> None:
    chance = random.Random(1)
    waits = {patience(Transient("429", retry_after=60), 1, chance) for _ in range(200)}
    assert min(waits) >= 60
    assert max(waits) <= 75
    assert len(waits) > 5


def test_backoff_grows_to_its_cap_and_is_jittered() -> None:
    chance = random.Random(1)
    assert all(0.5 <= backoff(1, chance) <= 2 for _ in range(100))
    late = [backoff(50, chance, cap=300) for _ in range(200)]
    assert max(late) <= 300
    assert max(late) - min(late) > 200


def test_many_are_parked_each_with_its_reason(aws: Aws) -> None:
    Queue(aws.sqs, aws.queue("timers-parked")).park_all(((f"body {n}", f"reason {n}") for n in range(25)), aws.clock)
    parked = aws.received_messages("timers-parked")
    assert {(m["Body"], m["MessageAttributes"]["reason"]["StringValue"]) for m in parked} == {
        (f"body {n}", f"reason {n}") for n in range(25)
    }


def test_what_sqs_refuses_in_a_text_is_sent_escaped_and_read_back(aws: Aws) -> None:
    Queue(aws.sqs, aws.queue("timers")).send(TimerJob(visit_ids=("a\ufffe\uffffb",)))
    [body] = aws.received("timers")
    assert "\ufffe" not in body
    assert "\uffff" not in body
    assert TimerJob.model_validate_json(body).visit_ids[0] == "a\ufffe\uffffb"


def test_queue_urls_are_read_by_name() -> None:
    assert urls_by_name(("crm=https://sqs/1/q?a=b",)) == {"crm": "https://sqs/1/q?a=b"}


def test_a_reason_that_names_what_sqs_does_not_take_is_parked_all_the_same(aws: Aws) -> None:
    queue = Queue(aws.sqs, aws.queue("timers-parked"))
    queue.park_all([("body", "a\x00b\x0b\uffff\ud800: no such f\u00efeld\t\U0001f600")], aws.clock)
    [parked] = aws.received_messages("timers-parked")
    assert parked["MessageAttributes"]["reason"]["StringValue"] == "a?b???: no such f\u00efeld\t\U0001f600"
