"""`explain event`: what recorded requests to a tracker would be answered, and which tracker events they bring.

It is the function's own code, over a queue in memory. Only a tracker's limit is not kept: it is not about a single request.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlencode

from pydantic import AwareDatetime, Field, JsonValue, model_validator

from cli.command import say
from cli.errors import BadInput
from cli.files import Document, read
from cli.recording import read_lines
from shared.bounds import Bounds
from shared.catalogue import Versioned
from shared.clock import Clock, iso, utc_now
from shared.fields import Part
from shared.jobs import EventsJob, TrackerEvent
from shared.limits import Grant
from shared.observe import logger
from shared.queues import Queue
from shared.trackers import Tracker
from shared.validation import check, dotted, marks_of

if TYPE_CHECKING:
    from receive_event.fetching import Fetcher
    from receive_event.posting import Desk
    from shared.exchange import Request, Response


class Recorded(Part):
    """A request as it was recorded."""

    method: str = "POST"
    path: str = ""
    """What of its path stands behind the tracker's name."""
    headers: dict[str, str] = Field(default_factory=dict)
    query: dict[str, str] | str = ""
    """Its parameters, or as they stand in the URL."""
    body: str = ""
    body_base64: str = ""
    """The body's bytes, where they are no text."""
    at: AwareDatetime | None = None
    """When it came; now, if it does not say. Signatures with a time hold for a few minutes."""

    @model_validator(mode="after")
    def _has_one_body(self) -> Recorded:
        if self.body and self.body_base64:
            raise ValueError("body or body_base64, not both")
        try:
            base64.b64decode(self.body_base64, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("base64 as body_base64") from None
        return self


@dataclass(frozen=True)
class Explained:
    """What became of one request."""

    status: int
    reason: str
    """Why it was refused; empty if it was not."""
    events: tuple[TrackerEvent, ...]
    rejected: tuple[dict[str, JsonValue], ...]
    """The events that were not taken: position, field, and what was expected there."""

    def document(self, number: int) -> dict[str, JsonValue]:
        """For a program."""
        events: list[JsonValue] = [event.model_dump(mode="json") for event in self.events]
        return {
            "request": number,
            "status": self.status,
            "reason": self.reason,
            "events": events,
            "rejected": list(self.rejected),
        }

    def lines(self, number: int) -> Iterator[str]:
        """For people."""
        yield f"{number}: {self.status}{f' {self.reason}' if self.reason else ''}"
        for event in self.events:
            yield from (f"  {line}" for line in _described(event))
        for one in self.rejected:
            yield f"  event {one['index']} not taken: {one['field']}: {one['reason']}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `explain`."""
    parser.add_argument("what", choices=["event"], help="requests that bring tracker events")
    parser.add_argument("requests", type=Path, metavar="REQUESTS", help="recorded requests as JSON lines: method, headers, …")
    parser.add_argument("--tracker", required=True, metavar="FILE|NAME", help="the tracker's file, or its name in those of -f")
    parser.add_argument("-f", "--file", dest="files", nargs="+", type=Path, default=[], metavar="DIR|FILE", help="definitions")


def run(options: argparse.Namespace) -> int:
    """Prints what becomes of each request."""
    tracker = _tracker(options.tracker, options.files)
    recorded = read_lines(options.requests, lambda line: Recorded.model_validate(json.loads(line)))
    with _silence():
        found = list(enumerate(explain(tracker, recorded), 1))
    documents: list[JsonValue] = [one.document(number) for number, one in found]
    say(options, {"requests": documents}, (line for number, one in found for line in one.lines(number)))
    return 0


@contextmanager
def _silence() -> Iterator[None]:
    """Without what the function logs."""
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def explain(tracker: Tracker, requests: Iterable[Recorded], clock: Clock = utc_now) -> Iterator[Explained]:
    """What becomes of each request, as if it had come at its time, or now."""
    # Imported here, as no other command needs the function.
    from receive_event.fetching import Fetcher  # noqa: PLC0415

    fetcher = Fetcher(_sender, clock)
    for request in requests:
        at = request.at or clock()
        kept = Kept()
        yield _explained(request, tracker, kept, desk_of(tracker, kept, _stopped(at), fetcher))


def _stopped(at: datetime) -> Clock:
    return lambda: at


class Kept(Queue):
    """A queue in memory."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.parked: list[tuple[str, str]] = []

    @property
    def events(self) -> tuple[TrackerEvent, ...]:
        """The tracker events in it."""
        return tuple(event for text in self.texts for event in EventsJob.model_validate_json(text).events)

    def send_texts(self, texts: Iterable[str]) -> None:
        """Keeps them."""
        self.texts += texts

    def park_all(self, items: Iterable[tuple[str, str]], clock: Clock) -> None:
        """Keeps them, apart."""
        self.parked += items


def desk_of(tracker: Tracker, kept: Kept, clock: Clock, fetcher: Fetcher) -> Desk:
    """The function's collaborators, in memory, with one tracker."""
    from receive_event.posting import Desk  # noqa: PLC0415
    from receive_event.settings import Settings  # noqa: PLC0415

    return Desk(
        tracker=lambda name: Versioned(tracker, 0) if name == tracker.name else None,
        queue=kept,
        parked=kept,
        bounds=Bounds(Settings.max_age_seconds, Settings.max_ahead_seconds),
        clock=clock,
        grant=lambda name, limit, wanted: Grant(wanted),
        fetch=fetcher.run,
        heard=lambda name: None,
        count=lambda name, value, of: None,
    )


def _sender() -> Callable[[Request], Response]:
    from shared.http import Http  # noqa: PLC0415

    return Http().send


def _explained(request: Recorded, tracker: Tracker, kept: Kept, desk: Desk) -> Explained:
    from receive_event.handler import answered  # noqa: PLC0415

    answer = answered(_event(request, tracker.name), desk)
    status, said = cast("int", answer["statusCode"]), _json(str(answer.get("body", "")))
    return Explained(status, _refusal(said), kept.events, tuple(_rejected(said)))


def _refusal(said: Mapping[str, JsonValue]) -> str:
    if "errors" in said:
        return "none of its events can be used"
    return f"{said['field']}: {said['detail']}" if "field" in said else str(said.get("detail", ""))


def _json(body: str) -> dict[str, JsonValue]:
    """The body of an answer; nothing if it is not ours, but a challenge's."""
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _rejected(said: Mapping[str, JsonValue]) -> Iterator[dict[str, JsonValue]]:
    """The events that were not taken, from the answer to a post of which others were, or none."""
    yield from cast("list[dict[str, JsonValue]]", said.get("rejected", []))
    for fault in cast("list[dict[str, str]]", said.get("errors", [])):
        _, index, field = fault["field"].split(".", 2)
        yield {"index": int(index), "field": field, "reason": fault["expected"]}


def _event(request: Recorded, tracker: str) -> dict[str, object]:
    """The request as API Gateway hands it to the function (payload 2.0)."""
    path = f"/v1/events/{tracker}{request.path}"
    return {
        "rawPath": path,
        "rawQueryString": request.query if isinstance(request.query, str) else urlencode(request.query),
        "headers": request.headers,
        "pathParameters": {"tracker": tracker},
        "requestContext": {"domainName": "localhost", "http": {"method": request.method.upper(), "path": path}},
        "body": request.body_base64 or request.body,
        "isBase64Encoded": bool(request.body_base64),
    }


def _described(event: TrackerEvent) -> Iterator[str]:
    """A tracker event for people: a line, and one for each part that it has."""
    known = [("anonymous_id", event.anonymous_id), ("user_id", event.user_id), *event.identifiers]
    whom = ", ".join(f"{name} {value}" for name, value in known if value is not None)
    yield f"{iso(event.at)} {event.name} ({whom}{', an alias' if event.alias else ''}), id {event.id}"
    for name, part in (("properties", event.properties), ("traits", event.traits)):
        if part:
            yield f"  {name} {json.dumps(part, ensure_ascii=False)}"


def _tracker(wanted: str, files: list[Path]) -> Tracker:
    """The tracker that is meant: the only one of its file, or by its name in these files. Raises BadInput."""
    if not files and not Path(wanted).exists():
        raise BadInput(f"--tracker: expected the file of a tracker, or the name of one in the files of -f: there is no {wanted}.")
    if files:
        found = [one for one in read(files) if one.kind == "tracker" and one.name == wanted]
        expected = f"a tracker named {wanted} in the files"
    else:
        found = [one for one in read([Path(wanted)]) if one.kind == "tracker"]
        expected = f"one tracker in {wanted}; if there are several, name it, and the file by -f"
    if len(found) != 1:
        raise BadInput(f"--tracker: expected {expected}.")
    return _checked(found[0])


def _checked(document: Document) -> Tracker:
    if marks := marks_of(document.body):
        raise BadInput(document.mistake((dotted(marks[0]), "a value: what the deployment keeps is not known here")))
    tracker, faults = check("tracker", document.body)
    if not isinstance(tracker, Tracker):
        raise BadInput("\n".join(document.mistake(fault) for fault in faults))
    return tracker
