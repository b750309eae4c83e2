"""What the subcommands have in common: the options that all of them take, the deployment that is asked, and how they answer."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, cast

import boto3
from botocore.exceptions import BotoCoreError

from cli.api import Answer, Api, Deployment
from cli.errors import BadInput

_LOCAL = Path(".local/env")


class Command(NamedTuple):
    """A subcommand. A module that has these two functions is one as well."""

    add_arguments: Callable[[argparse.ArgumentParser], object]
    run: Callable[[argparse.Namespace], int]
    """Does it; the exit code. Raises CommandError."""


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """For a command that has no arguments of its own."""


def common_options() -> argparse.ArgumentParser:
    """The parent of all subcommands' parsers."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    where = common.add_argument_group("which deployment")
    where.add_argument("--profile", help="AWS profile")
    where.add_argument("--region", help="AWS region")
    where.add_argument("--stack", help="CloudFormation stack (SENDBRIDGE_STACK, else sendbridge-dev)")
    where.add_argument("--url", help="URL of the API, instead of asking the stack (SENDBRIDGE_URL)")
    where.add_argument("--token", help="bearer token, where the deployment wants a JWT (SENDBRIDGE_TOKEN)")
    where.add_argument("--local", action="store_true", help=f"the deployment of `make run`, from {_LOCAL}")
    common.add_argument("--json", action="store_true", help="print JSON")
    return common


def load_local() -> None:
    """Takes over what `make run` wrote: where its AWS and its API are, and the variables of the sample definitions."""
    try:
        lines = _LOCAL.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise BadInput(f"{_LOCAL} is not here: is `make run` running, from this directory?") from None
    for name, _, value in (line.partition("=") for line in lines if "=" in line):
        os.environ[name] = value


def api_of(options: argparse.Namespace) -> Api:
    """The admin API of the deployment that the options, or the environment, name."""
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


def wants_json(options: argparse.Namespace) -> bool:
    """Whether the answer is for a program."""
    return bool(vars(options).get("json"))


def say(options: argparse.Namespace, document: object, lines: Iterable[str]) -> None:
    """Prints the document for a program, the lines for people."""
    if wants_json(options):
        print(json.dumps(document, ensure_ascii=False, indent=2))
        return
    for line in lines:
        print(line)


def rows(answer: Answer, key: str) -> list[dict[str, Any]]:
    """A list of objects in the deployment's answer."""
    return cast("list[dict[str, Any]]", answer[key])
