"""Messages a second through `send_message`, in process, on one core, against a bare floor: render, serialise, post.

AWS and the ESP are answered at their transports at once: boto3 builds, signs and parses every request, httpx every post.
Run with `python -m tests.bench.send_message`.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import httpx
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from shared import aws
from shared.clock import utc_now
from shared.definitions import Integration, Template
from shared.exchange import Request, Response
from shared.jobs import MessageJob
from shared.profiles import Profile
from tests.send_message.world import INTEGRATION, TEMPLATE, TRIGGER

BATCHES = 60
BATCH = 10
ROUNDS = 3
DEFINITIONS = {"template": TEMPLATE, "trigger": TRIGGER, "integration": INTEGRATION}
ATTRIBUTES = {"email": "ada@example.com", "first_name": "Ada"}


class Raw(io.BytesIO):
    """An answer's body as botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


class Cloud:
    """AWS, answered at once. `requests` and `items` count what was asked of it."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.items: Counter[str] = Counter()

    def attach(self, client: Any) -> Any:
        """Has this client talk to us."""
        client.meta.events.register("before-send.*", self)
        return client

    def __call__(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        target = request.headers.get("X-Amz-Target", b"S3.PutObject")
        name = target.decode() if isinstance(target, bytes) else str(target)
        self.requests[name.partition(".")[2]] += 1
        body = (
            {} if name.startswith("S3") else json.loads(str(request.body, "utf-8") if isinstance(request.body, bytes) else "{}")
        )
        answer = json.dumps(self.answer(name.partition(".")[2], body)).encode()
        return AWSResponse(request.url, 200, HTTPHeaders(), Raw(b"" if not body else answer))

    def answer(self, operation: str, body: Any) -> object:
        """What this operation returns."""
        if operation == "Query":
            kind = body["ExpressionAttributeValues"][":kind"]["S"]
            row = {"pk": {"S": kind}, "sk": {"S": DEFINITIONS[kind]["name"]}, "version": {"N": "1"}}
            return {"Items": [{**row, "body": {"S": json.dumps(DEFINITIONS[kind])}}], "Count": 1}
        if operation == "BatchGetItem":
            ((table, wanted),) = body["RequestItems"].items()
            self.items["read"] += len(wanted["Keys"])
            return {"Responses": {table: [_row(table, key["pk"]["S"]) for key in wanted["Keys"] if table != "state"]}}
        if operation == "UpdateItem":
            self.items["write"] += 1
            return {"Attributes": _claimed(body)} if ":sending" in body["ExpressionAttributeValues"] else {}
        return {"SecretString": '{"key": "k"}'} if operation == "GetSecretValue" else {"MessageId": "1"}


def _row(table: str, key: str) -> dict[str, object]:
    if table == "visits":
        now = utc_now().isoformat()
        return {
            "pk": {"S": key},
            "version": {"N": "1"},
            "visit": {"S": json.dumps({"id": key, "tracker": "shop", "last_at": now})},
        }
    empty: dict[str, object] = {"M": {}}
    person = {"attributes": {"S": json.dumps(ATTRIBUTES)}, "changed": {"S": "{}"}, "version": {"N": "1"}}
    return {"pk": {"S": key}, "suppressed": empty, "crm_ids": empty, **person}


def _claimed(body: Any) -> dict[str, object]:
    values = body["ExpressionAttributeValues"]
    columns = ("trigger", "campaign", "delivery", "integration", "visit", "profile")
    row = {f"{column}_id" if column in ("visit", "profile") else column: values[f":{column}"] for column in columns}
    fresh = {"status": {"S": "sending"}, "esp_message_id": {"S": ""}, "engagements": {"M": {}}, "trace": values[":hops"]}
    numbers = {"attempts": {"N": "1"}, "unsettled": {"N": "1"}, "lease_until": values[":until"]}
    return {"pk": body["Key"]["pk"], "created_at": values[":created"], **row, **fresh, **numbers}


def poster() -> Callable[[Request], Response]:
    """Posts through httpx, answered at its transport."""
    taken = httpx.MockTransport(lambda _: httpx.Response(202, json={"id": "pb_1", "status": "accepted"}))
    client = httpx.Client(transport=taken, trust_env=False)

    def send(request: Request) -> Response:
        answer = client.request(request.method, request.url, headers=dict(request.headers), content=request.body)
        return Response(answer.status_code, dict(answer.headers), answer.content)

    return send


def job(number: int) -> MessageJob:
    """One message."""
    now = utc_now()
    return MessageJob(
        message_id=f"m_{number:032x}",
        trigger="abandoned",
        trigger_version=1,
        visit_id=f"shop#a#{number}",
        profile_id=f"p_{number}",
        decided="send",
        campaign="carts",
        delivery="first",
        template="cart",
        integration="postbird",
        decided_at=now,
        anchor_at=now,
        valid_until=now + timedelta(hours=1),
        context={"cart": [{"name": "Lamp"}]},
    )


def event(first: int) -> dict[str, object]:
    """A batch as Lambda hands it to the function."""
    return {
        "Records": [
            {
                "messageId": str(number),
                "receiptHandle": str(number),
                "body": job(number).model_dump_json(),
                "attributes": {"ApproximateReceiveCount": "1"},
            }
            for number in range(first, first + BATCH)
        ]
    }


class Context:
    """Lambda's context object, as far as it is used."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def floor_rate() -> float:
    """Messages a second of CPU that are only rendered and posted."""
    from connectors.esps.rest import RestEsp
    from send_message.content import render_content
    from shared.exchange import run

    template, integration = Template.model_validate(TEMPLATE), Integration.model_validate(INTEGRATION)
    profile, send = Profile("p_1", ATTRIBUTES, {}, {}, {}, 1), poster()
    bodies = [job(number).model_dump_json() for number in range(BATCHES * BATCH)]
    began = time.process_time()
    for body in bodies:
        one = MessageJob.model_validate_json(body)
        content = render_content(one, template, integration, profile, "https://sendbridge.example/v1/mirror/m/s")
        run(RestEsp.send(integration, content.body, one.message_id, utc_now), send)
    return len(bodies) / (time.process_time() - began)


