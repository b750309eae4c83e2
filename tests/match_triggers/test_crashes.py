"""The function fails at each AWS call in turn, and what was not acknowledged is delivered again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest

from match_triggers.handler import App, compose
from shared.jobs import EventsJob, MessageJob, TimerJob, TrackerEvent
from tests.aws import Aws
from tests.crash import Killed
from tests.match_triggers.shop import arrived, cart_trigger, put_trigger, settings_of, tracker_event

pytestmark = pytest.mark.slow

LONGEST = 120

TRIGGERS: tuple[dict[str, object], ...] = (
    {"cancels": ["looked"]},
    {"name": "looked", "type": "action", "must_include": ["Product Viewed"], "must_not_include": [], "wait_seconds": 60},
    {"name": "bought", "type": "event", "must_include": ["Order Completed"], "must_not_include": [], "wait_seconds": 1},
    {"name": "over", "type": "session_end", "must_include": [], "must_not_include": [], "wait_seconds": 1},
)
"""One of each way to begin, and one that cancels another."""

DECIDED = sorted(
    [
        *((who, "over", "send", "") for who in ("ada", "dora", "phone")),
        *((who, "over", "skip", "no profile") for who in ("bob", "stranger")),
        ("ada", "cart", "send", ""),
        ("ada", "looked", "send", ""),
        ("bob", "cart", "skip", "order placed"),
        ("bob", "bought", "skip", "no profile"),
        ("bob", "bought", "skip", "no profile"),
        ("stranger", "cart", "skip", "no profile"),
        ("dora", "cart", "skip", "order placed"),
        ("phone", "bought", "send", ""),
    ]
)


class Refused(Exception):
    """AWS answered with an error."""


class Fault:
    """Clients that fail the nth call, once."""

    def __init__(self, error: type[BaseException]) -> None:
        self.left = 0
        self._error = error
        self.dynamodb, self.sqs = boto3.client("dynamodb"), boto3.client("sqs")
        for client in (self.dynamodb, self.sqs):
            client.meta.events.register("after-call.*", self._call)

    def _call(self, **_: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise self._error


class Run:
    """One visitor who leaves, one who buys twice, one who buys on another device, and one whom nobody knows."""

    def __init__(self, aws: Aws, fault: Fault, name: str) -> None:
        self.aws, self.fault, self.name = aws, fault, name
        self.settings = settings_of(aws)
        self.app = self._started()

    def _started(self) -> App:
        return compose(self.settings, self.fault.dynamodb, self.fault.sqs, self.aws.clock)

    def play(self) -> dict[str, str]:
        """Everything that was decided: id → the job, which must be the same however often it was sent."""
        for job in self._jobs():
            self._until_done(self.aws.delivery("events", job))
        self.aws.clock.forward(2 * 3600)
        while due := self._due():
            self._until_done(self.aws.delivery("timers", *due))
        found: dict[str, str] = {}
        for body in self.aws.received("messages"):
            assert found.setdefault(json.loads(body)["message_id"], body) == body
        return found

    def _due(self) -> list[TimerJob]:
        """The timers that a sweep would send: for all rows that are in its index. Sixteen reads each time would be slow here."""
        rows = self.aws.dynamodb.scan(TableName=self.settings.visits_table)["Items"]
        return [TimerJob(visit_ids=(row["pk"]["S"],)) for row in rows if "due_at" in row]

    def _until_done(self, event: dict[str, object]) -> None:
        try:
            failures = self.app.invoked(event).get("batchItemFailures")
        except (Killed, Refused):
            failures = True
        if failures:
            # Time goes by, and a new process has nothing in memory.
            self.aws.clock.forward(1)
            self.app = self._started()
            self._until_done(_again(event))
        elif isinstance(records := event.get("Records"), list):
            url = self.settings.timers_queue_url if "timers" in records[0]["eventSourceARN"] else self.settings.events_queue_url
            self.aws.sqs.delete_message_batch(
                QueueUrl=url, Entries=[{"Id": str(i), "ReceiptHandle": r["receiptHandle"]} for i, r in enumerate(records)]
            )

    def _jobs(self) -> Iterator[EventsJob]:
        yield arrived(
            self._did("ada", "Signed In", 0, user_id=f"ada-{self.name}", traits={"first_name": "Ada"}),
            self._did("ada", "Product Viewed", 1),
            self._did("ada", "Product Added", 2),
            self._did("bob", "Product Added", 1),
            self._did("stranger", "Product Added", 2),
            self._did("dora", "Signed In", 0, user_id=f"dora-{self.name}", traits={"first_name": "Dora"}),
            self._did("dora", "Product Added", 1),
        )
        yield arrived(
            self._did("bob", "Order Completed", 5),
            self._did("bob", "Order Completed", 6),
            self._did("phone", "Order Completed", 7, user_id=f"dora-{self.name}"),
        )

    def _did(self, who: str, what: str, second: float, **changes: object) -> TrackerEvent:
        return tracker_event(what, second, anonymous_id=f"{who}-{self.name}", **changes)


def _again(event: dict[str, object]) -> dict[str, object]:
    records = event.get("Records")
    attributes = {"ApproximateReceiveCount": "2"}
    return {"Records": [{**record, "attributes": attributes} for record in records]} if isinstance(records, list) else event


def outcomes(decided: dict[str, str]) -> list[tuple[str, str, str, str]]:
    jobs = [MessageJob.model_validate_json(body) for body in decided.values()]
    return sorted((job.visit_id.split("#")[2].partition("-")[0], job.trigger, job.decided, job.reason) for job in jobs)


def taken_back(decided: dict[str, str], app: App) -> list[str]:
    """Whose messages the ledger knows to be cancelled."""
    rows = app.desk.ledger.read_all(decided)
    assert all((row.status, row.trace[-1].reason) == ("skipped", "cancelled by cart") for row in rows.values())
    return [row.visit_id.split("#")[2].partition("-")[0] for row in rows.values()]


@pytest.mark.parametrize("error", [Killed, Refused])
def test_nothing_is_lost_or_decided_twice_wherever_it_fails(aws: Aws, error: type[BaseException]) -> None:
    """After a call is before the next one: what a failure can tell apart is which calls have had their effect."""
    for changes in TRIGGERS:
        put_trigger(aws, cart_trigger(**changes))
    fault, start = Fault(error), aws.clock.at
    for call in range(1, LONGEST):
        aws.clock.at, fault.left = start, call
        run = Run(aws, fault, str(call))
        decided = run.play()
        unharmed, fault.left = fault.left > 0, 0
        assert outcomes(decided) == DECIDED, f"call {call}"
        assert taken_back(decided, run.app) == ["ada"], f"call {call}"
        if unharmed:
            return
    pytest.fail("no run ever came to its end without a fault")
