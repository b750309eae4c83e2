from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.bounds import Bounds
from shared.jobs import TrackerEvent

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
BOUNDS = Bounds(max_age=30 * 86400, max_ahead=86400)


def fault(**changes: object) -> tuple[str, str] | None:
    values = {"id": "e1", "tracker": "shop", "name": "Product Added", "at": NOW, "received_at": NOW, "anonymous_id": "a1"}
    return BOUNDS.fault(TrackerEvent.model_validate(values | changes), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "é" * 200, "id": "x" * 200, "anonymous_id": "x" * 200, "user_id": "x" * 200},
        {"anonymous_id": None, "user_id": "u1"},
        {"at": NOW + timedelta(days=1)},
        {"at": NOW - timedelta(days=30)},
        {"identifiers": [("x" * 200, "y" * 200)] * 20},
        {"properties": {"a": "x" * 65_000}, "traits": {"a": "x" * 16_000}},
    ],
)
def test_within_bounds(changes: dict[str, object]) -> None:
    assert fault(**changes) is None


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"name": "x" * 201}, "name", "must have 1 to 200 characters"),
        ({"name": ""}, "name", "must have 1 to 200 characters"),
        ({"id": "x" * 201}, "id", "must have 1 to 200 characters"),
        ({"anonymous_id": ""}, "anonymous_id", "must have 1 to 200 characters"),
        ({"user_id": "x" * 1_000_000}, "user_id", "must have 1 to 200 characters"),
        ({"anonymous_id": None}, "anonymous_id", "must be there, or user_id; null, guest and the like are nobody"),
        ({"at": NOW + timedelta(days=1, seconds=1)}, "time", "must be at most 86400 seconds in the future"),
        ({"at": NOW - timedelta(days=30, seconds=1)}, "time", "must be at most 2592000 seconds in the past"),
        ({"properties": {"a": "é" * 33_000}}, "properties", "must have at most 65536 bytes"),
        ({"traits": {"a": "x" * 17_000}}, "traits", "must have at most 16384 bytes"),
        ({"identifiers": [("a", "b")] * 21}, "identifiers", "must be 20 at most"),
        ({"identifiers": [("a", "b"), ("c", "")]}, "identifiers", "must have 1 to 200 characters each"),
        ({"identifiers": [("x" * 201, "b")]}, "identifiers", "must have 1 to 200 characters each"),
    ],
)
def test_out_of_bounds(changes: dict[str, object], field: str, reason: str) -> None:
    assert fault(**changes) == (field, reason)
