"""Recorded behaviour, people and rows of custom entities in files of JSON lines, one thing a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AwareDatetime, Field, JsonValue, StringConstraints, ValidationError, model_validator

from cli.errors import BadInput
from shared.entities import EntityRow, Key
from shared.fields import EventName, Name, Part
from shared.ids import digest
from shared.jobs import TrackerEvent
from shared.person import Identifier
from shared.problem import first_problem

_MOST_MISTAKES = 20

_Id = Annotated[str, StringConstraints(min_length=1, max_length=500)]

T = TypeVar("T")


class SimpleEvent(Part):
    """An event as people write it: what is not said is made up of the rest."""

    name: EventName
    time: AwareDatetime
    received: AwareDatetime | None = None
    """When it came in; at its time, if it does not say."""
    id: _Id | None = None
    tracker: Name | None = None
    anonymous_id: _Id | None = None
    user_id: _Id | None = None
    alias: bool = False
    identifiers: dict[str, str] = Field(default_factory=dict)
    properties: dict[str, JsonValue] = Field(default_factory=dict)
    traits: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_somebody_s(self) -> SimpleEvent:
        if not self.anonymous_id and not self.user_id:
            raise ValueError("anonymous_id or user_id, or both")
        return self


class Person(Part):
    """Somebody who is known before the recording begins."""

    identifiers: Annotated[dict[str, _Id], Field(min_length=1)]
    attributes: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def names(self) -> list[Identifier]:
        """What they are called."""
        return [*self.identifiers.items()]


class Row(EntityRow):
    """A row of a custom entity."""

    entity: Name

    @property
    def place(self) -> Key:
        """Which it is."""
        return Key(self.entity, self.key)


def read_events(path: Path, tracker: str) -> list[TrackerEvent]:
    """The events of a file, in the order in which they came in: tracker events as they travel, or in the simple form.

    Events that name no tracker are of this one. Raises BadInput with the lines that are no events.
    """
    return sorted(read_lines(path, lambda line: _event(line, tracker)), key=lambda event: event.received_at)


def read_people(path: Path) -> list[Person]:
    """The people of a file. Raises BadInput with the lines that are none."""
    return read_lines(path, Person.model_validate_json)


def read_rows(path: Path) -> dict[Key, dict[str, JsonValue]]:
    """The rows of a file. Raises BadInput with the lines that are none."""
    return {row.place: row.attributes for row in read_lines(path, Row.model_validate_json)}


def _event(line: str, tracker: str) -> TrackerEvent:
    value = json.loads(line)
    if not isinstance(value, dict) or "at" not in value:
        return _made(SimpleEvent.model_validate(value), tracker, line)
    return TrackerEvent.model_validate(value)


def _made(event: SimpleEvent, tracker: str, line: str) -> TrackerEvent:
    return TrackerEvent(
        id=event.id or digest("event", line.strip()),
        tracker=event.tracker or tracker,
        name=event.name,
        at=event.time,
        received_at=event.received or event.time,
        anonymous_id=event.anonymous_id,
        user_id=event.user_id,
        alias=event.alias,
        identifiers=tuple(event.identifiers.items()),
        properties=event.properties,
        traits=event.traits,
    )


def read_lines(path: Path, read: Callable[[str], T]) -> list[T]:
    """What `read` makes of each line of a file that is not blank. Raises BadInput with the lines of which it makes nothing."""
    mistakes: list[str] = []
    found = [one for number, line in _lines(path) for one in _one(line, read, f"{path}:{number}", mistakes)]
    if mistakes:
        more = len(mistakes) - _MOST_MISTAKES
        raise BadInput("\n".join([*mistakes[:_MOST_MISTAKES], *([f"… and {more} more"] if more > 0 else [])]))
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} cannot be read: it must be UTF-8.") from None
    return ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _one(line: str, read: Callable[[str], T], where: str, mistakes: list[str]) -> Iterable[T]:
    try:
        return (read(line),)
    except ValidationError as error:
        mistakes.append(f"{where}: {first_problem(error)}")
    except ValueError:
        mistakes.append(f"{where}: expected a JSON object")
    return ()
