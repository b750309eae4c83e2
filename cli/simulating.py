"""`simulate`: what a trigger would have made of recorded behaviour, visit by visit, before it is published."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from cli.api import Api
from cli.command import api_of, rows, say
from cli.errors import BadInput
from cli.files import read
from cli.kept_events import kept_events
from cli.recording import read_events, read_people, read_rows
from cli.wording import lasting, spelt
from shared.catalogue import Versioned, unmask
from shared.clock import iso
from shared.conditions import moment_of
from shared.definitions import Integration, Kind, Template
from shared.errors import Permanent
from shared.fields import Definition
from shared.links import Links
from shared.triggers import Trigger
from shared.validation import check, marks_of

if TYPE_CHECKING:
    from cli.simulation import Decision, Message, Render, Report
    from shared.jobs import MessageJob, TrackerEvent
    from shared.person import Profile

_NOWHERE = "https://sendbridge.invalid"
_USUAL_TRACKER = "recording"


class _NoLinks(Links):
    """Links that lead nowhere, short enough to be read over."""

    def mirror(self, message_id: str) -> str:
        """Where the message could be seen."""
        return f"{_NOWHERE}/mirror"

    def unsubscribe(self, message_id: str, profile_id: str, channel: str) -> str:
        """Where somebody could unsubscribe."""
        return f"{_NOWHERE}/unsubscribe"


@dataclass(frozen=True)
class Definitions:
    """What is simulated."""

    trigger: Versioned[Trigger]
    others: tuple[Versioned[Trigger], ...]
    """Other triggers, which may cancel it."""
    template: Template | None
    integration: Integration | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `simulate`."""
    parser.add_argument("trigger", help="its name; the deployment's newest version, unless there are files")
    events = parser.add_mutually_exclusive_group(required=True)
    events.add_argument("--events", type=Path, metavar="FILE", help="recorded behaviour: tracker events as JSON lines")
    events.add_argument("--days", type=int, metavar="N", help="what the deployment's trackers told in the last N days")
    parser.add_argument(
        "-f", "--file", dest="files", nargs="+", type=Path, metavar="DIR|FILE", help="take the definitions from here"
    )
    parser.add_argument(
        "--profiles", type=Path, metavar="FILE", help="who is known before, as JSON lines: identifiers and attributes"
    )
    parser.add_argument(
        "--entities", type=Path, metavar="FILE", help="rows of custom entities, as JSON lines: entity, key, attributes"
    )
    parser.add_argument(
        "--until",
        default="PT0S",
        metavar="TIME",
        help="when the clock stops: an ISO 8601 time, or a duration after the last event, as PT4H (at the last event)",
    )
    parser.add_argument("--summary", action="store_true", help="only the numbers, not each visit")


def run(options: argparse.Namespace) -> int:
    """Prints what became of each visit, and the sum of it."""
    until = _until(options.until)
    definitions = _of_files(options.files, options.trigger) if options.files else _of_deployment(api_of(options), options.trigger)
    trackers: Counter[str] = Counter()
    found = simulate(definitions, _counted(_events(options, definitions), trackers), options, until)
    wanted = definitions.trigger.definition.trackers
    ignored = {name: number for name, number in sorted(trackers.items()) if wanted and name not in wanted}
    document = {
        "trigger": definitions.trigger.definition.name,
        "version": definitions.trigger.version or None,
        **({} if options.summary else {"visits": [_as_json(report) for report in found]}),
        "summary": summary(found),
        "ignored": ignored,
    }
    say(options, document, _lines(found, ignored, only_summary=options.summary))
    return 0


def _counted(events: Iterable[TrackerEvent], trackers: Counter[str]) -> Iterator[TrackerEvent]:
    """The same events, counted by their trackers."""
    for event in events:
        trackers[event.tracker] += 1
        yield event


def _events(options: argparse.Namespace, definitions: Definitions) -> Iterable[TrackerEvent]:
    if options.days is not None:
        return kept_events(api_of(options), options.days)
    return read_events(options.events, next(iter(definitions.trigger.definition.trackers), _USUAL_TRACKER))


