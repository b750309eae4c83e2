"""Functions that send in threads and are killed now and then, and a queue between them that delivers at least once."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any, cast
from unittest import mock

from send_message.handler import compose
from send_message.outbox import Outbox
from send_message.sending import send_all
from send_message.settings import Settings
from shared import aws
from shared.http import Http
from shared.jobs import EngagementsJob, MessageJob
from shared.queues import Batch, Queue
from tests.aws import Aws
from tests.crash import Executioner, Killed

VISIBILITY = 90
"""Seconds after which a message comes back whose function died."""


class Sqs:
    """What a function has of SQS: it says when messages come back, parks some, and tells of those sent."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.delays: dict[str, int] = {}
        self.parked: dict[str, str] = {}
        self.told: list[str] = []

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:  # noqa: N803
        with self.lock:
            self.delays[ReceiptHandle] = VisibilityTimeout

    def send_message(self, *, QueueUrl: str, MessageBody: str, **options: Any) -> None:  # noqa: N803
        with self.lock:
            if QueueUrl == "parked":
                message_id = MessageJob.model_validate_json(MessageBody).message_id
                self.parked[message_id] = options["MessageAttributes"]["reason"]["StringValue"]
            else:
                engagements = EngagementsJob.model_validate_json(MessageBody).engagements
                self.told += [engagement.message_id for engagement in engagements]


class _Mortal:
    """A boto3 client of a function that may be killed before and after each of its calls."""

    def __init__(self, client: object, executioner: Executioner) -> None:
        self._client, self._executioner = client, executioner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name in ("exceptions", "meta") or not callable(found):
            return found

        def called(*arguments: object, **named: object) -> object:
            self._executioner()
            answer = found(*arguments, **named)
            self._executioner()
            return answer

        return called


class Function:
    """One process of `send_message`, with connections of its own."""

    def __init__(self, settings: Settings, clients: Aws, sqs: Sqs, executioner: Executioner) -> None:
        self.executioner = executioner
        self.http = Http(settings.allowed_origins)

        def mortal(service: str) -> object:
            return _Mortal(getattr(clients, service), executioner)

        with mock.patch.object(aws, "client", mortal):
            self.outbox: Outbox = compose(
                settings, cast("Any", _Mortal(sqs, executioner)), executioner.sending(self.http.send), clients.clock
            )

    def close(self) -> None:
        """Ends it."""
        if "pool" in vars(self.outbox):
            self.outbox.pool.shutdown()
        self.http.close()


@dataclass
class Chaos:
    """A queue of messages, and some functions that send them, of which some die."""

    clients: Aws
    settings: Settings
    seed: int
    functions: int = 4
    deadly: float = 0.2
    """The chance that a function is to die, in this batch or soon after it."""
    killed: int = 0
    deliveries: int = 0

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)
        self.sqs = Sqs()
        self._numbers = itertools.count()
        self._queue: list[tuple[float, int, int, str]] = []
        """When it is due, its number, how often it was received, and its body."""
        self._alive = [self._born() for _ in range(self.functions)]

    def add(self, job: MessageJob) -> None:
        """Queues a message."""
        self._put(0, 0, job.model_dump_json())

    @property
    def waits(self) -> bool:
        """Whether there is anything in the queue."""
        return bool(self._queue)

    def round(self) -> None:
        """Has all functions work off what is due, each a batch at a time, at the same time."""
        batches = self._batches()
        with ThreadPoolExecutor(self.functions) as threads:
            for done in [threads.submit(self._work, index, batches[index :: self.functions]) for index in range(self.functions)]:
                done.result()

    def calm(self) -> None:
        """Nobody dies any more."""
        self.deadly = 0
        for function in self._alive:
            function.executioner.at = None

    def close(self) -> None:
        """Ends all functions."""
        for function in self._alive:
            function.close()

    def _put(self, due: float, receives: int, body: str) -> None:
        heapq.heappush(self._queue, (due, next(self._numbers), receives, body))

    def _batches(self) -> list[list[Mapping[str, Any]]]:
        now = self.clients.clock().timestamp()
        due = []
        while self._queue and self._queue[0][0] <= now:
            _, number, receives, body = heapq.heappop(self._queue)
            due.append(_record(number, receives + 1, body))
            if self.chance.random() < 0.1:  # at least once means: sometimes twice
                due.append(_record(next(self._numbers), receives + 1, body))
        self.chance.shuffle(due)
        batches = []
        while due:
            size = self.chance.randint(1, 10)
            batches.append(due[:size])
            due = due[size:]
        return batches

    def _born(self) -> Function:
        return Function(self.settings, self.clients, self.sqs, Executioner())

    def _work(self, index: int, batches: list[list[Mapping[str, Any]]]) -> None:
        for records in batches:
            with self.sqs.lock:
                executioner = self._alive[index].executioner
                if self.chance.random() < self.deadly:
                    executioner.at = executioner.calls + self.chance.randint(0, 30)
            try:
                failed = self._deliver(self._alive[index], records)
            except Killed:
                failed = {record["messageId"]: VISIBILITY for record in records}
                self._alive[index].close()
                with self.sqs.lock:
                    self.killed += 1
                    self._alive[index] = self._born()
            now = self.clients.clock().timestamp()
            with self.sqs.lock:
                self.deliveries += 1
                for record in records:
                    if record["messageId"] in failed:
                        receives = int(record["attributes"]["ApproximateReceiveCount"])
                        self._put(now + failed[record["messageId"]], receives, record["body"])

    def _deliver(self, function: Function, records: list[Mapping[str, Any]]) -> dict[str, int]:
        """The messages that come back, each with the seconds until then."""
        client = cast("Any", _Mortal(self.sqs, function.executioner))
        batch = Batch(
            {"Records": records},
            MessageJob,
            client=client,
            queue_url="messages",
            parked=Queue(client, "parked"),
            clock=self.clients.clock,
            chance=Random(records[0]["messageId"]),
        )
        send_all(batch, function.outbox, lambda: 30)
        back = [failure["itemIdentifier"] for failure in batch.response()["batchItemFailures"]]
        return {message_id: self.sqs.delays[message_id] for message_id in back}


def _record(number: int, receives: int, body: str) -> Mapping[str, Any]:
    attributes = {"ApproximateReceiveCount": str(receives)}
    return {"messageId": str(number), "receiptHandle": str(number), "body": body, "attributes": attributes}
