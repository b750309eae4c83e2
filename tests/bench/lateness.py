"""How late timers are: ten thousand visitors whose waits end within the same minute, on a really deployed stack.

The visitors are known by their user ids and have profiles, and each gets a message, which stays in its queue: sending would
compete for the machine with what is measured. Their events are of a few minutes later, so that the deadlines are in the index
only, and the schedule has to find them. It takes some eight minutes.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cli.local.world import World, world
from shared.jobs import EventsJob, TrackerEvent
from tests.bench.meter import Meter

VISITORS = 10_000
_WITHIN = 60
_AHEAD = timedelta(minutes=4)
"""In which all visitors' rows are to be written, before the first deadline's timer is sent."""
_IN_A_POST = 20
_PATIENCE = 600.0


@dataclass(frozen=True)
class Lateness:
    """Seconds from each deadline to the decision about it, and what the firings took."""

    visitors: int
    within_seconds: int
    p50: float
    p99: float
    worst: float
    calls: Mapping[str, float]
    """AWS calls of the function per firing, from the first deadline's timer on."""
    timers_a_batch: float
    """Queue messages of timers in each batch; each is for up to ten visitors."""
    cpu_ms: float
    """Of the function's process, per firing."""
    aws_cpu_ms: float
    """Of the embedded AWS, which is one process, per firing, with what reading the messages takes: it bounds firings a second."""
    p50_of_first_tenth: float
    p50_of_last_tenth: float
    """By their deadlines: whether a backlog grew."""
    load: float
    """Of the machine, when the last was decided: what else it did."""


def measure() -> Lateness:
    """Deploys the stack and has ten thousand waits end in a minute."""
    with world(overrides={"definitions_ttl_seconds": 30}) as made:
        return _measured(made, Meter(made))


def _measured(made: World, meter: Meter) -> Lateness:
    _stop_sending(meter)
    _know(made, meter)
    first = datetime.now(UTC).replace(microsecond=0) + _AHEAD
    _tell(meter, first)
    _until(lambda: len(_due(meter)), VISITORS, (first - timedelta(seconds=95)).timestamp() - time.time())
    before, busy = meter.read(), _cpu_seconds(made.aws.pid)
    decided = _decided(meter, (first - datetime.now(UTC)).total_seconds() + _WITHIN + _PATIENCE)
    busy = _cpu_seconds(made.aws.pid) - busy
    load = os.getloadavg()[0]
    used = meter.read() - before
    by_deadline = [late for _, late in sorted(decided)]
    late, tenth = sorted(by_deadline), VISITORS // 10
    calls = {f"{action} {of}".strip(): n for (function, action, of), n in used.calls.items() if function == "match_triggers"}
    return Lateness(
        visitors=VISITORS,
        within_seconds=_WITHIN,
        p50=round(statistics.median(late), 3),
        p99=round(late[math.ceil(len(late) * 0.99) - 1], 3),
        worst=round(late[-1], 3),
        calls={name: round(number / VISITORS, 4) for name, number in sorted(calls.items())},
        timers_a_batch=round(used.records["timers"] / max(used.batches["timers"], 1), 2),
        cpu_ms=round(used.cpu["match_triggers"] / VISITORS, 2),
        aws_cpu_ms=round(busy * 1000 / VISITORS, 2),
        p50_of_first_tenth=statistics.median(by_deadline[:tenth]),
        p50_of_last_tenth=statistics.median(by_deadline[-tenth:]),
        load=round(load, 1),
    )


def _cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _stop_sending(meter: Meter) -> None:
    functions = meter.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        if mapping["EventSourceArn"].endswith("-messages"):
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)


def _people() -> Iterator[dict[str, Any]]:
    from shared.profile_table import identifier_key

    for number in range(VISITORS):
        texts = {"attributes": {"email": f"{number}@example.com", "first_name": "Ada"}, "changed": {}, "identifiers": {}}
        columns = {name: {"S": json.dumps(value)} for name, value in texts.items()}
        yield {"pk": {"S": f"profile#p_{number}"}, **columns, "crm_ids": {"M": {}}, "version": {"N": "1"}}
        yield {"pk": {"S": identifier_key(("user_id", f"user-{number}"))}, "profile_id": {"S": f"p_{number}"}}


def _know(made: World, meter: Meter) -> None:
    """Writes all profiles, and the identifiers that lead to them."""
    rows, client, table = list(_people()), meter.client("dynamodb"), made.deployment.table("profiles")

    def put(start: int) -> None:
        client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": row}} for row in rows[start : start + 25]]})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(0, len(rows), 25)))


def _tell(meter: Meter, first: datetime) -> None:
    """Has each visitor add to the cart, evenly within the minute, by way of the queue."""
    sqs = meter.client("sqs")
    url = sqs.get_queue_url(QueueName="sendbridge-local-events")["QueueUrl"]
    events = [_event(number, first + timedelta(seconds=_WITHIN * number / VISITORS)) for number in range(VISITORS)]
    jobs = [EventsJob(events=tuple(events[n : n + _IN_A_POST])).model_dump_json() for n in range(0, VISITORS, _IN_A_POST)]
    for start in range(0, len(jobs), 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(jobs[start : start + 10])]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)


def _event(number: int, at: datetime) -> TrackerEvent:
    return TrackerEvent(
        id=f"e{number}",
        tracker="shop",
        name="Product Added",
        at=at,
        received_at=at,
        anonymous_id=f"browser-{number}",
        user_id=f"user-{number}",
        properties={"product_id": f"sku-{number}", "name": "Desk lamp", "price": 49.5, "quantity": 1},
    )


def _due(meter: Meter) -> list[dict[str, Any]]:
    return [row for row in meter.rows("visits") if "due_at" in row]


def _until(count: Any, wanted: int, patience: float) -> None:
    started = time.monotonic()
    while (found := count()) < wanted:
        if time.monotonic() - started > patience:
            raise TimeoutError(f"{found} of {wanted} were there after {patience:.0f} s")
        time.sleep(2)


def _decided(meter: Meter, patience: float) -> list[tuple[str, float]]:
    """Takes the messages from their queue once all are decided; of each the deadline, and how late it was."""
    sqs = meter.client("sqs")
    url = sqs.get_queue_url(QueueName="sendbridge-local-messages")["QueueUrl"]
    name: Any = ["ApproximateNumberOfMessages"]

    def waiting() -> int:
        return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=name)["Attributes"][name[0]])

    _until(waiting, VISITORS, patience)
    late: dict[str, tuple[str, float]] = {}
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=3600).get("Messages", []):
        for message in messages:
            job = json.loads(message["Body"])
            timer = next(hop for hop in job["hops"] if hop["what"] == "timer")
            assert job["decided"] == "send", job["reason"]
            late.setdefault(job["message_id"], (timer["data"]["due_at"], float(timer["data"]["lateness"])))
    return list(late.values())


def show(it: Lateness) -> None:
    """Prints the figures."""
    print(f"timers, {it.visitors:,} waits ending within {it.within_seconds} s (on the deployed stack, all on this machine)")
    print(f"  decided after the deadline: p50 {it.p50:.2f} s, p99 {it.p99:.2f} s, worst {it.worst:.2f} s")
    print(f"  of the first tenth p50 {it.p50_of_first_tenth:.2f} s, of the last {it.p50_of_last_tenth:.2f} s; load {it.load:g}")
    print(f"  {it.timers_a_batch:g} timers a batch; CPU {it.cpu_ms:g} ms a firing, and {it.aws_cpu_ms:g} ms of the embedded AWS")
    print("  AWS calls a firing: " + ", ".join(f"{name} {number:g}" for name, number in it.calls.items()))
