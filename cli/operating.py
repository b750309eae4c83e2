"""`trace`, `parked`, `redrive`, `suppressions` and `doctor`: what is going on in a deployment, and what is to be mended."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from pydantic import JsonValue

from cli import show
from cli.command import Command, api_of, no_arguments, rows, say
from cli.errors import BadInput


def _suppressions_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("do", choices=["show", "add", "remove"])
    parser.add_argument("address", help="an email address, or a phone number like +491701234567")
    parser.add_argument("--reason", help="with add: in words")
    parser.add_argument(
        "--cause",
        action="append",
        choices=["unsubscribed", "complained", "bounced", "manual"],
        help="with add: what it is (manual); with remove: what is lifted (bounced and manual)",
    )


def _suppressions(options: argparse.Namespace) -> int:
    body: dict[str, JsonValue] = {"channel": "email" if "@" in options.address else "sms", "address": options.address}
    causes = options.cause or []
    if (options.do == "show" and (causes or options.reason)) or (options.do == "remove" and options.reason):
        raise BadInput(f"suppressions {options.do}: --reason and --cause say nothing here.")
    if options.do == "add" and len(causes) > 1:
        raise BadInput("suppressions add: name one --cause.")
    if options.do == "add":
        body |= {name: value for name, value in (("reason", options.reason), ("cause", causes[0] if causes else "")) if value}
    elif causes:
        body["causes"] = causes
    answer = api_of(options).post("suppressions", options.do, body=body)
    say(options, answer, show.suppressions(options.address, rows(answer, "suppressions")))
    return 0


SUPPRESSIONS = Command(_suppressions_arguments, _suppressions)


def _trace_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", help="message id or visit id")
    parser.add_argument("--tracker", help="with one of the following")
    parser.add_argument("--anonymous-id")
    parser.add_argument("--user-id")


def _trace(options: argparse.Namespace) -> int:
    visitor = {name: getattr(options, name) for name in ("tracker", "anonymous_id", "user_id") if getattr(options, name)}
    if bool(options.id) == bool(visitor) or (visitor and (len(visitor) != 2 or "tracker" not in visitor)):
        raise BadInput("Give a message id or visit id, or --tracker with --anonymous-id or --user-id.")
    api = api_of(options)
    if options.id and "#" not in options.id:  # which every visit id has
        message = api.get("traces", options.id)
        say(options, message, show.trace(message))
        return 0
    found = api.get("traces", **(visitor or {"visit": options.id}))
    say(options, found, show.traces(cast("list[dict[str, Any]]", found["traces"])))
    return 0


TRACE = Command(_trace_arguments, _trace)


def _parked_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--queue", help="of this queue only")


def _parked(options: argparse.Namespace) -> int:
    api = api_of(options)
    queues = [options.queue] if options.queue else [row["queue"] for row in rows(api.get("parked"), "queues")]
    # SQS is asked for a second each, as only that asks all of a queue's servers.
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda queue: rows(api.get("parked", queue=queue), "items"), queues)
        items = [item for answer in answers for item in answer]
    say(options, {"items": items}, show.parked(items))
    return 0


PARKED = Command(_parked_arguments, _parked)


def _redrive_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--queue", required=True)
    parser.add_argument("ids", nargs="*", metavar="ID", help="these only")


def _redrive(options: argparse.Namespace) -> int:
    body: dict[str, JsonValue] = {"queue": options.queue}
    if options.ids:
        body["ids"] = options.ids
    answer = api_of(options).post("parked", "redrive", body=body)
    say(options, answer, show.redriven(answer))
    return 1 if answer["missing"] else 0


REDRIVE = Command(_redrive_arguments, _redrive)


def _doctor(options: argparse.Namespace) -> int:
    answer = api_of(options).get("doctor")
    checks = rows(answer, "checks")
    say(options, answer, show.checks(checks))
    return int(not all(check["ok"] for check in checks))


DOCTOR = Command(no_arguments, _doctor)