def main() -> None:
    """Prints the figures."""
    names = ("definitions", "profiles", "visits", "messages", "state")
    settings = {f"SENDBRIDGE_{name.upper()}_TABLE": name for name in names} | {
        "SENDBRIDGE_ENVIRONMENT": "bench",
        "SENDBRIDGE_DEFINITIONS_TTL": "30",
        "SENDBRIDGE_VISIT_DAYS": "30",
        "SENDBRIDGE_RETENTION_DAYS": "400",
        "SENDBRIDGE_MIRROR_BUCKET": "mirror",
        "SENDBRIDGE_SECRET_PREFIX": "sendbridge-bench",
        "SENDBRIDGE_BASE_URL": "https://sendbridge.example",
        "SENDBRIDGE_ALLOWED_ORIGINS": "",
        "SENDBRIDGE_MESSAGES_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/messages",
        "SENDBRIDGE_MESSAGES_PARKED_URL": "https://sqs.eu-west-1.amazonaws.com/1/messages-parked",
        "SENDBRIDGE_ENGAGEMENTS_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/engagements",
        "SENDBRIDGE_LEASE_SECONDS": "60",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "POWERTOOLS_LOG_LEVEL": "ERROR",
    }
    os.environ.update(settings)
    from send_message import handler
    from send_message.sending import send_all
    from send_message.settings import Settings
    from shared.queues import Batch, Queue

    cloud, made = Cloud(), aws.client
    with mock.patch.object(aws, "client", lambda service: cloud.attach(made(service))):
        sqs = aws.client("sqs")
        outbox = handler.compose(Settings.from_environment(), sqs, poster(), utc_now)
    best: list[float] = []
    floors: list[float] = []
    for turn in range(ROUNDS + 1):
        events = [event((turn * BATCHES + n) * BATCH) for n in range(BATCHES)]
        cloud.requests.clear()
        cloud.items.clear()
        began = time.process_time()
        for one in events:
            batch = Batch(one, MessageJob, client=sqs, queue_url="q", parked=Queue(sqs, "p"), clock=utc_now)
            send_all(batch, outbox, lambda: 30.0)
            assert batch.response() == {"batchItemFailures": []}
        best.append(BATCHES * BATCH / (time.process_time() - began))
        floors.append(floor_rate())
    messages = BATCHES * BATCH
    print(f"send_message: {max(best):,.0f} messages/s of CPU; bare render and post: {max(floors):,.0f}/s")
    print(f"DynamoDB items per message: {sum(cloud.items.values()) / messages:.2f} ({dict(cloud.items)} for {messages})")
    print("AWS requests per message:", {name: round(n / messages, 3) for name, n in sorted(cloud.requests.items())})


if __name__ == "__main__":
    main()
