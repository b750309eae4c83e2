"""What the whole job asks of AWS, on a really deployed stack, and its list price for a million tracker events.

A million tracker events are 50,000 messages and 200,000 engagements in the CRM. What happens each minute, whatever the load,
is priced by the month. Run with `python -m tests.bench.job_cost`.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from cli.local.world import World, world
from tests.bench import prices
from tests.bench.dynamodb_units import READ_UNIT
from tests.bench.load import ENGAGEMENTS_EACH, ESP_BATCH, Load, play
from tests.bench.meter import Meter

MILLION = 1_000_000
BATCH = 10
"""Messages in a full batch of every queue."""

_BY_TIME = {("dynamodb:Query", "definitions"), ("dynamodb:Query", "visits/due"), ("secretsmanager:GetSecretValue", "")}
_EACH_MINUTE = {"refresh_tokens", "admin_api", "show_mirror"}
_HOW_CPU = f"CPU time of the functions here; {prices.MEMORY_GB * 1024:.0f} MB have {prices.CPU_SHARE:.2f} of a core"
_HOW_WAITING = (
    ", ".join(f"{service} {seconds * 1000:.0f} ms" for service, seconds in prices.SECONDS_A_CALL.items())
    + f" a call, ESP {prices.ESP_SECONDS * 1000:.0f} ms a message, CRM {prices.CRM_SECONDS * 1000:.0f} ms a batch: assumed"
)
_HOW_LOGS = "the functions' own, Lambda's START, END, REPORT, and the API's access log"
_FED_BY = {
    "match_triggers": ("events", "timers"),
    "send_message": ("messages",),
    "record_engagement": ("engagements",),
    "sync_crm": ("crm-dynamics",),
}


@dataclass(frozen=True)
class Line:
    """One line of a bill: how many of what, dollars, and how it was counted or what was assumed."""

    what: str
    quantity: float
    dollars: float
    how: str = ""


@dataclass(frozen=True)
class Bill:
    """For a million tracker events."""

    lines: tuple[Line, ...]
    dollars: float


@dataclass(frozen=True)
class JobCost:
    """What one load took, and what a million tracker events posted like it would cost."""

    shape: str
    events: int
    messages: int
    calls: Mapping[str, Mapping[str, float]]
    """AWS calls per tracker event, message and engagement, by function and action."""
    messages_a_batch: Mapping[str, float]
    cpu_ms: Mapping[str, float]
    """Of a function's process, per invocation."""
    log_bytes: Mapping[str, float]
    """Per invocation."""
    write_units: Mapping[str, float]
    """Per write, by table, with those of its index."""
    row_bytes: Mapping[str, float]
    """At the end, by table."""
    bill: Bill
    """With batches as they were."""
    bill_of_single_batches: Bill
    """As when little is going on: every message comes alone. Only what Lambda and SQS count by batches is other than it was."""
    bill_of_full_batches: Bill
    lateness: Mapping[str, float]
    sent_after: Mapping[str, float]


@dataclass(frozen=True)
class Job:
    """The loads, and what the stack costs in a month without any."""

    loads: tuple[JobCost, ...]
    standing: tuple[Line, ...]


def measure() -> Job:
    """Deploys the stack, warms it up, and plays the loads."""
    with world(overrides={"definitions_ttl_seconds": 30}) as made:
        made.vendors.esp.command("events", mode="manual")
        meter = Meter(made)
        play(meter, "warm", 20, "one")
        loads = [play(meter, "one", 30, "one"), play(meter, "mixed", 40, "mixed"), play(meter, "visit", 40, "visit")]
        return Job(tuple(_cost(load) for load in loads), _standing(made, meter))


def _cost(load: Load) -> JobCost:
    used = load.used
    return JobCost(
        shape=load.shape,
        events=load.events,
        messages=load.messages,
        calls=_calls_of_each(load),
        messages_a_batch={queue: round(used.records[queue] / number, 2) for queue, number in used.batches.items()},
        cpu_ms={name: round(spent / used.invocations[name], 2) for name, spent in used.cpu.items() if used.invocations[name]},
        log_bytes={name: round(size / used.invocations[name]) for name, size in used.log_bytes.items() if used.invocations[name]},
        write_units={table: round(used.write_units[table] / number, 2) for table, number in used.writes.items()},
        row_bytes={table: round(size) for table, size in load.row_bytes.items()},
        bill=_bill(load, None),
        bill_of_single_batches=_bill(load, 1),
        bill_of_full_batches=_bill(load, BATCH),
        lateness=_percentiles(load.lateness),
        sent_after=_percentiles(load.sent_after),
    )


def _percentiles(values: tuple[float, ...]) -> Mapping[str, float]:
    ordered = sorted(values)
    return {"p50": statistics.median(ordered), "p99": ordered[math.ceil(len(ordered) * 0.99) - 1]}


