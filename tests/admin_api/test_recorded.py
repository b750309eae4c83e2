from __future__ import annotations

import urllib.request
from datetime import timedelta
from unittest import mock

import pytest

from admin_api import recorded
from admin_api.app import Admin
from shared.jobs import TrackerEvent
from shared.recordings import Recordings, unpacked
from tests.admin_api.conftest import Ask, answered_by, settings_of
from tests.aws import Aws


def event(aws: Aws, hours: float) -> TrackerEvent:
    at = aws.clock() - timedelta(hours=hours)
    return TrackerEvent(id=f"e{hours}", tracker="shop", name="Page Viewed", at=at, received_at=at, anonymous_id="a1")


@pytest.fixture
def events(aws: Aws) -> list[TrackerEvent]:
    """An event every ten hours, each in an object of its own; the newest first."""
    events = [event(aws, hours) for hours in range(0, 60, 10)]
    recordings = Recordings(aws.s3, aws.events_bucket())
    for one in events:
        recordings.keep([one])
    return events


def read(url: str) -> list[TrackerEvent]:
    with urllib.request.urlopen(url) as answer:  # noqa: S310
        return [*unpacked(answer.read())]


def test_the_last_days_can_be_read_in_the_order_of_time(ask: Ask, events: list[TrackerEvent]) -> None:
    status, answer = ask("GET", "/recorded", days="1")
    assert (status, answer["next"]) == (200, None)
    assert [read(one["url"]) for one in answer["objects"]] == [[events[2]], [events[1]], [events[0]]]
    assert all(one["bytes"] > 0 for one in answer["objects"])
    assert len(ask("GET", "/recorded", days="14")[1]["objects"]) == 6


def test_there_is_a_next_page_as_long_as_there_is_one(ask: Ask, events: list[TrackerEvent]) -> None:
    found: list[TrackerEvent] = []
    after: str | None = ""
    with mock.patch.object(recorded, "OBJECTS", 4):
        while after is not None:
            _, answer = ask("GET", "/recorded", days="3", after=after)
            found += [event for one in answer["objects"] for event in read(one["url"])]
            after = answer["next"]
    assert found == events[::-1]


@pytest.mark.parametrize("days", ["15", "0", "-1", "many", None])
def test_days_that_are_not_kept_are_refused(ask: Ask, days: str | None) -> None:
    status, answer = ask("GET", "/recorded", **({} if days is None else {"days": days}))
    assert (status, answer["field"]) == (400, "days")


def test_a_deployment_that_keeps_none_says_so(aws: Aws) -> None:
    ask = answered_by(Admin(settings_of(aws, events_bucket="", event_days=0), aws.clock))
    status, answer = ask("GET", "/recorded", days="1")
    assert status == 404
    assert answer["detail"] == "this deployment keeps no events: its setting event_retention_days is 0"
