"""`publish`: what is in force."""

from __future__ import annotations

import argparse

from cli.command import Command, api_of, say


def _publish_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")


def _publish(options: argparse.Namespace) -> int:
    answer = api_of(options).post("definitions", "integration", options.name, "publish", body={})
    say(options, answer, [f"{options.name}: version {answer['published']} is in force."])
    return 0


PUBLISH = Command(_publish_arguments, _publish)