def _by_load(load: Load) -> Counter[tuple[str, str, str]]:
    """The calls that more load makes more of."""
    made = load.used.calls.items()
    return Counter({key: n for key, n in made if key[0] not in _EACH_MINUTE and key[1:] not in _BY_TIME})


def _calls_of_each(load: Load) -> Mapping[str, Mapping[str, float]]:
    units = {"tracker event": load.events, "message": load.messages, "engagement": load.engagements}
    found: dict[str, dict[str, float]] = {unit: {} for unit in units}
    for (function, action, of), number in sorted(_by_load(load).items()):
        unit = _unit(function, of)
        found[unit][f"{function} {action} {of}".strip()] = round(number / units[unit], 3)
    return found


def _unit(function: str, of: str) -> str:
    if function == "send_message" or (function == "match_triggers" and of in ("messages", "timers")):
        return "message"
    return "tracker event" if function in ("receive_event", "match_triggers") else "engagement"


def _bill(load: Load, batch: int | None) -> Bill:
    """With so many messages in each batch; None for as many as there were."""
    used, scale = load.used, MILLION / load.events
    calls = _by_load(load)
    batches = {queue: records / batch if batch else used.batches[queue] for queue, records in used.records.items()}
    invocations = _invocations(load, batches)
    sends = sum(n for (_, action, _), n in calls.items() if action == "sqs:SendMessage")
    requests = load.posts + load.esp_posts
    written = sum(used.write_units.values()) + _unchanged(load)
    puts = sum(n for (_, action, _), n in calls.items() if action == "s3:PutObject")
    lines = [
        ("HTTP API requests", requests, prices.HTTP_API_REQUEST, f"every post; the ESP posts {ESP_BATCH} engagements at once"),
        ("Lambda invocations", sum(invocations.values()), prices.LAMBDA_REQUEST, "a post each, a batch each"),
        ("Lambda GB-seconds, CPU", _cpu_gb_seconds(load), prices.LAMBDA_GB_SECOND, _HOW_CPU),
        ("Lambda GB-seconds, waiting", _waiting_gb_seconds(load), prices.LAMBDA_GB_SECOND, _HOW_WAITING),
        ("SQS sends", sends, prices.SQS_REQUEST, "up to ten messages each"),
        ("SQS receives and deletes", 2 * sum(batches.values()), prices.SQS_REQUEST, "one of each for a batch"),
        ("DynamoDB write units", written, prices.WRITE_UNIT, "sizes as written, indexes and refused conditions too"),
        ("DynamoDB read units", _read_units(load), prices.READ_UNIT, "consistent; at most so many rows"),
        ("S3 puts", puts, prices.S3_PUT, "mirror pages, and events that are recorded"),
        ("log bytes", _log_bytes(load, invocations) + requests * prices.ACCESS_LOG_BYTES, prices.LOGS_BYTE, _HOW_LOGS),
    ]
    bill = tuple(Line(what, round(n * scale), round(n * scale * price, 4), how) for what, n, price, how in lines)
    return Bill(bill, round(sum(line.dollars for line in bill), 2))


def _invocations(load: Load, batches: Mapping[str, float]) -> Mapping[str, float]:
    fed = {name: sum(batches.get(queue, 0) for queue in queues) for name, queues in _FED_BY.items()}
    return {"receive_event": load.posts, "receive_engagement": load.esp_posts, **fed}


_WRITES = ("PutItem", "UpdateItem", "DeleteItem", "PartiQLInsert", "PartiQLUpdate")


def _unchanged(load: Load) -> float:
    """Units of writes that changed no row: refused conditions, which cost as much as a write, and rows of `state`."""
    calls = _by_load(load)
    found = 0.0
    for table in ("visits", "messages", "profiles", "state"):
        tried = sum(n for (_, action, of), n in calls.items() if of == table and action.endswith(_WRITES))
        writes = load.used.writes[table]
        found += max(tried - writes, 0) * (load.used.write_units[table] / writes if writes else 1)
    return found


def _cpu_gb_seconds(load: Load) -> float:
    spent = sum(ms for name, ms in load.used.cpu.items() if name not in _EACH_MINUTE)
    return spent / 1000 / prices.CPU_SHARE * prices.MEMORY_GB


def _waiting_gb_seconds(load: Load) -> float:
    aws = sum(n * prices.SECONDS_A_CALL[action.partition(":")[0]] for (_, action, _), n in _by_load(load).items())
    vendors = load.messages * prices.ESP_SECONDS + load.used.invocations["sync_crm"] * prices.CRM_SECONDS
    return (aws + vendors) * prices.MEMORY_GB