def simulate(
    definitions: Definitions, events: Iterable[TrackerEvent], options: argparse.Namespace, until: datetime | timedelta
) -> list[Report]:
    """What becomes of the visits of these events, which are in the order in which they came in."""
    # Imported here, as it brings all of the matcher.
    from cli.simulation import Simulation  # noqa: PLC0415

    simulation = Simulation(
        definitions.trigger,
        definitions.others,
        read_people(options.profiles) if options.profiles else (),
        read_rows(options.entities) if options.entities else None,
        _nothing if options.summary else renderer(definitions),
    )
    return simulation.run(events, until)


def _until(text: str) -> datetime | timedelta:
    try:
        return moment_of(text)
    except ValueError:
        raise BadInput(f"--until {text}: expected an ISO 8601 time with its zone, or a duration, as PT4H.") from None


def _of_files(paths: Sequence[Path], name: str) -> Definitions:
    documents = read(paths)
    made: dict[tuple[Kind, str], Definition | None] = {(one.kind, one.name): check(one.kind, one.body)[0] for one in documents}
    triggers = [Versioned(one, 0) for one in made.values() if isinstance(one, Trigger)]
    trigger = next((one for one in triggers if one.definition.name == name), None)
    if trigger is None:
        known = ", ".join(sorted(one.definition.name for one in triggers)) or "none"
        raise BadInput(f"There is no trigger {name} in these files; there are: {known}.")
    others = tuple(one for one in triggers if one is not trigger)
    template = made.get(("template", trigger.definition.template))
    integration = made.get(("integration", trigger.definition.integration))
    return Definitions(trigger, others, cast("Template | None", template), cast("Integration | None", integration))


def _of_deployment(api: Api, name: str) -> Definitions:
    """The newest version of the trigger and of its template, and the other triggers as they are in force."""
    trigger = _fetched(api, "trigger", name)
    listed = rows(api.get("definitions", kind="trigger"), "definitions")
    published = [(str(one["name"]), str(one["published"])) for one in listed if one["name"] != name and one.get("published")]
    with ThreadPoolExecutor(8) as pool:
        others = [*pool.map(lambda one: _fetched(api, "trigger", one[0], version=one[1]), published)]
    definition = cast("Trigger", trigger.definition)
    template = _fetched(api, "template", definition.template).definition
    integration = _fetched(api, "integration", definition.integration).definition
    return Definitions(
        Versioned(definition, trigger.version),
        tuple(Versioned(cast("Trigger", one.definition), one.version) for one in others),
        cast("Template", template),
        cast("Integration", integration),
    )


def _fetched(api: Api, kind: Kind, name: str, **query: str) -> Versioned[Definition]:
    """A definition, its secrets left out. Raises BadInput if it is not valid."""
    answer = api.get("definitions", kind, name, **query)
    body = answer["definition"]
    definition, faults = check(kind, unmask(body, dict.fromkeys(marks_of(body), "kept")))
    if definition is None:
        raise BadInput(f"The {kind} {name} is not valid: {faults[0].field}: expected {faults[0].expected}.")
    return Versioned(definition, int(str(answer["version"])))


def renderer(definitions: Definitions) -> Render:
    """Renders messages by the template; without one they stay unknown."""
    template, trigger = definitions.template, definitions.trigger.definition
    if template is None:
        return _nothing
    given = definitions.integration or Integration(
        name=trigger.integration, channel="email" if template.subject else "sms", url=_NOWHERE, body={}
    )
    # What is posted is none of a trigger's business.
    return partial(_rendered, template, given.model_copy(update={"body": {}, "headers": {}, "url": _NOWHERE}))


def _nothing(job: MessageJob, profile: Profile) -> None:
    """No message: there is no template, or nobody looks at it."""


def _rendered(template: Template, integration: Integration, job: MessageJob, profile: Profile) -> Message:
    # Imported here, as Liquid takes longer to load than most recordings to run.
    from cli.simulation import Message  # noqa: PLC0415
    from shared.content import render_content  # noqa: PLC0415

    try:
        content = render_content(job, template, integration, profile, _NoLinks("", _NOWHERE))
    except Permanent as error:
        return Message(fault=error.reason)
    return Message(content.subject, content.text)


