"""Recorded behaviour is read line by line, and every bad line is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.errors import BadInput
from cli.recording import read_events, read_people, read_rows
from shared.entities import Key
from shared.jobs import TrackerEvent

NOON = "2026-11-16T12:00:00Z"


def recorded(tmp_path: Path, *lines: object) -> Path:
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines))
    return file


def test_the_simple_form_is_completed(tmp_path: Path) -> None:
    line = {"name": "A", "time": NOON, "user_id": "u", "identifiers": {"loyalty_id": "l1"}, "properties": {"x": 1}}
    (event,) = read_events(recorded(tmp_path, line), "shop")
    at = datetime(2026, 11, 16, 12, tzinfo=UTC)
    assert (event.tracker, event.name, event.at, event.received_at) == ("shop", "A", at, at)
    assert (event.identifiers, event.properties, len(event.id)) == ((("loyalty_id", "l1"),), {"x": 1}, 32)


def test_the_same_line_again_is_the_same_event(tmp_path: Path) -> None:
    line = {"name": "A", "time": NOON, "user_id": "u"}
    one, again, other = read_events(recorded(tmp_path, line, "", line, line | {"name": "B"}), "shop")
    assert one.id == again.id != other.id


def test_tracker_events_are_taken_as_they_travel(tmp_path: Path) -> None:
    event = TrackerEvent(
        id="1", tracker="app", name="A", at=datetime(2026, 11, 16, tzinfo=UTC), received_at=datetime(2026, 11, 17, tzinfo=UTC)
    )
    assert read_events(recorded(tmp_path, event.model_dump_json()), "shop") == [event]


def test_they_come_in_the_order_in_which_they_came_in(tmp_path: Path) -> None:
    late = {"name": "late", "time": NOON, "received": "2026-11-16T13:00:00Z", "user_id": "u"}
    file = recorded(tmp_path, late, {"name": "soon", "time": "2026-11-16T13:30:00+01:00", "user_id": "u"})
    assert [event.name for event in read_events(file, "shop")] == ["soon", "late"]


def test_every_bad_line_is_named(tmp_path: Path) -> None:
    good = {"name": "A", "time": NOON, "user_id": "u"}
    bad: list[object] = [
        "{",
        "[]",
        {"name": "A", "time": NOON},
        good | {"time": "noon"},
        good | {"time": "2026-11-16T12:00:00"},
        good | {"colour": "red"},
        {"at": NOON, "name": "A"},
        good | {"properties": []},
    ]
    file = recorded(tmp_path, good, *bad)
    with pytest.raises(BadInput) as raised:
        read_events(file, "shop")
    said = str(raised.value).splitlines()
    assert [line.partition(": ")[0] for line in said] == [f"{file}:{number}" for number in range(2, 10)]
    assert "anonymous_id or user_id" in said[2]
    assert "time" in said[3]
    assert "colour" in said[5]
    assert raised.value.exit_code == 2


def test_of_many_bad_lines_the_first_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"… and 5 more$"):
        read_events(recorded(tmp_path, *["x"] * 25), "shop")


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_events(tmp_path / "none", "shop")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff")
    with pytest.raises(BadInput, match="cannot be read"):
        read_events(binary, "shop")


def test_people_and_rows(tmp_path: Path) -> None:
    (person,) = read_people(recorded(tmp_path, {"identifiers": {"user_id": "u1"}, "attributes": {"email": "ada@example.com"}}))
    assert (person.names, person.attributes) == ([("user_id", "u1")], {"email": "ada@example.com"})
    rows = read_rows(recorded(tmp_path, {"entity": "products", "key": "p1", "attributes": {"name": "Shoe"}}))
    assert rows == {Key("products", "p1"): {"name": "Shoe"}}
    for reader in (read_people, read_rows):
        with pytest.raises(BadInput, match=":1: "):
            reader(recorded(tmp_path, {"identifiers": {}}))