def _read_units(load: Load) -> float:
    """A call says how often it was made, not how many rows it asked for: as many as there can be, each read consistently."""
    records, calls = load.used.records, _by_load(load)
    asked = {
        ("match_triggers", "visits"): load.visits_posted + records["timers"],
        ("send_message", "profiles"): records["messages"],
        ("record_engagement", "messages"): load.messages * ENGAGEMENTS_EACH,
        ("sync_crm", "profiles"): records["crm-dynamics"],
    }
    made = {(function, of): n for (function, action, of), n in calls.items() if action == "dynamodb:BatchGetItem"}
    # A person is looked up by two identifiers.
    return sum(
        max(asked.get(key, 2 * n if key[1] == "profiles" else n), n) * _units_of_row(load, key[1]) for key, n in made.items()
    )


def _units_of_row(load: Load, table: str) -> int:
    return math.ceil(load.row_bytes.get(table, 1) / READ_UNIT)


def _log_bytes(load: Load, invocations: Mapping[str, float]) -> float:
    used = load.used
    return sum(used.log_bytes[name] / used.invocations[name] * n for name, n in invocations.items() if used.invocations[name])


def _standing(made: World, meter: Meter) -> tuple[Line, ...]:
    """By the month."""
    template = json.loads((made.aws.directory / "cdk.out" / "sendbridge-local.template.json").read_text())
    kinds = Counter(resource["Type"] for resource in template["Resources"].values())
    minutes, feeds = prices.MINUTES_A_MONTH, kinds["AWS::Lambda::EventSourceMapping"]
    each_minute = 2 * (prices.LAMBDA_REQUEST + 0.2 * prices.MEMORY_GB * prices.LAMBDA_GB_SECOND) + 8 * prices.READ_UNIT
    secrets = len(meter.client("secretsmanager").list_secrets(MaxResults=100)["SecretList"])
    counted = [
        ("alarms", kinds["AWS::CloudWatch::Alarm"], prices.ALARM_MONTH),
        ("secrets", secrets, prices.SECRET_MONTH),
        ("keys", kinds["AWS::KMS::Key"], prices.KEY_MONTH),
        ("polls of idle queues", feeds * prices.IDLE_POLLS_A_MINUTE * minutes, prices.SQS_REQUEST),
        ("minutes with a sweep and a look at tokens", minutes, each_minute),
    ]
    return tuple(Line(what, number, round(number * price, 4)) for what, number, price in counted)


_SHAPES = {
    "one": "each event posted alone",
    "mixed": "posts of twenty events, each of another visitor",
    "visit": "each visitor's twenty events in one post",
}


def show(job: Job) -> None:
    """Prints the figures."""
    for it in job.loads:
        _show_load(it)
    print("not in these prices: storage, data that leaves AWS, custom metrics, and whatever a free tier gives")
    print("the stack without any load, dollars a month")
    for line in job.standing:
        print(f"  {line.dollars:>7.2f}  {line.quantity:,.0f} {line.what}")


def _show_load(it: JobCost) -> None:
    print(f"the whole job, {_SHAPES[it.shape]} ({it.events} events, {it.messages} messages, on the deployed stack)")
    for unit, calls in it.calls.items():
        print(f"  AWS calls per {unit}: {sum(calls.values()):.2f}")
        print("    " + ", ".join(f"{name} {number:g}" for name, number in calls.items()))
    print("  messages a batch:", ", ".join(f"{queue} {number:g}" for queue, number in it.messages_a_batch.items()))
    print("  CPU ms an invocation:", ", ".join(f"{name} {number:g}" for name, number in it.cpu_ms.items()))
    print("  log bytes an invocation:", ", ".join(f"{name} {number:g}" for name, number in it.log_bytes.items()))
    print("  DynamoDB units a write:", ", ".join(f"{table} {number:g}" for table, number in it.write_units.items()))
    print(f"  timers late by p50 {it.lateness['p50']:.2f} s, p99 {it.lateness['p99']:.2f} s; ", end="")
    print(f"taken by the ESP after the deadline p50 {it.sent_after['p50']:.2f} s, p99 {it.sent_after['p99']:.2f} s")
    print("  row bytes:", ", ".join(f"{table} {size:g}" for table, size in it.row_bytes.items()))
    bills = (it.bill, it.bill_of_single_batches, it.bill_of_full_batches)
    print("  list price of a million tracker events       quantity    dollars    batches of one    full batches")
    for lines in zip(*(bill.lines for bill in bills), strict=True):
        seen, single, full = (f"{line.dollars:.2f}" for line in lines)
        print(f"    {lines[0].what:<28} {lines[0].quantity:>20,} {seen:>10} {single:>17} {full:>15}   {lines[0].how}")
    seen, single, full = (f"{bill.dollars:.2f}" for bill in bills)
    print(f"    {'all':<28} {'':>20} {seen:>10} {single:>17} {full:>15}")


def main() -> None:
    """Prints the figures."""
    show(measure())


if __name__ == "__main__":
    main()
