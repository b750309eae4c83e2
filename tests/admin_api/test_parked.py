from __future__ import annotations

from admin_api.parked import Parked
from shared.queues import Queue
from tests.admin_api.conftest import Ask
from tests.aws import Aws


def park(aws: Aws, *bodies: str, queue: str = "crm-dynamics") -> None:
    for body in bodies:
        Queue(aws.sqs, aws.queue(f"{queue}-parked")).park(body, f"why {body[:3]}", aws.clock)


def test_parked_items_are_shown_with_why_and_stay(aws: Aws, ask: Ask) -> None:
    park(aws, "one", "two")
    for _ in range(2):
        items = ask("GET", "/parked", None, queue="crm-dynamics")[1]["items"]
        assert sorted((item["body"], item["reason"]) for item in items) == [("one", "why one"), ("two", "why two")]
    assert items[0]["parked_at"] == "2026-11-21T12:00:00.000Z"
    assert len({item["id"] for item in items}) == 2


def test_every_item_is_shown_once_however_many_there_are(aws: Aws, ask: Ask) -> None:
    park(aws, *(f"{number:03d}" for number in range(35)))
    items = ask("GET", "/parked", None, queue="crm-dynamics")[1]["items"]
    assert sorted(item["body"] for item in items) == [f"{number:03d}" for number in range(35)]


def test_a_long_body_is_cut_between_characters(aws: Aws, ask: Ask) -> None:
    park(aws, "x" + "é" * 5000)
    (item,) = ask("GET", "/parked", None, queue="crm-dynamics")[1]["items"]
    assert item["cut"] is True
    assert item["body"] == "x" + "é" * 2047


def test_what_sqs_parked_says_how_often_it_was_tried(aws: Aws, ask: Ask) -> None:
    arn = aws.sqs.get_queue_attributes(QueueUrl=aws.queue("events-parked"), AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.sqs.set_queue_attributes(
        QueueUrl=aws.queue("events"),
        Attributes={"RedrivePolicy": f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "2"}}'},
    )
    aws.sqs.send_message(QueueUrl=aws.queue("events"), MessageBody="poison")
    for _ in range(3):
        aws.sqs.receive_message(QueueUrl=aws.queue("events"), VisibilityTimeout=0)
    (item,) = ask("GET", "/parked", None, queue="events")[1]["items"]
    assert item["reason"] == "received 2 times without success"


def test_the_counts_of_all_queues(aws: Aws, ask: Ask) -> None:
    park(aws, "one", "two")
    counts = {row["queue"]: row["parked"] for row in ask("GET", "/parked")[1]["queues"]}
    assert counts == {"events": 0, "timers": 0, "messages": 0, "engagements": 0, "crm-dynamics": 2}


def test_redriving_sends_back_and_unparks(aws: Aws, ask: Ask) -> None:
    park(aws, *(f"{number:03d}" for number in range(12)))
    answer = ask("POST", "/parked/redrive", {"queue": "crm-dynamics"})[1]
    assert answer == {"queue": "crm-dynamics", "redriven": 12, "left": 0, "missing": []}
    assert sorted(aws.received("crm-dynamics")) == [f"{number:03d}" for number in range(12)]
    assert aws.received("crm-dynamics-parked") == []


def test_redriving_some_leaves_the_others(aws: Aws, ask: Ask) -> None:
    park(aws, "one", "two")
    items = ask("GET", "/parked", None, queue="crm-dynamics")[1]["items"]
    one = next(item["id"] for item in items if item["body"] == "one")
    answer = ask("POST", "/parked/redrive", {"queue": "crm-dynamics", "ids": [one, "unknown"]})[1]
    assert (answer["redriven"], answer["left"], answer["missing"]) == (1, 1, ["unknown"])
    assert aws.received("crm-dynamics") == ["one"]
    assert aws.received("crm-dynamics-parked") == ["two"]


def test_large_items_go_back_in_several_requests(aws: Aws, ask: Ask) -> None:
    park(aws, *(str(number) * 150_000 for number in range(4)))
    assert ask("POST", "/parked/redrive", {"queue": "crm-dynamics"})[1]["redriven"] == 4
    assert sorted(body[0] for body in aws.received("crm-dynamics")) == ["0", "1", "2", "3"]


def test_a_redrive_out_of_time_leaves_the_rest_in_sight(aws: Aws) -> None:
    park(aws, *(f"{number:03d}" for number in range(15)))
    seconds = iter([0.0, 1, 2, 3, 4, 9])
    queues = {"crm-dynamics": (aws.queue("crm-dynamics"), aws.queue("crm-dynamics-parked"))}
    answer = Parked(aws.sqs, queues, monotonic=lambda: next(seconds)).redrive("crm-dynamics", None)
    assert (answer["redriven"], answer["left"]) == (10, 5)
    assert len(aws.received("crm-dynamics-parked")) == 5
