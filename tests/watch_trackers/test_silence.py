"""A tracker of which nothing is heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.heard import Heard
from shared.observe import logger
from tests.aws import Aws
from tests.watch_trackers.conftest import Metrics

Run = Callable[[], None]
HOUR = 3600


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The warnings: which tracker, and since when."""
    warnings: list[tuple[str, str]] = []
    monkeypatch.setattr(logger, "warning", lambda _, **more: warnings.append((more["tracker"], more["since"])))
    return warnings


def watched(aws: Aws, name: str = "shop", **changes: Any) -> None:
    aws.define("tracker", name=name, secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], **changes)


def heard(aws: Aws) -> Heard:
    """What a process that takes posts has."""
    return Heard(aws.dynamodb, aws.table("state"), aws.clock)


def writes(aws: Aws, of: Heard, tracker: str = "shop") -> bool:
    """Whether it wrote that something came."""
    before = heard(aws).last([tracker])
    of.of(tracker)
    return heard(aws).last([tracker]) != before


def test_a_tracker_that_is_silent_for_too_long_is_counted_and_named(
    aws: Aws, run: Run, metrics: Metrics, said: list[tuple[str, str]]
) -> None:
    watched(aws, silence_seconds=HOUR)
    watched(aws, "other", silence_seconds=2 * HOUR)
    run()
    assert metrics() == {"TrackersSilent": [0]}
    aws.clock.forward(HOUR)
    heard(aws).of("other")
    run()
    assert metrics() == {"TrackersSilent": [0]}
    aws.clock.forward(1)
    run()
    assert metrics() == {"TrackersSilent": [1], "TrackersSilent shop": [1]}
    assert said == [("shop", "2026-11-21T12:00:00.000Z")]
    heard(aws).of("shop")
    run()
    assert metrics() == {"TrackersSilent": [0]}


def test_a_tracker_that_nobody_watches_may_be_silent_for_ever(aws: Aws, run: Run, metrics: Metrics) -> None:
    watched(aws)
    run()
    aws.clock.forward(60 * 86_400)
    run()
    assert metrics() == {}


def test_silence_of_a_new_tracker_counts_from_when_it_is_first_seen(aws: Aws, run: Run, metrics: Metrics) -> None:
    aws.clock.forward(HOUR)
    watched(aws, silence_seconds=60)
    run()
    aws.clock.forward(60)
    run()
    assert metrics() == {"TrackersSilent": [0, 0]}
    aws.clock.forward(1)
    run()
    assert metrics()["TrackersSilent"] == [1]


def test_what_was_heard_is_not_forgotten_when_watching_begins(aws: Aws) -> None:
    heard(aws).of("shop")
    at = aws.clock()
    aws.clock.forward(HOUR)
    heard(aws).begin("shop")
    assert heard(aws).last(["shop", "other"]) == {"shop": at}


def test_a_process_writes_once_a_minute_at_most(aws: Aws) -> None:
    process = heard(aws)
    assert writes(aws, process)
    aws.clock.forward(59)
    assert not writes(aws, process)
    assert writes(aws, process, "other")
    assert writes(aws, heard(aws))  # another process
    aws.clock.forward(1)
    assert writes(aws, process)


def test_what_cannot_be_noted_costs_no_post(aws: Aws) -> None:
    class Refusing:
        def update_item(self, **_: object) -> None:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem")

    Heard(Refusing(), "state", aws.clock).of("shop")  # type: ignore[arg-type]  # as much of a client as it needs