def summary(reports: Sequence[Report]) -> dict[str, JsonValue]:
    """The sum of it, and per day in UTC: of visits by their beginning, of decisions by their deadline."""
    decisions = [one for report in reports for one in report.decisions]
    fired = [one for one in decisions if one.fired]
    skipped = Counter(one.reason for one in decisions if not one.fired)
    days: dict[str, dict[str, int]] = {}
    for name, times in (
        ("visits", [one.began_at for one in reports]),
        ("fired", [one.due_at for one in fired]),
        ("skipped", [one.due_at for one in decisions if not one.fired]),
    ):
        for at in times:
            day = days.setdefault(at.astimezone(UTC).date().isoformat(), {"visits": 0, "fired": 0, "skipped": 0})
            day[name] += 1
    return {
        "visits": len(reports),
        "matched": sum(one.matched for one in reports),
        "fired": len(fired),
        "skipped": dict(skipped.most_common()),
        "taken_back": sum(bool(one.taken_back) for one in fired),
        "waiting": sum(one.waiting_until is not None for one in reports),
        "fired_share_of_visits": round(len(fired) / len(reports), 4) if reports else 0,
        "fired_per_day": round(len(fired) / len(days), 2) if days else 0,
        "days": {day: dict(numbers) for day, numbers in sorted(days.items())},
    }


def _as_json(report: Report) -> JsonValue:
    return {
        "visit_id": report.visit_id,
        "began_at": iso(report.began_at),
        "ended_at": iso(report.ended_at),
        "events": report.events,
        "decisions": [_decision_as_json(one) for one in report.decisions],
        "waiting_until": iso(report.waiting_until) if report.waiting_until else None,
        "why": report.why,
    }


def _decision_as_json(one: Decision) -> JsonValue:
    message = one.message
    return {
        "message_id": one.message_id,
        "decided": "fired" if one.fired else "skipped",
        "reason": one.reason,
        "at": iso(one.due_at),
        "after": {"event": one.last, "seconds": (one.due_at - one.last_at).total_seconds()} if one.last_at else None,
        "profile_id": one.profile_id,
        "taken_back": one.taken_back,
        "message": {"subject": message.subject, "text": message.text, "fault": message.fault} if message else None,
    }


def _lines(reports: Sequence[Report], ignored: Mapping[str, int], *, only_summary: bool) -> Iterator[str]:
    for report in () if only_summary else reports:
        yield from _visit_lines(report)
    yield from _summary_lines(summary(reports))
    for tracker, number in ignored.items():
        yield f"ignored, as the trigger does not look at tracker {tracker}: {number} events"


def _visit_lines(report: Report) -> Iterator[str]:
    events = "1 event" if report.events == 1 else f"{report.events} events"
    yield f"{report.visit_id}, {spelt(report.began_at)}, {events} in {lasting(report.ended_at - report.began_at)}"
    for one in report.decisions:
        yield from _decision_lines(one)
    if report.waiting_until is not None:
        yield f"  still waiting until {spelt(report.waiting_until)}"
    if report.why:
        yield f"  {report.why}"


def _decision_lines(one: Decision) -> Iterator[str]:
    after = f", {lasting(one.due_at - one.last_at)} after {one.last}" if one.last_at else ""
    yield f"  fired {spelt(one.due_at)}{after}" if one.fired else f"  skipped {spelt(one.due_at)}{after}: {one.reason}"
    if one.taken_back:
        yield f"  taken back, if it had not gone out: {one.taken_back}"
    if one.message and one.message.fault:
        yield f"  no message: {one.message.fault}"
    elif one.message:
        if one.message.subject:
            yield f"  | Subject: {one.message.subject}"
        yield from (f"  | {line}".rstrip() for line in one.message.text.strip().splitlines())


def _summary_lines(found: dict[str, JsonValue]) -> Iterator[str]:
    yield f"{found['visits']} visits, {found['matched']} matched, {found['fired']} fired, {found['waiting']} still waiting"
    if found["taken_back"]:
        yield f"  {found['taken_back']} of those fired would have been taken back, if they had not gone out"
    for reason, number in cast("dict[str, int]", found["skipped"]).items():
        yield f"  {number} skipped: {reason}"
    for day, numbers in cast("dict[str, dict[str, int]]", found["days"]).items():
        yield f"  {day}: {numbers['visits']} visits, {numbers['fired']} fired, {numbers['skipped']} skipped"
    yield f"estimated frequency: {cast('float', found['fired_share_of_visits']):.1%} of visits, {found['fired_per_day']} a day"
