"""Messages a second through `send_message`, against a bare floor: the job read, rendered, and posted.

Every check is on, and the ledger, the slots, the circuit, the mirror page and the engagement `sent`. boto3 and our own HTTP
client really build, serialise and sign; both are answered at their transport. Run with `python -m tests.bench.send_message`.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest import mock

from pydantic import JsonValue

from shared.clock import utc_now
from shared.definitions import Integration, Template
from shared.http import Http
from shared.ids import profile_id
from shared.jobs import Hop, MessageJob
from shared.links import Links
from shared.person import Profile, as_snapshot
from tests.bench.cloud import Answering, Cloud, Esp, answered_by, one_taken, way_to
from tests.bench.rate import Rate, compare
from tests.send_message.world import INTEGRATION, TEMPLATE, TRIGGER

MESSAGES = 600
"""In each round."""
SLOW = 0.1
"""Seconds for an answer of an ESP that is not at once."""
ATTRIBUTES: dict[str, JsonValue] = {"email": "ada@example.com", "first_name": "Ada"}
POSTMARK: dict[str, JsonValue] = {
    **INTEGRATION,
    "connector": "postmark",
    "message_id_path": "MessageID",
    "idempotency_header": "",
    "body": {
        "From": "shop@example.com",
        "To": "{{ to }}",
        "Subject": "{{ message.subject }}",
        "HtmlBody": "{{ message.html }}",
        "TextBody": "{{ message.text }}",
        "Metadata": {"message_id": "{{ message.id }}"},
    },
}


def _all_taken(request: bytes) -> bytes:
    """Postmark's answer: a part for each message."""
    return b"[%s]" % b",".join([b'{"ErrorCode":0,"MessageID":"pm_1"}'] * request.count(b'"To":'))


@dataclass(frozen=True)
class Case:
    """What is measured: batches of so many messages, to an ESP that takes one a call, or many."""

    title: str
    integration: Mapping[str, JsonValue]
    answering: Answering
    batch: int
    seconds: float = 0


@dataclass(frozen=True)
class Sent:
    """Messages a second, and what one message asks of AWS and of the ESP."""

    title: str
    per_cpu: Rate
    per_second: float
    """By the clock, of one function."""
    p99_ms: float
    """From when the function gets a batch to when a message of it is settled and told of."""
    dynamodb_items: Mapping[str, float]
    aws_requests: Mapping[str, float]
    esp_calls: float


@dataclass(frozen=True)
class SendMessage:
    """All cases."""

    cases: Sequence[Sent]


CASES = (
    Case("one message a call, batches of 10", INTEGRATION, one_taken, 10),
    Case("one message a call, batches of 50", INTEGRATION, one_taken, 50),
    Case("many messages a call, batches of 10", POSTMARK, _all_taken, 10),
    Case("many messages a call, batches of 50", POSTMARK, _all_taken, 50),
    Case("one message a call, batches of 50, 100 ms", INTEGRATION, one_taken, 50, SLOW),
    Case("many messages a call, batches of 50, 100 ms", POSTMARK, _all_taken, 50, SLOW),
)


def measure(cases: Sequence[Case] = CASES) -> SendMessage:
    """Measures each case, each message to another person."""
    return SendMessage([_measured(case) for case in cases])


def _measured(case: Case) -> Sent:
    numbers = itertools.count()
    cloud, esp = Cloud(lambda operation, body: _answer(case, operation, body)), Esp(case.answering, case.seconds)
    with answered_by(cloud), way_to(esp) as http:
        _forget()
        _send(http, _batches(case, numbers))
        cloud.forget()
        esp.calls = 0
        began = time.perf_counter()
        took = sorted(_send(http, _batches(case, numbers)))
        seconds = time.perf_counter() - began
        items, requests, calls = _each(cloud.items), _each(cloud.requests), esp.calls / MESSAGES
        ours = [_batches(case, numbers) for _ in range(8)]
        floors = [_batches(case, numbers) for _ in range(8)]

        def send() -> None:
            esp.seconds = case.seconds
            _send(http, ours.pop())

        def bare() -> None:
            """What it costs is CPU: it never waits."""
            esp.seconds = 0
            _floor(case, http, floors.pop())

        rate = compare(send, bare, MESSAGES)
    p99 = took[int(len(took) * 0.99)] * 1000
    return Sent(case.title, rate, MESSAGES / seconds, p99, items, requests, calls)


def _forget() -> None:
    """Has the function start anew."""
    from send_message import handler

    for cached in (handler._settings, handler._sqs, handler._outbox):
        cached.cache_clear()


def _each(counts: Mapping[str, int]) -> Mapping[str, float]:
    return {name: round(number / MESSAGES, 3) for name, number in sorted(counts.items())}


def _send(http: Http, batches: Sequence[dict[str, object]]) -> list[float]:
    """Batch after batch through the function's own entry point; the seconds that each took."""
    from send_message import handler

    took = []
    with mock.patch.object(handler, "_http", return_value=http):
        for batch in batches:
            began = time.perf_counter()
            assert handler.handle(batch, _Context()) == {"batchItemFailures": []}
            took.append(time.perf_counter() - began)
    return took


