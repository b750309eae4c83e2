"""Mappings that a user wrote, each made into a function once: it reads event after event of a hot path."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pydantic import JsonValue

from connectors.trackers.base import Unusable, content_id, made, object_of, text_of, time_of, unix_time_of
from shared.jobs import TrackerEvent
from shared.mapping import at
from shared.trackers import Constant, Each, Mapped, Mapping, Source, Tracker

Find = Callable[[JsonValue, JsonValue], JsonValue]
"""A value, given the event and the whole body."""
Object = dict[str, JsonValue]
Reader = Callable[[Tracker, JsonValue, JsonValue, datetime], TrackerEvent]
"""A tracker event, given the event as it was posted, the whole body, and when it came. Raises Unusable."""
Called = Callable[[Tracker, str], str]
"""What an event of this name is called here."""

_BODY = "body."
_KEPT = 100


class Readers:
    """The readers of mappings. A catalogue hands out the same object as long as a definition's version is in force."""

    def __init__(self, called: Called, adapted: Callable[[Mapping], Mapping] = lambda mapping: mapping) -> None:
        self._called, self._adapted = called, adapted
        self._kept: dict[int, tuple[Mapping, Reader]] = {}

    def of(self, mapping: Mapping) -> Reader:
        """The mapping's reader."""
        kept = self._kept.get(id(mapping))
        if kept is None or kept[0] is not mapping:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            kept = self._kept[id(mapping)] = mapping, _reader(self._adapted(mapping), self._called)
        return kept[1]


def _reader(mapping: Mapping, called: Called) -> Reader:
    """What reads one event by this mapping."""
    event_id, name, happened = _text(mapping.id), _name(mapping.name), _time(mapping)
    anonymous_id, user_id = _text(mapping.anonymous_id), _text(mapping.user_id)
    identifiers = [(namespace, _text(source)) for namespace, source in mapping.identifiers.items()]
    properties, traits = _object(mapping.properties), _object(mapping.traits)

    def read(tracker: Tracker, event: JsonValue, body: JsonValue, received_at: datetime) -> TrackerEvent:
        if not isinstance(event, dict):
            raise Unusable("event", "must be an object")
        known = tuple((namespace, text) for namespace, find in identifiers if (text := find(event, body)) is not None)
        return made(
            tracker,
            id=event_id(event, body) or content_id(tracker, event),
            name=called(tracker, name(event, body)),
            at=happened(event, body) or received_at,
            received_at=received_at,
            anonymous_id=anonymous_id(event, body),
            user_id=user_id(event, body),
            identifiers=known,
            properties=properties(event, body),
            traits=traits(event, body),
        )

    return read


def _path(path: str) -> Find:
    """Like `shared.mapping.at`, for one path over and over."""
    if path.startswith(_BODY):
        inner = _path(path.removeprefix(_BODY)) if not path.startswith(_BODY * 2) else _deep(path.removeprefix(_BODY).split("."))
        return lambda event, body: inner(body, body)
    steps = path.split(".")
    if len(steps) == 1:
        return lambda event, body: event.get(path) if type(event) is dict else at(event, path)
    return _pair(*steps) if len(steps) == 2 else _deep(steps)


def _pair(first: str, second: str) -> Find:
    def find(event: JsonValue, body: JsonValue) -> JsonValue:
        value = event.get(first) if type(event) is dict else at(event, first)
        return value.get(second) if type(value) is dict else at(value, second)

    return find


def _deep(steps: list[str]) -> Find:
    def find(event: JsonValue, body: JsonValue) -> JsonValue:
        value = event
        for step in steps:
            value = value.get(step) if type(value) is dict else at(value, step)
        return value

    return find


def _source(source: Source) -> Find:
    if isinstance(source, str):
        return _path(source)
    paths = [_path(path) for path in source]

    def first(event: JsonValue, body: JsonValue) -> JsonValue:
        for find in paths:
            value = find(event, body)
            if value is not None and value != "":
                return value
        return None

    return first


def _named(source: Source) -> str:
    return source if isinstance(source, str) else " or ".join(source)


def _text(source: Source | None) -> Callable[[JsonValue, JsonValue], str | None]:
    if source is None:
        return lambda event, body: None
    find, where = _source(source), _named(source)

    def text(event: JsonValue, body: JsonValue) -> str | None:
        value = find(event, body)
        return value if type(value) is str and value else text_of(value, where)

    return text


def _name(source: Source | Constant) -> Callable[[JsonValue, JsonValue], str]:
    if isinstance(source, Constant):
        constant = str(source.value)  # it is text: the mapping is checked
        return lambda event, body: constant
    find, where = _text(source), _named(source)

    def name(event: JsonValue, body: JsonValue) -> str:
        value = find(event, body)
        if value is None:
            raise Unusable(where, "must be there: it is what the mapping takes the name from")
        return value

    return name


def _time(mapping: Mapping) -> Callable[[JsonValue, JsonValue], datetime | None]:
    if mapping.time is None:
        return lambda event, body: None
    find, where = _source(mapping.time), _named(mapping.time)
    if mapping.time_format == "iso":
        return lambda event, body: time_of(find(event, body), where)
    unit = mapping.time_format
    return lambda event, body: unix_time_of(find(event, body), where, unit)


def _object(fields: str | dict[str, Mapped]) -> Callable[[JsonValue, JsonValue], Object]:
    if isinstance(fields, str):
        find = _path(fields)
        return lambda event, body: object_of(find(event, body), fields)
    finds = [(column, _any(wanted)) for column, wanted in fields.items()]

    def build(event: JsonValue, body: JsonValue) -> Object:
        return {column: value for column, find in finds if (value := find(event, body)) is not None}

    return build


def _any(wanted: Mapped) -> Find:
    if isinstance(wanted, Constant):
        value = wanted.value
        return lambda event, body: value
    return _each(wanted) if isinstance(wanted, Each) else _source(wanted)


def _each(wanted: Each) -> Find:
    over, build = _path(wanted.over), _object({**wanted.fields})

    def found(event: JsonValue, body: JsonValue) -> JsonValue:
        elements = over(event, body)
        if elements is None:
            return None
        if not isinstance(elements, list):
            raise Unusable(wanted.over, "must be a list")
        built: list[JsonValue] = [build(element, body) for element in elements]
        return built

    return found
