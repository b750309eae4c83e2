"""`proof`: the message of a trigger, to named addresses only."""

from __future__ import annotations

import argparse
from pathlib import Path

from pydantic import JsonValue

from cli import life, show_life
from cli.command import Command, api_of, say
from cli.errors import BadInput
from cli.files import read_value
from cli.trying import attributes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Who gets it, for whom it is made, and of what."""
    parser.add_argument("name", metavar="TRIGGER")
    parser.add_argument(
        "--to", action="append", required=True, metavar="ADDRESS", help="an email address or phone number that gets it; up to ten"
    )
    who = parser.add_argument_group("for whom it is made: the profile's own address gets nothing").add_mutually_exclusive_group()
    who.add_argument("--profile-id", metavar="ID", help="a stored profile")
    who.add_argument("--profile-file", type=Path, metavar="FILE", help="YAML or JSON with the attributes of a made-up one")
    who.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an attribute of a made-up one")
    parser.add_argument(
        "--visit",
        type=Path,
        metavar="FILE",
        help="YAML or JSON with cart, events, event, metadata, lookup; else the template's sample",
    )
    parser.add_argument("--publish", action="store_true", help="put trigger and template in force if everybody was sent it")


def run(options: argparse.Namespace) -> int:
    """Sends it; 1 if it was not sent to everybody."""
    body = _body(options)
    api = api_of(options)
    answer = api.post("definitions", "trigger", options.name.removeprefix("trigger/"), "proof", body=body)
    if answer["proven"] and options.publish:
        answer["publication"] = life.publish(api, "trigger", str(answer["trigger"]))
    say(options, answer, show_life.proven(answer))
    return 0 if all(show_life.is_sent(proof) for proof in show_life.proofs(answer)) else 1


def _body(options: argparse.Namespace) -> dict[str, JsonValue]:
    if len(options.to) > 10:
        raise BadInput("proof: ten addresses at most.")
    body: dict[str, JsonValue] = {"to": options.to}
    if options.profile_id:
        body["profile_id"] = options.profile_id
    elif options.profile_file:
        body["profile"] = read_value(options.profile_file)
    elif options.set:
        body["profile"] = attributes(options.set)
    if options.visit:
        body["visit"] = read_value(options.visit)
    return body


PROOF = Command(add_arguments, run)
