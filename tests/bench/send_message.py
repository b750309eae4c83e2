"""Messages a second of CPU through `send_message`, against a bare floor: the job read, rendered, and posted.

Every check is on, and the ledger, the circuit, the mirror page and the engagement `sent`. The ESP needs no time to answer.
Run with `python -m tests.bench.send_message`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest import mock

from shared.clock import utc_now
from shared.definitions import Integration, Template
from shared.http import Http
from shared.ids import profile_id
from shared.jobs import MessageJob
from shared.links import Links
from shared.person import Profile
from tests.bench.cloud import Cloud, Esp, answered_by, way_to
from tests.bench.rate import Rate, compare
from tests.send_message.world import INTEGRATION, TEMPLATE, TRIGGER

BATCH = 10
MESSAGES = 600
"""In each round."""
DEFINITIONS = {"template": TEMPLATE, "trigger": TRIGGER, "integration": INTEGRATION}
ATTRIBUTES = {"email": "ada@example.com", "first_name": "Ada"}


@dataclass(frozen=True)
class SendMessage:
    """Messages a second of CPU, and what one message asks of AWS and of the ESP."""

    rate: Rate
    batch: int
    dynamodb_items: Mapping[str, float]
    aws_requests: Mapping[str, float]
    esp_calls: float


def measure() -> SendMessage:
    """Measures batches of ten messages, each to another person."""
    cloud, esp, numbers = Cloud(_answer), Esp(), itertools.count()
    with answered_by(cloud), way_to(esp) as http:
        _send(http, numbers)
        cloud.forget()
        esp.calls = 0
        _send(http, numbers)
        items, requests, calls = _each(cloud.items), _each(cloud.requests), esp.calls / MESSAGES
        rate = compare(lambda: _send(http, numbers), lambda: _floor(http, numbers), MESSAGES)
    return SendMessage(rate, BATCH, items, requests, calls)


def _each(counts: Mapping[str, int]) -> Mapping[str, float]:
    return {name: round(number / MESSAGES, 3) for name, number in sorted(counts.items())}


def _send(http: Http, numbers: itertools.count[int]) -> None:
    """Batch after batch through the function's own entry point."""
    from send_message import handler

    with mock.patch.object(handler, "_http", return_value=http):
        for _ in range(MESSAGES // BATCH):
            assert handler.handle(_event(numbers), _Context()) == {"batchItemFailures": []}


def _floor(http: Http, numbers: itertools.count[int]) -> None:
    """Nothing but the job read, the content rendered, and the post."""
    from connectors.esps.base import Outgoing
    from connectors.esps.rest import CONNECTOR
    from shared.content import render_content
    from shared.exchange import run

    template, integration = Template.model_validate(TEMPLATE), Integration.model_validate(INTEGRATION)
    profile, links = Profile(_person(0), ATTRIBUTES, {}, {}, {}, 1), Links("key", "https://sendbridge.example")
    for _ in range(MESSAGES):
        job = MessageJob.model_validate_json(_job(next(numbers)).model_dump_json())
        content = render_content(job, template, integration, profile, links)
        outgoing = Outgoing(job.message_id, content.url, content.body, content.headers)
        run(CONNECTOR.send(integration, [outgoing], utc_now), http.send)


class _Context:
    """Lambda's context object, as far as it is used."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def _event(numbers: itertools.count[int]) -> dict[str, object]:
    """A batch as Lambda hands it to the function."""
    return {"Records": [_record(number) for number in itertools.islice(numbers, BATCH)]}


def _record(number: int) -> dict[str, object]:
    identity = {"messageId": str(number), "receiptHandle": str(number)}
    return {**identity, "body": _job(number).model_dump_json(), "attributes": {"ApproximateReceiveCount": "1"}}


def _person(number: int) -> str:
    return profile_id("user_id", str(number))


def _job(number: int) -> MessageJob:
    now = utc_now()
    return MessageJob(
        message_id=f"m_{number:032x}",
        trigger="abandoned",
        trigger_version=1,
        visit_id=f"shop#a#{number}",
        profile_id=_person(number),
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


def _answer(operation: str, body: Any) -> object:
    """What the tables, secrets and queues hold."""
    return _ANSWERS.get(operation, lambda _: {"MessageId": "1"})(body)


def _definition(body: Any) -> object:
    kind = body["ExpressionAttributeValues"][":kind"]["S"]
    row = {"pk": {"S": kind}, "sk": {"S": DEFINITIONS[kind]["name"]}, "version": {"N": "1"}}
    return {"Items": [{**row, "body": {"S": json.dumps(DEFINITIONS[kind])}}], "Count": 1}


def _rows(body: Any) -> object:
    ((table, wanted),) = body["RequestItems"].items()
    return {"Responses": {table: [_row(table, key["pk"]["S"]) for key in wanted["Keys"] if table != "state"]}}


def _row(table: str, key: str) -> dict[str, object]:
    version: dict[str, object] = {"pk": {"S": key}, "version": {"N": "1"}}
    if table == "visits":
        return version | {"visit": {"S": json.dumps({"id": key, "tracker": "shop", "last_at": utc_now().isoformat()})}}
    empty: dict[str, object] = {"M": {}}
    return version | {"attributes": {"S": json.dumps(ATTRIBUTES)}, "changed": {"S": "{}"}, "suppressed": empty, "crm_ids": empty}


def _written(body: Any) -> object:
    values = body["ExpressionAttributeValues"]
    if ":sending" not in values:
        return {}
    columns = ("trigger", "campaign", "delivery", "integration", "visit", "profile")
    row = {f"{column}_id" if column in ("visit", "profile") else column: values[f":{column}"] for column in columns}
    fresh = {"status": {"S": "sending"}, "esp_message_id": {"S": ""}, "trace": values[":hops"]}
    numbers = {"attempts": {"N": "1"}, "unsettled": {"N": "1"}, "lease_until": values[":until"]}
    return {"Attributes": {"pk": body["Key"]["pk"], "created_at": values[":created"], **row, **fresh, **numbers}}


_ANSWERS: Mapping[str, Callable[[Any], object]] = {
    "Query": _definition,
    "BatchGetItem": _rows,
    "UpdateItem": _written,
    "GetSecretValue": lambda _: {"SecretString": '{"key": "k"}'},
}


def show(it: SendMessage) -> None:
    """Prints the figures."""
    print(f"send_message, messages a second of CPU, batches of {it.batch} (floor: the job read, rendered, posted)")
    print(
        f"  {it.rate.ours:,.0f}/s, floor {it.rate.floor:,.0f}/s: {it.rate.share:.0%} of it; {it.esp_calls:g} ESP calls a message"
    )
    print("  DynamoDB rows a message:", ", ".join(f"{number:g} {name}" for name, number in it.dynamodb_items.items()))
    print("  AWS requests a message:", ", ".join(f"{number:g} {name}" for name, number in it.aws_requests.items()))


def main() -> None:
    """Prints the figures."""
    show(measure())


if __name__ == "__main__":
    main()
