"""A deployment with one integration, one template and one trigger, and an ESP that a test scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from pydantic import JsonValue

from send_message.outbox import Outbox
from send_message.sending import send_all
from send_message.slot_table import SlotTable
from shared.catalogue import Definitions, padded
from shared.claims import Claims
from shared.definitions import Integration, Policy, Template
from shared.exchange import Request, Response
from shared.jobs import Engagement, EngagementsJob, Hop, MessageJob
from shared.ledger import Ledger
from shared.ledger_rows import Message
from shared.limits import Limits
from shared.links import Links
from shared.mirrors import Mirrors
from shared.profiles import Profiles
from shared.queues import Batch, Queue
from shared.reports import Reports
from shared.secrets import Secrets
from shared.state import Circuits, Leases
from shared.tokens import Tokens
from shared.triggers import Trigger
from tests.aws import Aws

LEASE = 60
DAY = 86_400

TEMPLATE: dict[str, JsonValue] = {
    "name": "cart",
    "subject": "{{ profile.first_name }}, your cart",
    "html": "<p>{{ profile.first_name }}: {{ cart[0].name }}</p><a href='{{ mirror_url }}'>see</a>",
    "text": "{{ cart[0].name }}",
    "defaults": {"profile": {"first_name": "you"}, "sender": "shop@example.com"},
}
TRIGGER: dict[str, JsonValue] = {
    "name": "abandoned",
    "must_include": ["Product Added"],
    "must_not_include": ["Order Completed"],
    "wait_seconds": 5,
    "template": "cart",
    "integration": "postbird",
    "campaign": "carts",
    "delivery": "first",
}
POLICY: dict[str, JsonValue] = {"name": "email", "cap": None}
INTEGRATION: dict[str, JsonValue] = {
    "name": "postbird",
    "url": "https://api.postbird.example/v1/messages",
    "idempotency_header": "Idempotency-Key",
    "body": {
        "from": {"email": "{{ sender }}"},
        "to": {"email": "{{ to }}", "name": "{{ profile.first_name }}"},
        "subject": "{{ message.subject }}",
        "html": "{{ message.html }}",
        "text": "{{ message.text }}",
        "metadata": {"message_id": "{{ message.id }}"},
    },
    "webhook": {"secrets": ["whsec_c2VjcmV0c2VjcmV0c2VjcmV0"], "types": {}},
}

TAKEN = Response(202, {}, b'{"id": "pb_1", "status": "accepted"}', 0.004)


@dataclass
class Esp:
    """Answers each request with the next of `script`, which may be an exception; then takes everything."""

    script: list[Response | Exception] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        answer = self.script.pop(0) if self.script else TAKEN
        if isinstance(answer, Exception):
            raise answer
        return answer

    def bodies(self) -> list[JsonValue]:
        return [json.loads(request.body) for request in self.requests]


class World:
    """Everything that `send_message` works with, and what it left behind."""

    def __init__(self, aws: Aws, esp: Callable[[Request], Response] | None = None) -> None:
        self.aws = aws
        self.esp = Esp()
        self.queue = "messages"
        self.define("template", TEMPLATE)
        self.define("trigger", TRIGGER)
        self.define("integration", INTEGRATION)
        self.define("policy", POLICY)
        self.profiles = Profiles(aws.dynamodb, aws.table("profiles"))
        self.ledger = Ledger(aws.dynamodb, aws.table("messages"), aws.clock, 30 * DAY)
        self.claims = Claims(aws.dynamodb, aws.table("messages"), 30 * DAY)
        self.mirrors = Mirrors(aws.s3, aws.mirror_bucket())
        self.outbox = self.process(esp or self.esp)

    def process(self, esp: Callable[[Request], Response]) -> Outbox:
        """What a new process of the function has."""
        aws = self.aws
        secrets = Secrets(aws.secretsmanager, aws.secret_prefix)
        definitions = Definitions(aws.table("definitions"), aws.dynamodb, aws.clock, 0, secrets)
        return Outbox(
            triggers=definitions.catalogue(Trigger),
            templates=definitions.catalogue(Template),
            integrations=definitions.catalogue(Integration),
            policies=definitions.catalogue(Policy),
            profiles=self.profiles,
            slots=SlotTable(aws.dynamodb, aws.table("profiles")),
            ledger=self.ledger,
            claims=self.claims,
            mirrors=self.mirrors,
            links=Links("key", "https://sendbridge.example"),
            circuits=Circuits(aws.dynamodb, aws.table("state"), aws.clock, Random(1), refresh=0),
            limits=Limits(aws.dynamodb, aws.table("state"), aws.clock, Random(1)),
            tokens=Tokens(secrets, Leases(aws.dynamodb, aws.table("state"), aws.clock), esp, aws.clock),
            http_send=esp,
            engagements=Queue(aws.sqs, aws.queue("engagements")),
            reports=Reports(aws.dynamodb, aws.table("messages"), 30 * DAY, 0),
            clock=aws.clock,
            environment="test",
            lease_seconds=LEASE,
            concurrency=4,
        )

    def define(self, kind: str, body: dict[str, JsonValue], **changes: JsonValue) -> None:
        """Puts a definition, its version one higher than the last."""
        self._version = getattr(self, "_version", 0) + 1
        item = {"pk": {"S": kind}, "sk": {"S": str(body["name"])}, "version": {"N": str(self._version)}}
        text = json.dumps({**body, **changes})
        kept = {"pk": {"S": f"{kind}#{body['name']}"}, "sk": {"S": padded(self._version)}, "version": item["version"]}
        self.aws.dynamodb.put_item(TableName=self.aws.table("definitions"), Item={**kept, "body": {"S": text}})
        self.aws.dynamodb.put_item(TableName=self.aws.table("definitions"), Item={**item, "body": {"S": text}})

    def version(self) -> int:
        """Of what was defined last."""
        return self._version

    def undefine(self, kind: str, name: str) -> None:
        """Deletes a definition."""
        self.aws.dynamodb.delete_item(TableName=self.aws.table("definitions"), Key={"pk": {"S": kind}, "sk": {"S": name}})

    def person(self, **attributes: JsonValue) -> str:
        """Somebody with an address and a name, if not said otherwise."""
        values: dict[str, JsonValue] = {"email": "ada@example.com", "first_name": "Ada"}
        return self.profiles.upsert([("user_id", "ada")], values | attributes, self.aws.clock())

    def ordered(self, job: MessageJob) -> None:
        """`match_triggers` says that the visitor did what the message's trigger excludes."""
        hop = Hop(at=self.aws.clock(), hop="match_triggers", what="skipped", reason="order placed")
        self.ledger.skip(job, [hop])

    def job(self, **changes: object) -> MessageJob:
        now = self.aws.clock()
        values: dict[str, object] = {
            "message_id": "m_1",
            "trigger": "abandoned",
            "trigger_version": 1,
            "visit_id": "shop#a#1",
            "profile_id": changes["profile_id"] if "profile_id" in changes else self.person(),
            "decided": "send",
            "campaign": "carts",
            "delivery": "first",
            "template": "cart",
            "integration": "postbird",
            "decided_at": now,
            "anchor_at": now - timedelta(seconds=5),
            "valid_until": now + timedelta(hours=1),
            "context": {"cart": [{"name": "Lamp"}]},
            "hops": [Hop(at=now, hop="match_triggers", what="fired")],
        }
        return MessageJob.model_validate(values | changes)

    def deliver(
        self, *jobs: MessageJob | str, outbox: Outbox | None = None, remaining: float = 30, receives: int | None = None
    ) -> int:
        """One delivery of these jobs to a function, their `receives`th; returns how many go back to the queue."""
        event = self.aws.delivery(self.queue, *jobs)
        for record in event["Records"] if receives else ():  # type: ignore[attr-defined]  # as Lambda gives it
            record["attributes"]["ApproximateReceiveCount"] = str(receives)
        batch = Batch(
            event,
            MessageJob,
            client=self.aws.sqs,
            queue_url=self.aws.queue(self.queue),
            parked=Queue(self.aws.sqs, self.aws.queue(f"{self.queue}-parked")),
            clock=self.aws.clock,
            chance=Random(1),
        )
        send_all(batch, outbox or self.outbox, lambda: remaining)
        return len(batch.response()["batchItemFailures"])

    def message(self, message_id: str = "m_1") -> Message:
        found = self.ledger.read(message_id)
        assert found is not None
        return found

    def why(self, message_id: str = "m_1") -> tuple[str, str, str]:
        """The message's status, and its last hop."""
        message = self.message(message_id)
        return message.status, message.trace[-1].what, message.trace[-1].reason

    def engagements(self) -> list[Engagement]:
        """Those queued meanwhile."""
        jobs = [EngagementsJob.model_validate_json(body) for body in self.aws.received("engagements")]
        return [engagement for job in jobs for engagement in job.engagements]

    def parked(self) -> list[str]:
        """The reasons of what was parked meanwhile."""
        messages = self.aws.received_messages(f"{self.queue}-parked")
        return [message["MessageAttributes"]["reason"]["StringValue"] for message in messages]