def _floor(case: Case, http: Http, batches: Sequence[dict[str, object]]) -> None:
    """Nothing but the job read, the content rendered, and the post: one message a call, or all of a batch."""
    from connectors.esps.base import Outgoing
    from connectors.registry import ESPS
    from shared.content import render_content
    from shared.exchange import run

    template, integration = Template.model_validate(TEMPLATE), Integration.model_validate(case.integration)
    profile, links = _profile(0), Links("key", "https://sendbridge.example")
    esp = ESPS.load(integration.connector)
    for batch in batches:
        outgoing = []
        for record in batch["Records"]:  # type: ignore[attr-defined]  # made below
            job = MessageJob.model_validate_json(record["body"])
            content = render_content(job, template, integration, profile, links)
            outgoing.append(Outgoing(job.message_id, content.url, content.body, content.headers))
        for start in range(0, len(outgoing), esp.most):
            run(esp.send(integration, outgoing[start : start + esp.most], utc_now), http.send)


class _Context:
    """Lambda's context object, as far as it is used."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def _batches(case: Case, numbers: Iterator[int]) -> list[dict[str, object]]:
    """Batches as Lambda hands them to the function."""
    return [
        {"Records": [_record(number) for number in itertools.islice(numbers, case.batch)]} for _ in range(MESSAGES // case.batch)
    ]


def _record(number: int) -> dict[str, object]:
    identity = {"messageId": str(number), "receiptHandle": str(number)}
    return {**identity, "body": _job(number).model_dump_json(), "attributes": {"ApproximateReceiveCount": "1"}}


def _profile(number: int) -> Profile:
    return Profile(profile_id("user_id", str(number)), ATTRIBUTES, {}, (), {}, 1, {"user_id": str(number)})


def _job(number: int) -> MessageJob:
    now, profile = utc_now(), _profile(number)
    return MessageJob(
        message_id=f"m_{number:032x}",
        trigger="abandoned",
        trigger_version=1,
        visit_id=f"shop#a#{number}",
        profile_id=profile.id,
        decided="send",
        campaign="carts",
        delivery="first",
        template="cart",
        integration="postbird",
        integration_version=1,
        decided_at=now,
        anchor_at=now,
        valid_until=now + timedelta(hours=1),
        context={"cart": [{"name": "Lamp"}]},
        profile=as_snapshot(profile),
        hops=tuple(_hops(now)),
    )


def _hops(now: Any) -> Iterator[Hop]:
    """The trace so far, as `match_triggers` makes it."""
    yield Hop(at=now, hop="receive_event", what="received Product Added", data={"event": "e1", "event_time": "t", "lag": 0.1})
    yield Hop(at=now, hop="match_triggers", what="matched", data={"trigger": "abandoned", "first_event": "e1"})
    yield Hop(at=now, hop="match_triggers", what="timer", data={"due_at": "t", "fired_at": "t", "lateness": 0.3})
    yield Hop(at=now, hop="match_triggers", what="send")


def _answer(case: Case, operation: str, body: Any) -> object:
    """What the tables, secrets and queues hold."""
    if operation == "Query":
        return _definition(case, body)
    return _ANSWERS.get(operation, lambda _: {"MessageId": "1"})(body)


def _definition(case: Case, body: Any) -> object:
    kind = re.sub("#.*", "", next(iter(body["ExpressionAttributeValues"].values()))["S"])
    definitions = {"template": TEMPLATE, "trigger": TRIGGER, "integration": case.integration}
    if kind not in definitions:
        return {"Items": [], "Count": 0}
    row = {"pk": {"S": kind}, "sk": {"S": definitions[kind]["name"]}, "version": {"N": "1"}}
    return {"Items": [{**row, "body": {"S": json.dumps(definitions[kind])}}], "Count": 1}


_ANSWERS: Mapping[str, Callable[[Any], object]] = {
    "BatchGetItem": lambda _: {"Responses": {}},
    "GetSecretValue": lambda _: {"SecretString": '{"key": "k"}'},
}


def show(it: SendMessage) -> None:
    """Prints the figures."""
    print("send_message (floor: the job read, rendered, posted)")
    for case in it.cases:
        print(f"  {case.title}")
        rate = case.per_cpu
        print(f"    {rate.ours:,.0f}/s of CPU, floor {rate.floor:,.0f}/s: {rate.share:.0%} of it")
        print(f"    {case.per_second:,.0f}/s by the clock; p99 {case.p99_ms:.0f} ms; {case.esp_calls:g} ESP calls a message")
        print("    DynamoDB rows a message:", ", ".join(f"{number:g} {name}" for name, number in case.dynamodb_items.items()))
        print("    AWS requests a message:", ", ".join(f"{number:g} {name}" for name, number in case.aws_requests.items()))


def main() -> None:
    """Prints the figures."""
    show(measure())


if __name__ == "__main__":
    main()
