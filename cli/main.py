"""The `sendbridge` command: a client of the admin API, the same for a deployment in an account and for a local one.

Exit codes: 0 done, 1 it failed (`diff`: there are differences; `doctor`: something is wrong; `test`: the message was not sent;
`proof`: not to everybody; `preview`: it cannot be made), 2 bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pkgutil import resolve_name
from typing import cast

from cli.command import Command, common_options, load_local
from cli.errors import CommandError

# A new subcommand is one row here, and a module with `add_arguments(parser)` and `run(options) -> exit code` (or, where one
# module has several commands, a `Command` made of the two). Only the module of the command that is called is imported.
# `cli.command` has what they need: `api_of(options)` to ask the deployment, and `say(options, json, lines)` to answer.
_COMMANDS = {
    "apply": ("cli.apply:APPLY", "put the definitions of YAML files; nothing is touched if one of them is wrong"),
    "check": ("cli.apply:CHECK", "everything that is wrong with YAML files of definitions; changes nothing"),
    "diff": ("cli.apply:DIFF", "what apply would change, or what changed between two versions; exit code 1 if anything"),
    "export": ("cli.apply:EXPORT", "all definitions as YAML that apply takes back, without secrets"),
    "presets": ("cli.ready_made:PRESETS", "what is ready made: integrations of vendors, and triggers with their templates"),
    "preset": ("cli.ready_made:PRESET", "one of them as YAML, to be filled in and applied"),
    "test": ("cli.trying:TEST", "send a test message through an integration's newest version, and show what was said"),
    "preview": ("cli.trying:PREVIEW", "what a test message would be, and where each variable comes from"),
    "proof": ("cli.proving:PROOF", "send a trigger's message to named addresses only, as it would be for a visit"),
    "simulate": ("cli.simulating", "what a trigger would have made of recorded behaviour, visit by visit"),
    "explain": ("cli.explaining", "what recorded requests to a tracker would be answered, and which events they bring"),
    "publish": ("cli.life:PUBLISH", "put the newest version of a definition in force, once it was tested or proven"),
    "unpublish": ("cli.life:UNPUBLISH", "take a trigger or a template out of force; it is a draft again"),
    "pause": ("cli.life:PAUSE", "have a trigger's messages wait; or an integration's"),
    "resume": ("cli.life:RESUME", "end a pause; what is still valid is sent, with the newest content"),
    "versions": ("cli.life:VERSIONS", "every version of a definition: who made it, and what was done with it"),
    "rollback": ("cli.life:ROLLBACK", "make the content of an earlier version the newest one"),
    "suppressions": ("cli.operating:SUPPRESSIONS", "addresses that get nothing any more: show, add, remove"),
    "entities": ("cli.entities", "rows of custom entities, which messages look up: put, get, delete"),
    "report": ("cli.reporting", "how often triggers fired, and what became of it, by day"),
    "trace": ("cli.operating:TRACE", "what became of a message, or of a visitor's messages, and why"),
    "parked": ("cli.operating:PARKED", "items that did not succeed, and why"),
    "redrive": ("cli.operating:REDRIVE", "send parked items back to their queue"),
    "doctor": ("cli.operating:DOCTOR", "what in the deployment is misconfigured or cannot be reached"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; its exit code. An expected failure is one sentence on stderr."""
    try:
        options = _parser(sys.argv[1:] if argv is None else argv).parse_args(argv)
        if "local" in vars(options):
            load_local()
        return cast("Command", options.command).run(options)
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except SystemExit as end:  # argparse, after it has said why
        return end.code if isinstance(end.code, int) else 2
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    common = common_options()
    parser = argparse.ArgumentParser(
        "sendbridge",
        description="Definitions and their life, traces and parked items of a Sendbridge deployment.",
        parents=[common],
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (place, text) in _COMMANDS.items():
        made = commands.add_parser(name, help=text, description=text, parents=[common])
        if name in argv:
            command = cast("Command", resolve_name(place))
            command.add_arguments(made)
            made.set_defaults(command=command)
    return parser
