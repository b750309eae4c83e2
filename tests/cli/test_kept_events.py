"""`simulate --days`: what trackers told lately, read from where the deployment keeps it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from unittest import mock

import boto3
import pytest

from admin_api import recorded
from cli.api import Api, Deployment
from cli.errors import CommandError
from cli.kept_events import kept_events
from shared.jobs import TrackerEvent
from shared.recordings import Recordings, hour_of
from tests.aws import Aws
from tests.cli.conftest import Bridge, Sendbridge

HOUR = timedelta(hours=1)

TRIGGER = """
kind: trigger
name: carts
must_include: [Product Added]
wait_seconds: 3600
template: carts
integration: esp
campaign: carts
delivery: first
"""


def event(name: str, at: datetime, visitor: str = "a1") -> TrackerEvent:
    values = {"id": f"{name} {at.isoformat()} {visitor}", "tracker": "shop", "name": name, "at": at, "anonymous_id": visitor}
    return TrackerEvent.model_validate(
        {**values, "received_at": at + timedelta(seconds=1), "traits": {"email": f"{visitor}@example.com"}}
    )


@pytest.fixture
def recordings(aws: Aws) -> Recordings:
    return Recordings(aws.s3, aws.events_bucket())


@pytest.fixture
def api(bridge: Bridge) -> Api:
    session = boto3.Session(region_name="eu-west-1")
    return Api(Deployment(session, "", f"http://127.0.0.1:{bridge.server_port}"))


def test_they_come_in_the_order_in_which_they_came_in_across_objects_and_pages(
    api: Api, aws: Aws, recordings: Recordings
) -> None:
    first = aws.clock().replace(minute=0) - 5 * HOUR
    events = [event("Page Viewed", first + timedelta(minutes=7 * number)) for number in range(40)]
    # As SQS hands them out: here and there in another order, some together with others of an hour before.
    for batch in (events[3:9], events[0:3], events[9:10] + events[30:33], events[10:30], events[33:], events[5:7]):
        recordings.keep(batch)
    with mock.patch.object(recorded, "OBJECTS", 2):
        found = [*kept_events(api, 1)]
    assert [one.received_at for one in found] == sorted(one.received_at for one in found)
    assert [*dict.fromkeys(one.id for one in found)] == [one.id for one in events]


def test_what_is_no_longer_there_is_passed_over_and_what_cannot_be_read_is_named(
    api: Api, aws: Aws, recordings: Recordings
) -> None:
    recordings.keep([event("Page Viewed", aws.clock())])
    answer = api.get("recorded", days="1")
    key = answer["objects"][0]["key"]  # type: ignore[call-overload,index]
    aws.s3.delete_object(Bucket=aws.events_bucket(), Key=str(key))
    with mock.patch.object(api, "get", return_value=answer):
        assert [*kept_events(api, 1)] == []
    aws.s3.put_object(Bucket=aws.events_bucket(), Key=str(key), Body=b"nothing")
    with pytest.raises(CommandError, match=rf"^{key} holds no events: not packed by gzip\.$"):
        [*kept_events(api, 1)]


def test_a_trigger_is_tried_on_the_last_days(sendbridge: Sendbridge, aws: Aws, recordings: Recordings, tmp_path: Path) -> None:
    file = tmp_path / "trigger.yaml"
    file.write_text(TRIGGER)
    for days in (1, 2, 3):
        began = aws.clock() - timedelta(days=days)
        carts = [event("Product Added", began + timedelta(minutes=number), f"v{days}-{number}") for number in range(4)]
        ordered = event("Order Completed", began + timedelta(minutes=30), f"v{days}-0")
        recordings.keep(carts)
        recordings.keep([ordered, carts[0]])
    recordings.keep([event("Page Viewed", aws.clock(), "late")])
    run = sendbridge("--json", "simulate", "carts", "-f", file, "--days", 7, "--summary")
    assert run.code == 0, run.err
    found = run.json["summary"]
    assert (found["visits"], found["fired"], found["skipped"]) == (13, 9, {"order placed": 3})
    assert found["fired_share_of_visits"] == round(9 / 13, 4)
    lines = sendbridge("simulate", "carts", "-f", file, "--days", 2, "--summary").out.splitlines()
    assert lines[-1].startswith("estimated frequency: ")


def test_a_file_or_days_but_not_both(sendbridge: Sendbridge, tmp_path: Path) -> None:
    for arguments in ((), ("--days", 7, "--events", tmp_path / "x")):
        assert sendbridge("simulate", "carts", *arguments).code == 2


def test_more_days_than_are_kept(sendbridge: Sendbridge, tmp_path: Path) -> None:
    file = tmp_path / "trigger.yaml"
    file.write_text(TRIGGER)
    run = sendbridge("simulate", "carts", "-f", file, "--days", 15)
    assert run.code == 2
    assert "days must be from 1 to 14: that is how long events are kept" in run.err


def test_an_objects_hour() -> None:
    assert hour_of("2026-11-22/12/abc.jsonl.gz").isoformat() == "2026-11-22T12:00:00+00:00"
