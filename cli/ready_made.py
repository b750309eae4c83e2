"""`presets` and `preset`: what is ready made, from this release itself: vendors' integrations, and triggers with their templates.

Integrations are of the connectors. Triggers are definitions files beside this one, comments and all.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml

from cli.apply import as_yaml
from cli.command import Command, no_arguments, say
from cli.errors import BadInput
from connectors.esps.base import Preset
from connectors.presets import presets

_WIDTH = 110
_TRIGGERS = Path(__file__).with_name("ready")


def triggers() -> dict[str, str]:
    """The definitions files of the triggers, by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(_TRIGGERS.glob("*.yaml"))}


def lines() -> Iterator[str]:
    """A line for each."""
    listed = as_json()
    width = max(len(one["name"]) for one in listed)
    for one in listed:
        yield f"{one['name']:<{width}}  {one['kind']:<11}  {one.get('channel', ''):<5}  {one['title']}"


def as_json() -> list[dict[str, str]]:
    """The same for programs."""
    integrations = [
        {"name": name, "kind": "integration", "title": preset.title, "channel": preset.channel, "source": preset.source}
        for name, preset in presets().items()
    ]
    return integrations + [
        {"name": name, "kind": "trigger", "title": next(iter(yaml.safe_load_all(text)))["description"], "channel": "email"}
        for name, text in triggers().items()
    ]


def file_of(name: str) -> str:
    """What is ready made under a name, as a definitions file. Raises BadInput if there is nothing."""
    integrations, ours = presets(), triggers()
    if name in ours:
        return ours[name]
    if name not in integrations:
        raise BadInput(f"There is no preset {name}; there are: {', '.join([*integrations, *ours])}.")
    preset = integrations[name]
    comments = "".join(f"{line}\n" for line in _comments(preset))
    return comments + as_yaml({"kind": "integration", "name": name, **preset.definition})


def _comments(preset: Preset) -> Iterator[str]:
    yield f"# {preset.title}. ${{NAME}} and {{env: NAME}} are filled from the environment of whoever applies this."
    for note in preset.notes:
        yield from textwrap.wrap(note, _WIDTH, initial_indent="# * ", subsequent_indent="#   ")
    yield from textwrap.wrap(f"Source: {preset.source}", _WIDTH, initial_indent="# ", subsequent_indent="#   ")


def _presets(options: argparse.Namespace) -> int:
    say(options, as_json(), lines())
    return 0


PRESETS = Command(no_arguments, _presets)


def _preset(options: argparse.Namespace) -> int:
    text = file_of(options.name)
    say(options, {"yaml": text}, [text.rstrip("\n")])
    return 0


PRESET = Command(lambda parser: parser.add_argument("name"), _preset)
