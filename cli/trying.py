"""`test` and `preview`: what is tried with whom, from arguments and files."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue

from cli import life, show
from cli.api import Answer, Api
from cli.command import Command, api_of, say
from cli.errors import BadInput
from cli.files import read, read_value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `test` and `preview` have in common."""
    parser.add_argument("name", help="of the integration")
    who = parser.add_argument_group("whom to write to").add_mutually_exclusive_group(required=True)
    who.add_argument("--to", metavar="ADDRESS", help="an email address or phone number, of a made-up profile")
    who.add_argument("--profile-id", metavar="ID", help="a stored profile")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an attribute of the made-up profile, as first_name=Ada"
    )
    what = parser.add_argument_group("what to write").add_mutually_exclusive_group()
    what.add_argument("--template", metavar="NAME")
    what.add_argument("--message", type=Path, metavar="FILE", help="YAML or JSON with subject, html and text")
    parser.add_argument(
        "--context",
        type=Path,
        metavar="FILE",
        help="YAML or JSON with cart, events, event, metadata and lookup; else the template's sample",
    )
    parser.add_argument("--body", type=Path, metavar="FILE", help="YAML or JSON in place of the integration's body")
    parser.add_argument("-f", "--file", type=Path, metavar="FILE", help="an integration's definition that is not applied yet")


def ask(api: Api, options: argparse.Namespace, *, preview: bool) -> Answer:
    """The deployment's answer. Raises BadInput for arguments and files that make no sense."""
    return api.post("definitions", "integration", options.name, "test", body={**_body(options), "preview": preview})


def _body(options: argparse.Namespace) -> dict[str, JsonValue]:
    body: dict[str, JsonValue] = {}
    if options.profile_id:
        if options.set:
            raise BadInput("--set is for a made-up profile: use it with --to.")
        body["profile_id"] = options.profile_id
    else:
        body["profile"] = {_attribute(options.to): options.to, **attributes(options.set)}
    if options.template:
        body["template"] = options.template
    for name in ("message", "context", "body"):
        if path := getattr(options, name):
            body[name] = read_value(path)
    if options.file:
        body["integration"] = _unsaved(options.file, options.name)
    return body


def _attribute(address: str) -> str:
    return "email" if "@" in address else "phone"


def attributes(texts: Iterable[str]) -> dict[str, JsonValue]:
    """Those given as `NAME=VALUE`. Raises BadInput."""
    return dict(_pair(text) for text in texts)


def _pair(text: str) -> tuple[str, JsonValue]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BadInput(f"--set {text}: expected NAME=VALUE.")
    return name, value


def _unsaved(path: Path, name: str) -> JsonValue:
    found = [document.body for document in read([path]) if document.kind == "integration" and document.name == name]
    if not found:
        raise BadInput(f"{path}: there is no integration named {name} in it.")
    return cast("JsonValue", found[0])


def _test_arguments(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser)
    parser.add_argument("--publish", action="store_true", help="put the version in force if the message was sent")


def _test(options: argparse.Namespace) -> int:
    api = api_of(options)
    answer = ask(api, options, preview=False)
    sent = cast("dict[str, Any]", answer["conclusion"])["outcome"] == "sent"
    if answer["proven"] and options.publish:
        answer["published"] = life.publish(api, "integration", options.name)["published"]
    say(options, answer, show.tested(answer))
    return 0 if sent else 1


TEST = Command(_test_arguments, _test)


def _preview(options: argparse.Namespace) -> int:
    answer = ask(api_of(options), options, preview=True)
    say(options, answer, show.previewed(answer))
    return 1 if answer["error"] else 0


PREVIEW = Command(add_arguments, _preview)
