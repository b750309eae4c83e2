"""The `sendbridge` command: a client of the admin API, the same for a deployment in an account and for a local one.

Exit codes: 0 done, 1 it failed (`diff`: there are differences; `doctor`: something is wrong; `test`: the message was not sent;
`preview`: it cannot be made), 2 bad input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import boto3
from botocore.exceptions import BotoCoreError
from pydantic import JsonValue

from cli import apply, ready_made, show, trying
from cli.api import Api, Deployment
from cli.errors import BadInput, CommandError
from cli.files import read

_LOCAL = Path(".local/env")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; its exit code. An expected failure is one sentence on stderr."""
    try:
        options = _parser().parse_args(argv)
        return _run(options)
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except SystemExit as end:  # argparse, after it has said why
        return end.code if isinstance(end.code, int) else 2
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    if "local" in vars(options):
        _load_local()
    act: Callable[[argparse.Namespace], int] = options.act
    return act(options)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    where = common.add_argument_group("which deployment")
    where.add_argument("--profile", help="AWS profile")
    where.add_argument("--region", help="AWS region")
    where.add_argument("--stack", help="CloudFormation stack (SENDBRIDGE_STACK, else sendbridge-dev)")
    where.add_argument("--url", help="URL of the API, instead of asking the stack (SENDBRIDGE_URL)")
    where.add_argument("--token", help="bearer token, where the deployment wants a JWT (SENDBRIDGE_TOKEN)")
    where.add_argument("--local", action="store_true", help=f"the deployment of `make run`, from {_LOCAL}")
    common.add_argument("--json", action="store_true", help="print JSON")
    parser = argparse.ArgumentParser(
        "sendbridge", description="Definitions, tests, traces and parked items of a Sendbridge deployment.", parents=[common]
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, act: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        """A subcommand, with the options of all."""
        made = commands.add_parser(name, help=text, description=text, parents=[common])
        made.set_defaults(act=act)
        return made

    put = command("apply", _apply, "put the definitions of YAML files; nothing is touched if one of them is wrong")
    differ = command("diff", _diff, "what apply would change; exit code 1 if anything")
    for one in (put, differ):
        one.add_argument("-f", "--file", dest="files", nargs="+", type=Path, required=True, metavar="DIR|FILE")
    export = command("export", _export, "all definitions as YAML that apply takes back, without secrets")
    export.add_argument("-o", "--output", type=Path, metavar="DIR", help="a file each, instead of all on stdout")
    command("presets", _presets, "the vendors whose integrations are ready made")
    preset = command("preset", _preset, "a vendor's integration as YAML, to be filled in and applied")
    preset.add_argument("name")
    test = command("test", _test, "send a test message through an integration's newest version, and show what was said")
    trying.add_arguments(test)
    test.add_argument("--publish", action="store_true", help="put the version in force if the message was sent")
    trying.add_arguments(command("preview", _preview, "what a test message would be, and where each variable comes from"))
    publish = command("publish", _publish, "put an integration's newest version in force, once it was tested")
    publish.add_argument("name")
    _add_suppressions(command("suppressions", _suppressions, "addresses that get nothing any more: show, add, remove"))
    trace = command("trace", _trace, "what became of a message, or of a visitor's messages, and why")
    trace.add_argument("id", nargs="?", help="message id or visit id")
    trace.add_argument("--tracker", help="with one of the following")
    trace.add_argument("--anonymous-id")
    trace.add_argument("--user-id")
    parked = command("parked", _parked, "items that did not succeed, and why")
    parked.add_argument("--queue", help="of this queue only")
    redrive = command("redrive", _redrive, "send parked items back to their queue")
    redrive.add_argument("--queue", required=True)
    redrive.add_argument("ids", nargs="*", metavar="ID", help="these only")
    command("doctor", _doctor, "what in the deployment is misconfigured or cannot be reached")
    return parser


def _add_suppressions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("do", choices=["show", "add", "remove"])
    parser.add_argument("address", help="an email address, or a phone number like +491701234567")
    parser.add_argument("--reason", help="with add: in words")
    parser.add_argument(
        "--cause",
        action="append",
        choices=["unsubscribed", "complained", "bounced", "manual"],
        help="with add: what it is (manual); with remove: what is lifted (bounced and manual)",
    )


def _api(options: argparse.Namespace) -> Api:
    given, environ = vars(options), os.environ
    try:
        session = boto3.Session(profile_name=given.get("profile"), region_name=given.get("region"))
    except BotoCoreError as error:
        raise BadInput(f"{error}.") from None
    return Api(
        Deployment(
            session,
            stack=given.get("stack") or environ.get("SENDBRIDGE_STACK") or "sendbridge-dev",
            url=given.get("url") or (None if "stack" in given else environ.get("SENDBRIDGE_URL")),
            token=given.get("token") or environ.get("SENDBRIDGE_TOKEN"),
        )
    )


def _load_local() -> None:
    """Takes over what `make run` wrote: where its AWS and its API are, and the variables of the sample definitions."""
    try:
        lines = _LOCAL.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise BadInput(f"{_LOCAL} is not here: is `make run` running, from this directory?") from None
    for name, _, value in (line.partition("=") for line in lines if "=" in line):
        os.environ[name] = value


def _apply(options: argparse.Namespace) -> int:
    documents = read(options.files)
    done, notes = [], []
    for result in apply.apply(_api(options), documents):
        done.append(result.as_json())
        notes += [result.note] if result.note else []
        if not _wants_json(options):
            print(result.line(), flush=True)
    _say(options, done, notes)
    return 0


def _diff(options: argparse.Namespace) -> int:
    documents = read(options.files)
    results = apply.diff(_api(options), documents)
    _say(options, [result.as_json() for result in results], (result.line() for result in results))
    return int(any(result.what != "unchanged" for result in results))


def _export(options: argparse.Namespace) -> int:
    api = _api(options)
    if options.output:
        written = apply.write_export(api, options.output)
        _say(options, [*map(str, written)], map(str, written))
        return 0
    texts = [text for _, _, text in apply.export(api)]
    _say(options, {"yaml": "---\n".join(texts)}, ["---\n".join(texts).rstrip("\n")])
    return 0


def _presets(options: argparse.Namespace) -> int:
    _say(options, ready_made.as_json(), ready_made.lines())
    return 0


def _preset(options: argparse.Namespace) -> int:
    text = ready_made.file_of(options.name)
    _say(options, {"yaml": text}, [text.rstrip("\n")])
    return 0


def _test(options: argparse.Namespace) -> int:
    api = _api(options)
    answer = trying.ask(api, options, preview=False)
    sent = cast("dict[str, Any]", answer["conclusion"])["outcome"] == "sent"
    if answer["proven"] and options.publish:
        answer["published"] = api.post("definitions", "integration", options.name, "publish", body={})["published"]
    _say(options, answer, show.tested(answer))
    return 0 if sent else 1


def _preview(options: argparse.Namespace) -> int:
    answer = trying.ask(_api(options), options, preview=True)
    _say(options, answer, show.previewed(answer))
    return 1 if answer["error"] else 0


def _publish(options: argparse.Namespace) -> int:
    answer = _api(options).post("definitions", "integration", options.name, "publish", body={})
    _say(options, answer, [f"{options.name}: version {answer['published']} is in force."])
    return 0


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
    answer = _api(options).post("suppressions", options.do, body=body)
    _say(options, answer, show.suppressions(options.address, _rows(answer, "suppressions")))
    return 0


def _trace(options: argparse.Namespace) -> int:
    visitor = {name: getattr(options, name) for name in ("tracker", "anonymous_id", "user_id") if getattr(options, name)}
    if bool(options.id) == bool(visitor) or (visitor and (len(visitor) != 2 or "tracker" not in visitor)):
        raise BadInput("Give a message id or visit id, or --tracker with --anonymous-id or --user-id.")
    api = _api(options)
    if options.id and "#" not in options.id:  # which every visit id has
        message = api.get("traces", options.id)
        _say(options, message, show.trace(message))
        return 0
    found = api.get("traces", **(visitor or {"visit": options.id}))
    _say(options, found, show.traces(cast("list[dict[str, Any]]", found["traces"])))
    return 0


def _parked(options: argparse.Namespace) -> int:
    api = _api(options)
    queues = [options.queue] if options.queue else [row["queue"] for row in _rows(api.get("parked"), "queues")]
    # SQS is asked for a second each, as only that asks all of a queue's servers.
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda queue: _rows(api.get("parked", queue=queue), "items"), queues)
        items = [item for answer in answers for item in answer]
    _say(options, {"items": items}, show.parked(items))
    return 0


def _redrive(options: argparse.Namespace) -> int:
    body: dict[str, JsonValue] = {"queue": options.queue}
    if options.ids:
        body["ids"] = options.ids
    answer = _api(options).post("parked", "redrive", body=body)
    _say(options, answer, show.redriven(answer))
    return 1 if answer["missing"] else 0


def _doctor(options: argparse.Namespace) -> int:
    answer = _api(options).get("doctor")
    checks = _rows(answer, "checks")
    _say(options, answer, show.checks(checks))
    return int(not all(check["ok"] for check in checks))


def _rows(answer: dict[str, JsonValue], key: str) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", answer[key])


def _wants_json(options: argparse.Namespace) -> bool:
    return bool(vars(options).get("json"))


def _say(options: argparse.Namespace, document: object, lines: Iterable[str]) -> None:
    if _wants_json(options):
        _print_json(document)
        return
    for line in lines:
        print(line)


def _print_json(document: object) -> None:
    print(json.dumps(document, ensure_ascii=False, indent=2))
