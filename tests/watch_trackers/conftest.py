"""The function as Lambda makes it, with Adobe's sandbox at the other end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.http import Http
from shared.jobs import EventsJob, TrackerEvent
from tests.aws import Aws
from tests.sandbox.clock import Clock
from tests.sandbox.trackers.adobe_io import AdobeSandbox
from watch_trackers import handler
from watch_trackers.settings import Settings

Metrics = Callable[[], dict[str, list[float]]]


@pytest.fixture
def adobe(aws: Aws) -> Iterator[AdobeSandbox]:
    """One organisation, whose time is the test's."""
    with AdobeSandbox.run(clock=Clock(lambda: aws.clock().timestamp())) as sandbox:
        yield sandbox


@pytest.fixture
def run(aws: Aws, adobe: AdobeSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Runs the schedule once; each time as a new process, whose clock is the sandbox's."""
    settings = Settings(
        environment="test",
        definitions_table=aws.table("definitions"),
        state_table=aws.table("state"),
        secret_prefix=aws.secret_prefix,
        definitions_ttl=0,
        events_queue_url=aws.queue("events"),
        events_parked_url=aws.queue("events-parked"),
        timeout_seconds=30,
        allowed_origins=(adobe.url,),
    )
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(handler, "utc_now", lambda: datetime.fromtimestamp(adobe.clock(), UTC))
    event = json.loads(Path("events/watch_trackers/schedule.json").read_text())

    def once() -> None:
        handler._app.cache_clear()
        with closing(Http((adobe.url,))) as http:
            monkeypatch.setattr(handler, "Http", lambda origins: http)
            handler.handle(event, None)

    yield once
    handler._app.cache_clear()


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """What was counted since the last time, by metric, and by metric and tracker."""
    counted: dict[str, list[float]] = {}

    def count(name: str, environment: str, value: float = 1, tracker: str = "") -> None:
        assert environment == "test"
        counted.setdefault(f"{name} {tracker}".strip(), []).append(value)

    def taken() -> dict[str, list[float]]:
        seen = dict(counted)
        counted.clear()
        return seen

    monkeypatch.setattr(handler, "count", count)
    return taken


def define(aws: Aws, adobe: AdobeSandbox, name: str = "adobe", journal: dict[str, Any] | None = None, **changes: Any) -> None:
    """A tracker with a journal."""
    auth = {
        "type": "oauth2",
        "token_url": f"{adobe.url}/ims/token/v3",
        "client_id": adobe.settings.client_id,
        "client_secret": adobe.settings.client_secret,
        "scope": adobe.settings.scope,
    }
    described = {"url": adobe.journal_url, "organization": adobe.settings.organization, "auth": auth, **(journal or {})}
    settings = {"client_id": adobe.settings.client_id, "identifiers": {"user_id": "who"}, "journal": described}
    aws.define("tracker", name=name, format="adobe_io", **{**settings, **changes})


def thing(number: int = 0) -> dict[str, object]:
    """One event."""
    return {"specversion": "1.0", "type": "com.acme.thing", "data": {"who": "u1", "number": number}}


def taken(aws: Aws) -> list[TrackerEvent]:
    """The events that are in the queue now."""
    return [event for body in aws.received("events") for event in EventsJob.model_validate_json(body).events]


def numbers(aws: Aws) -> list[int]:
    """Which of the numbered events are in the queue now."""
    return sorted(int(str(event.properties["number"])) for event in taken(aws))
