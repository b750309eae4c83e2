"""Parked items: looking at them, and sending them back to where they came from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import JsonValue

from shared.clock import iso
from shared.errors import BadRequest
from shared.queues import SENT_AT_ONCE, packed

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

AT_MOST = 200
"""Items in one answer, or sent back at once: they are held in memory meanwhile."""

_SHOWN = 4096
_HIDDEN = 60
"""Seconds for which items are hidden from others while we have them: if we are killed, they come back after that."""


class Parked:
    """The parked queues of a deployment. `queues` has each queue's URL and its parked queue's, by name."""

    def __init__(
        self,
        client: SQSClient,
        queues: Mapping[str, tuple[str, str]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._queues, self._monotonic = client, queues, monotonic

    def counts(self) -> dict[str, int]:
        """About how many items are parked, by queue."""
        return {name: self.count(name) for name in self._queues}

    def count(self, queue: str) -> int:
        """About how many items are parked for a queue: SQS counts a minute late."""
        return self._number(self._queues[queue][1])

    def waiting(self, queue: str) -> int:
        """About how many messages wait in a queue itself."""
        return self._number(self._queues[queue][0])

    def items(self, queue: str) -> list[JsonValue]:
        """The items parked for a queue, at most `AT_MOST`. Raises BadRequest (404) if there is no such queue."""
        source, parked = self._urls(queue)
        messages = self._take(parked, AT_MOST)
        self._put_back(parked, messages)
        unexplained = any("reason" not in message.get("MessageAttributes", {}) for message in messages)
        reason = self._why_sqs_did(source) if unexplained else ""
        return [_shown(queue, message, reason) for message in messages]

    def redrive(self, queue: str, ids: Collection[str] | None, seconds: float = 8) -> dict[str, JsonValue]:
        """Sends these items, or all, back to their queue: at most `AT_MOST` and for about so many seconds.

        Everything is taken before anything is sent, so that what is parked again at once is not sent again. An item is sent
        before it is deleted: cut off between, it is worked off twice, which no function minds.
        """
        source, parked = self._urls(queue)
        deadline = self._monotonic() + seconds
        messages = self._take(parked, AT_MOST, deadline - seconds / 2)
        wanted = [message for message in messages if ids is None or message["MessageId"] in ids]
        missing = sorted(set(ids or ()) - {message["MessageId"] for message in messages})
        sent = self._send_back(source, parked, wanted, deadline)
        left = [message for message in messages if message["MessageId"] not in sent]
        self._put_back(parked, left)
        return {"queue": queue, "redriven": len(sent), "left": len(left), "missing": [*missing]}

    def _send_back(self, source: str, parked: str, messages: list[MessageTypeDef], deadline: float) -> set[str]:
        sent: set[str] = set()
        for batch in _batches(messages):
            if self._monotonic() > deadline:
                break
            answer = self._client.send_message_batch(
                QueueUrl=source, Entries=[{"Id": str(i), "MessageBody": m["Body"]} for i, m in enumerate(batch)]
            )
            done = [batch[int(entry["Id"])] for entry in answer.get("Successful", [])]
            if done:
                self._client.delete_message_batch(
                    QueueUrl=parked, Entries=[{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(done)]
                )
            sent.update(message["MessageId"] for message in done)
        return sent

    def _take(self, url: str, limit: int, deadline: float = float("inf")) -> list[MessageTypeDef]:
        """Receives until there are enough, or none for a second. SQS may hand out the same item twice."""
        taken: dict[str, MessageTypeDef] = {}
        while len(taken) < limit and self._monotonic() < deadline:
            messages = self._client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=SENT_AT_ONCE,
                VisibilityTimeout=_HIDDEN,
                WaitTimeSeconds=1,  # asks every server of the queue, which a wait of 0 does not
                MessageAttributeNames=["reason", "parked_at"],
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            ).get("Messages")
            if not messages:
                break
            taken.update((message["MessageId"], message) for message in messages)
        return list(taken.values())

    def _put_back(self, url: str, messages: list[MessageTypeDef]) -> None:
        for batch in _batches(messages):
            self._client.change_message_visibility_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(i), "ReceiptHandle": m["ReceiptHandle"], "VisibilityTimeout": 0} for i, m in enumerate(batch)
                ],
            )

    def _why_sqs_did(self, source: str) -> str:
        """SQS parks without a word after a number of receives that is set on the source queue."""
        answer = self._client.get_queue_attributes(QueueUrl=source, AttributeNames=["RedrivePolicy"])
        policy = json.loads(answer.get("Attributes", {}).get("RedrivePolicy", "{}"))
        return f"received {policy.get('maxReceiveCount', 'too many')} times without success"

    def _number(self, url: str) -> int:
        answer = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def _urls(self, queue: str) -> tuple[str, str]:
        urls = self._queues.get(queue)
        if urls is None:
            raise BadRequest(f"there is no such queue; there are: {', '.join(self._queues)}", field="queue", status=404)
        return urls


def _shown(queue: str, message: MessageTypeDef, reason: str) -> dict[str, JsonValue]:
    attributes = {key: value["StringValue"] for key, value in message.get("MessageAttributes", {}).items()}
    body = message["Body"]
    return {
        "id": message["MessageId"],
        "queue": queue,
        "reason": attributes.get("reason", reason),
        "parked_at": attributes.get("parked_at", ""),
        "sent_at": iso(datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)),
        "receives": int(message["Attributes"]["ApproximateReceiveCount"]),
        "body": body.encode()[:_SHOWN].decode(errors="ignore"),
        "cut": len(body.encode()) > _SHOWN,
    }


def _batches(messages: list[MessageTypeDef]) -> Iterator[list[MessageTypeDef]]:
    return packed(messages, lambda message: len(message["Body"].encode()), most=SENT_AT_ONCE)
