"""A small AWS for logic tests: MiniStack in a process of its own, and per test a fresh set of tables, queues and a bucket.

The deployed tests use the real stack; these names and keys repeat `infra/` so that a handler can be tried in milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import boto3
from mypy_boto3_dynamodb import DynamoDBClient
from mypy_boto3_s3 import S3Client
from mypy_boto3_secretsmanager import SecretsManagerClient
from mypy_boto3_sqs import SQSClient
from mypy_boto3_sqs.type_defs import MessageTypeDef
from pydantic import BaseModel

from shared.definitions import KINDS, Kind

REGION: Literal["eu-west-1"] = "eu-west-1"
QUEUES = ("events", "timers", "messages", "engagements", "crm-dynamics")


@contextlib.contextmanager
def ministack() -> Iterator[str]:
    """Runs MiniStack on a free port, its URL in the environment as every AWS client reads it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "GATEWAY_PORT": str(port), "LOG_LEVEL": "ERROR"}
    with subprocess.Popen(
        [sys.executable, "-m", "ministack"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            _wait(url)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{url}/_ministack/health", timeout=1).close()  # noqa: S310
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("MiniStack did not start within 30 s")


@dataclass
class Now:
    """A clock that stands still until a test moves it."""

    at: datetime = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Aws:
    """The resources of one test, by the names the functions' settings have."""

    suffix: str = field(default_factory=lambda: secrets.token_hex(4))
    clock: Now = field(default_factory=Now)

    def __post_init__(self) -> None:
        self.dynamodb: DynamoDBClient = boto3.client("dynamodb")
        self.sqs: SQSClient = boto3.client("sqs")
        self.s3: S3Client = boto3.client("s3")
        self.secretsmanager: SecretsManagerClient = boto3.client("secretsmanager")
        self.secret_prefix = f"sendbridge-{self.suffix}"
        self.bucket = f"mirror-{self.suffix}"
        self._urls: dict[str, str] = {}
        self._versions: dict[str, int] = {}

    def table(self, name: str) -> str:
        """The table's real name, made on first use."""
        made = f"{name}-{self.suffix}"
        if made not in self._urls:
            self._urls[made] = made
            self._create(name, made)
        return made

    def _create(self, name: str, made: str) -> None:
        keys = {"definitions": ["pk", "sk"]}.get(name, ["pk"])
        indexes = {"messages": ("by_visit", "visit_id", "created_at"), "visits": ("due", "due_shard", "due_at")}
        index = indexes.get(name)
        columns = [*keys, *(index[1:] if index else ())]
        table: dict[str, Any] = {
            "TableName": made,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": _schema(keys),
            "AttributeDefinitions": [{"AttributeName": c, "AttributeType": "N" if c == "due_at" else "S"} for c in columns],
        }
        if index:
            by_index = {"IndexName": index[0], "KeySchema": _schema(index[1:]), "Projection": {"ProjectionType": "KEYS_ONLY"}}
            table["GlobalSecondaryIndexes"] = [by_index]
        self.dynamodb.create_table(**table)

    def queue(self, name: str) -> str:
        """The queue's URL, made on first use (`events`, `events-parked`, …)."""
        if name not in self._urls:
            self._urls[name] = self.sqs.create_queue(QueueName=f"{name}-{self.suffix}")["QueueUrl"]
        return self._urls[name]

    def mirror_bucket(self) -> str:
        """The name of the bucket `mirror`, made on first use."""
        return self._made_bucket(self.bucket)

    def events_bucket(self) -> str:
        """The name of the bucket `events`, made on first use."""
        return self._made_bucket(f"events-{self.suffix}")

    def _made_bucket(self, name: str) -> str:
        if name not in self._urls:
            self._urls[name] = name
            self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def define(self, kind: Kind, **values: object) -> None:
        """Stores a definition as its next version; for a test, its secrets may stay where they are."""
        body = KINDS[kind].model_validate(values)
        name = f"{kind}/{body.name}"
        self._versions[name] = self._versions.get(name, 0) + 1
        self.dynamodb.put_item(
            TableName=self.table("definitions"),
            Item={
                "pk": {"S": kind},
                "sk": {"S": body.name},
                "version": {"N": str(self._versions[name])},
                "body": {"S": json.dumps(values)},
            },
        )

    def received(self, queue: str) -> list[str]:
        """Takes all bodies that are in the queue now."""
        return [message["Body"] for message in self.received_messages(queue)]

    def received_messages(self, queue: str) -> list[MessageTypeDef]:
        """Takes all messages that are in the queue now, with their attributes."""
        taken: list[MessageTypeDef] = []
        while messages := self.sqs.receive_message(
            QueueUrl=self.queue(queue), MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                taken.append(message)
                self.sqs.delete_message(QueueUrl=self.queue(queue), ReceiptHandle=message["ReceiptHandle"])
        return taken

    def delivery(self, queue: str, *bodies: BaseModel | str) -> dict[str, object]:
        """Sends these bodies and receives what is in the queue, as Lambda hands it to a function that reads the queue."""
        for body in bodies:
            text = body if isinstance(body, str) else body.model_dump_json()
            self.sqs.send_message(QueueUrl=self.queue(queue), MessageBody=text)
        messages = self.sqs.receive_message(
            QueueUrl=self.queue(queue), MaxNumberOfMessages=10, MessageSystemAttributeNames=["ApproximateReceiveCount"]
        )
        return {
            "Records": [
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": message["Attributes"],
                    "eventSourceARN": f"arn:aws:sqs:{REGION}:000000000000:{queue}-{self.suffix}",
                }
                for message in messages.get("Messages", [])
            ]
        }


def _schema(columns: Sequence[str]) -> list[dict[str, str]]:
    return [{"AttributeName": c, "KeyType": kind} for c, kind in zip(columns, ("HASH", "RANGE"), strict=False)]
