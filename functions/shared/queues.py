"""Queues: reading a batch from SQS with its outcomes, and sending.

A record ends in one of three ways: done; to be retried after a delay of its own; parked with its reason.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from shared.clock import Clock, iso
from shared.errors import Permanent, SendbridgeError, Transient
from shared.observe import logger, whereabouts
from shared.problem import first_problem
from shared.runs import in_runs
from shared.scrub import for_xml

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef as Entry

MAX_BODY = 200_000
"""Bytes of one queue message that we fill: below SQS's smallest limit (262,144), with room for attributes."""

SENT_AT_ONCE = 10
"""Messages of one request, as SQS allows."""

_MAX_DELAY = 900
_MAX_VISIBILITY = 43_200

B = TypeVar("B", bound=BaseModel)
T = TypeVar("T")


class Randomness(Protocol):
    """What we need of `random.Random`."""

    def uniform(self, a: float, b: float) -> float:
        """A number between a and b."""


@dataclass(frozen=True)
class Record(Generic[B]):
    """One message of a batch, its body parsed."""

    body: B
    message_id: str
    receipt: str
    receives: int
    raw: str


class Queue:
    """One SQS queue to send to."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self.url = url

    def send(self, body: BaseModel, *, delay: int = 0) -> None:
        """Sends one message, visible after `delay` seconds (at most 900)."""
        self._client.send_message(QueueUrl=self.url, MessageBody=as_text(body), DelaySeconds=min(delay, _MAX_DELAY))

    def send_all(self, bodies: Iterable[BaseModel | tuple[BaseModel, int]]) -> None:
        """Sends all, ten a request; an item may be a body with its delay in seconds. Raises Transient if SQS refused any."""
        pairs = [b if isinstance(b, tuple) else (b, 0) for b in bodies]
        self._send(
            [
                {"Id": str(i), "MessageBody": as_text(body), "DelaySeconds": min(delay, _MAX_DELAY)}
                for i, (body, delay) in enumerate(pairs)
            ]
        )

    def send_texts(self, texts: Iterable[str]) -> None:
        """Sends bodies that are written out already (by `as_text`), ten a request. Raises Transient if SQS refused any."""
        self._send([{"Id": str(i), "MessageBody": text} for i, text in enumerate(texts)])

    def park_all(self, items: Iterable[tuple[str, str]], clock: Clock) -> None:
        """Parks raw bodies, each with its reason, ten a request. Raises Transient if SQS refused any."""
        self._send(
            [
                {"Id": str(i), "MessageBody": text, "MessageAttributes": _why(reason, clock)}
                for i, (text, reason) in enumerate(items)
            ]
        )

    def _send(self, entries: Sequence[Entry]) -> None:
        for run in packed(entries, lambda entry: len(entry["MessageBody"].encode()), most=SENT_AT_ONCE):
            answer = self._client.send_message_batch(QueueUrl=self.url, Entries=run)
            if failed := answer.get("Failed"):
                raise Transient(f"SQS refused {len(failed)} of {len(run)} messages: {failed[0].get('Code')}")

    def park(self, text: str, reason: str, clock: Clock) -> None:
        """Sends a raw body to this (parked) queue with why it is there."""
        self._client.send_message(QueueUrl=self.url, MessageBody=text, MessageAttributes=_why(reason, clock))


def as_text(body: BaseModel) -> str:
    """The JSON of a body, without the two characters that JSON may hold and SQS refuses."""
    return body.model_dump_json().replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def _why(reason: str, clock: Clock) -> dict[str, MessageAttributeValueTypeDef]:
    return {
        "reason": {"DataType": "String", "StringValue": for_xml(reason)[:1000] or "no reason"},
        "parked_at": {"DataType": "String", "StringValue": iso(clock())},
    }


def packed(items: Iterable[T], size_of: Callable[[T], int], *, most: int) -> Iterator[list[T]]:
    """The items in runs that each fit a request to SQS."""
    return in_runs(items, size_of, most=most, largest=MAX_BODY)


def backoff(receives: int, chance: Randomness, *, base: float = 1, cap: float = 300) -> float:
    """Seconds to wait after the nth receive: exponential, capped, fully jittered so that nothing returns as a herd."""
    return chance.uniform(base / 2, min(cap, base * 2 ** min(receives, 20)))


def patience(error: Transient, receives: int, chance: Randomness) -> int:
    """Whole seconds after which a record that failed so is tried again: never before the vendor said, and spread out after it."""
    wait = backoff(receives, chance)
    if error.retry_after is not None:
        wait = error.retry_after + chance.uniform(0, max(1.0, error.retry_after / 4))
    return max(1, min(round(wait), _MAX_VISIBILITY))


def urls_by_name(pairs: Iterable[str]) -> dict[str, str]:
    """Queue URLs by the name of their destination, from a setting of `name=url` items."""
    split = (pair.partition("=") for pair in pairs)
    return {name: url for name, _, url in split}


class Batch(Generic[B]):
    """A batch of one source queue: its readable records, and what became of each.

    A record whose body cannot be read is parked at once. What is neither retried nor parked counts as done.
    """

    def __init__(
        self,
        event: dict[str, object],
        body: type[B],
        *,
        client: SQSClient,
        queue_url: str,
        parked: Queue,
        clock: Clock,
        chance: Randomness | None = None,
    ) -> None:
        self._client, self._queue_url, self._parked, self._clock = client, queue_url, parked, clock
        self._chance: Randomness = chance or random.Random()
        self._failed: dict[str, None] = {}
        self.records: list[Record[B]] = []
        for raw in event["Records"]:  # type: ignore[attr-defined]  # the event's shape is AWS's promise
            self._read(raw, body)

    def _read(self, raw: dict[str, str], body: type[B]) -> None:
        receives = int(raw["attributes"]["ApproximateReceiveCount"])  # type: ignore[index]
        try:
            parsed = body.model_validate_json(raw["body"])
        except ValidationError as error:
            self._parked.park(raw["body"], f"unreadable: {first_problem(error)}", self._clock)
            return
        self.records.append(Record(parsed, raw["messageId"], raw["receiptHandle"], receives, raw["body"]))

    def each(self, work: Callable[[Record[B]], None]) -> None:
        """Does `work` for each record and settles it by what it raises."""
        for record in self.records:
            try:
                work(record)
            except Exception as error:  # a record's failure, whatever it is, must not touch its neighbours
                self.settle(record, error)

    def settle(self, record: Record[B], error: Exception) -> None:
        """Parks a record after Permanent, else has it retried."""
        if isinstance(error, Permanent):
            self.park(record, error.reason)
        else:
            self.retry(record, error)

    def retry(self, record: Record[B], error: Exception) -> None:
        """The record comes back after a delay of its own."""
        transient = error if isinstance(error, Transient) else Transient(type(error).__name__)
        delay = patience(transient, record.receives, self._chance)
        reason = error.reason if isinstance(error, SendbridgeError) else whereabouts(error)
        logger.warning("retry", sqs_message=record.message_id, delay=delay, reason=reason)
        self._failed[record.message_id] = None
        self._client.change_message_visibility(QueueUrl=self._queue_url, ReceiptHandle=record.receipt, VisibilityTimeout=delay)

    def park(self, record: Record[B], reason: str) -> None:
        """The record is kept in the parked queue with its reason."""
        logger.warning("parked", sqs_message=record.message_id, reason=reason)
        self._parked.park(record.raw, reason, self._clock)

    def done(self) -> list[Record[B]]:
        """The records that do not come back."""
        return [record for record in self.records if record.message_id not in self._failed]

    def response(self) -> dict[str, list[dict[str, str]]]:
        """What Lambda wants back: the ids of the records to keep in the queue."""
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in self._failed]}
