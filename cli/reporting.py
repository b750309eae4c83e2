"""`report`: how often triggers fired, and what became of it, by day."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cli.command import api_of, rows, say
from cli.errors import BadInput

_COLUMNS = ("matched", "fired", "sent", "skipped", "cancelled", "unsent", "parked", "late")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which trigger, and which days."""
    parser.add_argument("trigger", nargs="?", help="its days and its newest decisions; without one, all triggers on one day")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--days", type=int, default=None, metavar="N", help="of one trigger: the last so many days (7)")
    when.add_argument("--day", default=None, metavar="DATE", help="of all triggers: the day, as 2026-01-31 (today, UTC)")


def run(options: argparse.Namespace) -> int:
    """Prints the report."""
    api = api_of(options)
    if options.trigger is not None and options.day is not None:
        raise BadInput("--day is for all triggers: give a trigger --days, or none.")
    if options.trigger is None and options.days is not None:
        raise BadInput("--days is for one trigger: name it, or give --day.")
    if options.trigger is None:
        query = {"day": options.day} if options.day else {}
        answer = api.get("reports", **query)
        say(options, answer, of_all(answer))
    else:
        query = {"days": str(options.days)} if options.days is not None else {}
        answer = api.get("reports", options.trigger, **query)
        say(options, answer, of_one(answer))
    return 0


def of_all(report: dict[str, Any]) -> Iterator[str]:
    """All triggers on one day."""
    if not report["triggers"]:
        yield "There is no trigger."
        return
    yield from _table(report["day"], "trigger", rows(report, "triggers"), report["total"])
    yield from _reasons(report["total"])


def of_one(report: dict[str, Any]) -> Iterator[str]:
    """A trigger day by day, why it did not send, and its newest decisions."""
    yield from _table(report["trigger"], "day", rows(report, "days"), report["total"])
    yield from _reasons(report["total"])
    if report["recent"]:
        yield ""
        yield "newest decisions"
    for one in rows(report, "recent"):
        yield f"  {one['at']}  {one['decided']}  {one['message_id']}  {one['visit_id']}  {one['reason']}".rstrip()


def _table(title: str, first: str, lines: Sequence[dict[str, Any]], total: dict[str, Any]) -> Iterator[str]:
    width = max(len(title), len("total"), *(len(str(line[first])) for line in lines))
    yield f"{title:<{width}}  " + "  ".join(f"{name:>9}" for name in _COLUMNS)
    for name, line in [*((line[first], line) for line in lines), ("total", total)]:
        yield f"{name:<{width}}  " + "  ".join(f"{_number(line[column]):>9}" for column in _COLUMNS)
    if total["fired"]:
        most = f", at most {total['lateness_most']:g} s" if total["lateness_most"] else ""
        yield f"Fired {total['lateness_mean']:g} s after the deadline on average{most}."


def _number(value: int | dict[str, int]) -> int:
    return sum(value.values()) if isinstance(value, dict) else value


def _reasons(total: dict[str, Any]) -> Iterator[str]:
    for kind, title in (("skipped", "not fired"), ("unsent", "fired and not sent")):
        yield from _of_kind(title, total[kind].items())


def _of_kind(title: str, reasons: Iterable[tuple[str, int]]) -> Iterator[str]:
    for index, (reason, number) in enumerate(reasons):
        if index == 0:
            yield ""
            yield title
        yield f"  {number:>9}  {reason}"
