"""What a deployed stack has used so far: its calls to AWS, invocations, batches, CPU, logs, and the rows it wrote.

Two readings subtracted are what a load took. Everything is counted where it happened: calls by the embedded AWS, which checks
each, writes by the tables' own streams, CPU by the operating system.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import boto3

from cli.local.world import World
from tests.architecture.source import lambda_names
from tests.bench.dynamodb_units import write_units

TABLES = ("visits", "messages", "profiles")
"""Whose every write is looked at. Those of `state` are tiny: a unit each."""

_BATCH = re.compile(r"ESM: Lambda \S+ processed (\d+) SQS messages from sendbridge-local-(\S+)")
_LINE_OVERHEAD = 26
"""Bytes that CloudWatch Logs charges for each line on top of its text."""


@dataclass(frozen=True)
class Reading:
    """Functions are named as their folders, tables and queues as in docs/architecture.md."""

    calls: Counter[tuple[str, str, str]]
    """By function, IAM action, and the table, index, queue or bucket."""
    invocations: Counter[str]
    batches: Counter[str]
    """Batches taken from each queue."""
    records: Counter[str]
    """Messages taken from each queue."""
    cpu: Counter[str]
    """Milliseconds of each function's processes."""
    log_bytes: Counter[str]
    writes: Counter[str]
    """Writes that changed a row, by table."""
    write_units: Counter[str]

    def __sub__(self, other: Reading) -> Reading:
        return Reading(*(_less(getattr(self, field.name), getattr(other, field.name)) for field in fields(Reading)))


def _less(one: Counter[Any], other: Counter[Any]) -> Counter[Any]:
    return Counter({key: number - other[key] for key, number in one.items() if number != other[key]})


class Meter:
    """Reads a running stack."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._dynamodb, self._logs = self.client("dynamodb"), self.client("logs")
        self._streams = self.client("dynamodbstreams")
        self._follow()

    def client(self, service: str) -> Any:
        """A client of the account's owner, whose calls are not counted."""
        environment = self.world.environment
        keys = {key.lower(): environment[key] for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        region = environment["AWS_REGION"]
        return boto3.client(service, endpoint_url=self.world.aws.endpoint, region_name=region, **keys)  # type: ignore[call-overload]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Every row of a table, in DynamoDB's own JSON."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self.world.deployment.table(table), ConsistentRead=True)
        return [row for page in pages for row in page["Items"]]

    def read(self) -> Reading:
        """What was used since the stack is there; writes since this meter is."""
        batches, records = _batches(self.world.aws.log.read_text(errors="replace"))
        invocations, log_bytes = self._logged()
        writes, units = self._written()
        calls = Counter((_function(call.role), call.action, self._plain(call.resource)) for call in self.world.aws.calls())
        return Reading(calls, invocations, batches, records, _cpu(self.world), log_bytes, writes, units)

    def _plain(self, arn: str) -> str:
        """What an ARN means, without the names that the deployment made up."""
        for name in ("definitions", "state", *TABLES):
            if f"table/{self.world.deployment.table(name)}" in arn:
                return name + arn.partition("/index")[2]
        return arn.rpartition(":sendbridge-local-")[2] if ":sqs:" in arn else ""

    def _follow(self) -> None:
        view = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        for name in TABLES:
            self._dynamodb.update_table(TableName=self.world.deployment.table(name), StreamSpecification=view)

    def _written(self) -> tuple[Counter[str], Counter[str]]:
        writes: Counter[str] = Counter()
        units: Counter[str] = Counter()
        for name in TABLES:
            for change in self._changes(self.world.deployment.table(name)):
                writes[name] += 1
                units[name] += write_units(name, change.get("OldImage"), change.get("NewImage"))
        return writes, units

    def _changes(self, table: str) -> Iterator[Mapping[str, Any]]:
        arn = self._dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
        shard = self._streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
        position = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = self._streams.get_shard_iterator(**position)["ShardIterator"]
        while iterator:
            page = self._streams.get_records(ShardIterator=iterator)
            yield from (record["dynamodb"] for record in page["Records"])
            iterator = page.get("NextShardIterator") if page["Records"] else None

    def _logged(self) -> tuple[Counter[str], Counter[str]]:
        invocations: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        for group in self._logs.get_paginator("describe_log_groups").paginate().search("logGroups[].logGroupName"):
            name = group.rpartition("/")[2].replace("-", "_")
            for page in self._logs.get_paginator("filter_log_events").paginate(logGroupName=group):
                for event in page["events"]:
                    sizes[name] += len(event["message"].encode()) + _LINE_OVERHEAD
                    invocations[name] += event["message"].startswith("START RequestId")
        return invocations, sizes


def _function(role: str) -> str:
    """The function of a role: CDK names it `sendbridge-local-sendmessagerole…`."""
    plain = role.removeprefix("sendbridge-local-").lower()
    return next((name for name in lambda_names() if plain.startswith(name.replace("_", ""))), role)


def _batches(log: str) -> tuple[Counter[str], Counter[str]]:
    batches: Counter[str] = Counter()
    records: Counter[str] = Counter()
    for found in _BATCH.finditer(log):
        batches[found[2]] += 1
        records[found[2]] += int(found[1])
    return batches, records


def _cpu(world: World) -> Counter[str]:
    """CPU milliseconds, user and system, of the processes that are there now."""
    marker = str(world.aws.directory / "tmp" / "ministack-lambda-")
    spent: Counter[str] = Counter()
    for entry in Path("/proc").iterdir():
        try:
            command, stat = (entry / "cmdline").read_text(), (entry / "stat").read_text()
        except OSError:
            continue
        if entry.name.isdigit() and marker in command:
            name = command.split(marker)[1].split("/")[0].removeprefix("sendbridge-local-").rpartition("-")[0]
            user, system = stat.rpartition(")")[2].split()[11:13]
            spent[name.replace("-", "_")] += round((int(user) + int(system)) * 1000 / os.sysconf("SC_CLK_TCK"))
    return spent
