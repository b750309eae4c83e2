"""The function with the settings that tests give it."""

from __future__ import annotations

import pytest

from receive_event import handler
from receive_event.posting import Desk
from receive_event.settings import Settings
from shared.clock import Clock
from tests.aws import Aws


def serving(aws: Aws, monkeypatch: pytest.MonkeyPatch, clock: Clock | None = None, **more: tuple[str, ...]) -> Desk:
    """Sets the function up on this AWS and by its clock, or another. What it works with is made anew."""
    settings = Settings(
        environment="test",
        definitions_table=aws.table("definitions"),
        state_table=aws.table("state"),
        secret_prefix=aws.secret_prefix,
        definitions_ttl=30,
        events_queue_url=aws.queue("events"),
        events_parked_url=aws.queue("events-parked"),
        **more,  # type: ignore[arg-type]  # origins and stand-ins only
    )
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(handler, "utc_now", clock or aws.clock)
    handler._desk.cache_clear()
    return handler._desk()
