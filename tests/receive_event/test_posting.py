from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from connectors.bodies import LARGEST_POST
from receive_event import handler
from receive_event.posting import Desk
from shared.aws import take_calls
from shared.clock import iso
from shared.jobs import EventsJob, TrackerEvent
from shared.queues import MAX_BODY, Queue
from tests.aws import Aws
from tests.receive_event.serving import serving
from tests.sandbox.standard_webhooks import broken, headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SAMPLES = Path("events/receive_event")


@pytest.fixture
def desk(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The function as Lambda makes it, from its environment, but for the clock; with one tracker."""
    body = {"name": "shop", "secrets": [{"secret": True}]}
    aws.dynamodb.put_item(
        TableName=aws.table("definitions"),
        Item={"pk": {"S": "tracker"}, "sk": {"S": "shop"}, "version": {"N": "1"}, "body": {"S": json.dumps(body)}},
    )
    aws.secretsmanager.create_secret(
        Name=f"{aws.secret_prefix}/definition/tracker/shop", SecretString=json.dumps({"/secrets/0": SECRET})
    )
    return serving(aws, monkeypatch)


def event(aws: Aws, **changes: object) -> dict[str, object]:
    return {"id": "e1", "name": "Product Added", "time": iso(aws.clock()), "anonymous_id": "a1", **changes}


def request(aws: Aws, body: object, *, tracker: str = "shop", spoil: bool = False, encoded: bool = False) -> dict[str, object]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signed = headers(SECRET, "msg_1", int(aws.clock().timestamp()), raw)
    return {
        "headers": broken(signed) if spoil else signed,
        "pathParameters": {"tracker": tracker},
        "body": base64.b64encode(raw).decode() if encoded else raw.decode(),
        "isBase64Encoded": encoded,
    }


def answered(request: dict[str, object]) -> tuple[int, dict[str, Any]]:
    answer = handler.handle(request, None)
    assert isinstance(answer, dict)
    return answer["statusCode"], json.loads(answer["body"])


def queued(aws: Aws) -> list[TrackerEvent]:
    return [event for body in aws.received("events") for event in EventsJob.model_validate_json(body).events]


@pytest.mark.usefixtures("desk")
def test_events_are_queued_as_they_happened(aws: Aws) -> None:
    posted = json.loads((SAMPLES / "cart.json").read_text())
    assert answered(request(aws, posted)) == (202, {"accepted": 2, "rejected": []})
    login, added = queued(aws)
    assert (login.id, login.tracker, login.traits["first_name"], login.received_at) == ("evt-1", "shop", "Ada", aws.clock())
    assert (len(added.id), added.properties, iso(added.at)) == (
        32,
        posted["events"][1]["properties"],
        "2026-11-21T11:59:55.250Z",
    )


@pytest.mark.usefixtures("desk")
def test_a_binary_body_is_read_as_it_was_posted(aws: Aws) -> None:
    assert answered(request(aws, event(aws, name="Café ⚡"), encoded=True))[0] == 202
    assert [one.name for one in queued(aws)] == ["Café ⚡"]


@pytest.mark.usefixtures("desk")
def test_characters_that_sqs_refuses_come_through(aws: Aws) -> None:
    odd = {"a": "\ufffe\uffff\x00\x1f\u2028"}
    assert answered(request(aws, event(aws, properties=odd)))[0] == 202
    assert [one.properties for one in queued(aws)] == [odd]


@pytest.mark.usefixtures("desk")
def test_bad_events_are_parked_with_their_reason_and_their_neighbours_taken(aws: Aws) -> None:
    bad = event(aws, nmae="x")
    old = event(aws, time="2020-01-01T00:00:00Z")
    status, body = answered(request(aws, {"events": [bad, event(aws), old]}))
    assert status == 202
    assert body == {
        "accepted": 1,
        "rejected": [
            {"index": 0, "field": "nmae", "reason": "no such field"},
            {"index": 2, "field": "time", "reason": "must be at most 2592000 seconds in the past"},
        ],
    }
    assert [one.id for one in queued(aws)] == ["e1"]
    (parked,) = aws.received_messages("events-parked")
    assert parked["MessageAttributes"]["reason"]["StringValue"] == "nmae: no such field (and 1 more)"
    kept = json.loads(parked["Body"])
    assert kept["tracker"] == "shop"
    assert json.loads(kept["rejected"][0]["event"]) == bad
    assert json.loads(kept["rejected"][1]["event"])["at"] == "2020-01-01T00:00:00.000Z"


@pytest.mark.usefixtures("desk")
def test_a_post_without_any_good_event_is_refused_with_all_its_faults(aws: Aws) -> None:
    status, body = answered(request(aws, {"events": [event(aws, name=7), event(aws, anonymous_id=None)]}))
    assert (status, body["field"], body["detail"]) == (400, "events.0.name", "must be a text")
    assert [fault["field"] for fault in body["errors"]] == ["events.0.name", "events.1.anonymous_id"]
    assert aws.received("events") == aws.received("events-parked") == []


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"\xff", 400, "UTF-8"),
        (b"{", 400, "must be JSON"),
        (b"[" * 10_000 + b"]" * 10_000, 400, "nested deeper"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400, "nested deeper"),
        (b'{"name": "\\ud800"}', 400, "must be there"),
        (b'{"name": 1e999}', 400, "out of range"),
        (b"7", 400, "one event"),
        (b'{"name": "' + b"x" * 999_900 + b'", "time": "2026-11-21T12:00:00Z", "user_id": "u"}', 400, "200 characters"),
        (b"x" * (LARGEST_POST + 1), 413, "bytes"),
    ],
    ids=["not UTF-8", "not JSON", "deep list", "deep object", "half a pair", "infinite", "number", "long", "large"],
)
def test_a_bad_body_is_a_problem_that_says_why(aws: Aws, body: bytes, status: int, detail: str) -> None:
    found, problem = answered(request(aws, body, encoded=True))
    assert found == status
    assert detail in problem["detail"]
    assert aws.received("events") == []


@pytest.mark.usefixtures("desk")
def test_who_may_not_post_is_told_why(aws: Aws) -> None:
    status, problem = answered(request(aws, event(aws), spoil=True))
    assert (status, problem["field"]) == (401, "webhook-signature")
    assert answered(json.loads((SAMPLES / "unsigned.json").read_text()))[0] == 401
    assert answered(request(aws, event(aws), tracker="nobody"))[0] == 404
    assert answered({})[0] == 404
    assert aws.received("events") == []


@pytest.mark.usefixtures("desk")
def test_a_large_post_becomes_several_jobs_and_loses_nothing(aws: Aws) -> None:
    events = [event(aws, id=f"e{number}", properties={"text": "é" * 1_000}) for number in range(400)]
    raw = json.dumps({"events": events}, ensure_ascii=False).encode()
    assert answered(request(aws, raw)) == (202, {"accepted": 400, "rejected": []})
    bodies = aws.received("events")
    assert len(bodies) > 1
    assert max(len(body.encode()) for body in bodies) <= MAX_BODY
    ids = [one.id for body in bodies for one in EventsJob.model_validate_json(body).events]
    assert sorted(ids) == sorted(f"e{number}" for number in range(400))


@pytest.mark.usefixtures("desk")
def test_the_smallest_events_that_grow_most_when_written_out_still_fit(aws: Aws) -> None:
    smallest = b'{"name":"a","time":"%s","user_id":"u","properties":{"n":[1E15,1E15]}}' % iso(aws.clock()).encode()
    raw = b'{"events":[' + b",".join([smallest] * 210) + b"]}"
    assert 19_000 < len(raw) < 20_000
    assert answered(request(aws, raw))[0] == 202
    (body,) = aws.received("events")
    assert len(body.encode()) <= MAX_BODY


@pytest.mark.usefixtures("desk")
def test_many_bad_events_are_parked_a_few_at_a_time(aws: Aws) -> None:
    bad = [event(aws, id=f"e{number}", nmae="x" * 4_000) for number in range(150)]
    assert answered(request(aws, {"events": [event(aws), *bad]}))[0] == 202
    parked = aws.received("events-parked")
    assert 1 < len(parked) < 20
    assert max(map(len, parked)) <= MAX_BODY
    assert sum(len(json.loads(body)["rejected"]) for body in parked) == 150


def test_while_the_queue_is_down_the_answer_is_503_and_nothing_is_promised(
    aws: Aws, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = boto3.client("sqs", endpoint_url="http://127.0.0.1:9", config=Config(retries={"total_max_attempts": 1}))
    monkeypatch.setattr(desk.queue, "_client", nowhere)
    answer: Any = handler.handle(request(aws, event(aws)), None)
    assert answer["statusCode"] == 503
    assert int(answer["headers"]["retry-after"]) > 0
    monkeypatch.setattr(desk.queue, "_client", aws.sqs)
    monkeypatch.setattr(desk.queue, "url", Queue(aws.sqs, aws.queue("events") + "-gone").url)
    answer = handler.handle(request(aws, event(aws)), None)
    assert answer["statusCode"] == 503
    assert aws.received("events") == []


def test_dynamodb_is_touched_for_definitions_only(aws: Aws, desk: Desk) -> None:
    answered(request(aws, event(aws)))
    take_calls()
    handler.answered(request(aws, event(aws)), desk)
    assert take_calls() == {"sqs:SendMessageBatch": 1}
