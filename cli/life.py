"""`publish`, `unpublish`, `pause`, `resume`, `versions`, `rollback`: what is in force, what was, and who did it."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from cli import show_life
from cli.api import Answer, Api
from cli.command import Command, api_of, say
from cli.naming import Row, named

_DRAFTED = ("trigger", "template", "integration")


def publish(api: Api, kind: str, name: str) -> Answer:
    """Puts the newest version in force. Raises Refused if it is not ready for that."""
    return api.post("definitions", kind, name, "publish", body={})


def _has_draft(row: Row) -> bool:
    return bool(row["published"] != row["version"])


def _is_published(row: Row) -> bool:
    return row["published"] is not None


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="[KIND/]NAME")


def _does(act: str, kinds: tuple[str, ...], prefer: Callable[[Row], bool]) -> Command:
    def run(options: argparse.Namespace) -> int:
        api = api_of(options)
        kind, name = named(api, options.name, kinds=kinds, prefer=prefer)
        answer = api.post("definitions", kind, name, act, body={})
        say(options, answer, show_life.done(act, answer))
        return 0

    return Command(_name, run)


PUBLISH = _does("publish", _DRAFTED, _has_draft)
UNPUBLISH = _does("unpublish", ("trigger", "template"), _is_published)
PAUSE = _does("pause", ("trigger", "integration"), _is_published)
RESUME = _does("resume", ("trigger", "integration"), _is_published)


def _versions(options: argparse.Namespace) -> int:
    api = api_of(options)
    kind, name = named(api, options.name)
    answer = api.get("definitions", kind, name, "versions")
    say(options, answer, show_life.versions(answer))
    return 0


VERSIONS = Command(_name, _versions)


def _rollback_arguments(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    parser.add_argument("--to", type=int, required=True, metavar="N", help="the version whose content it is to be")


def _rollback(options: argparse.Namespace) -> int:
    api = api_of(options)
    kind, name = named(api, options.name)
    answer = api.post("definitions", kind, name, "rollback", body={"to": options.to})
    say(options, answer, show_life.rolled_back(answer, options.to))
    return 0


ROLLBACK = Command(_rollback_arguments, _rollback)
