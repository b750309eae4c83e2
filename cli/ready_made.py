"""`presets` and `preset`: the vendors' integrations that are ready made, from this release itself."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator

from cli.apply import as_yaml
from cli.command import Command, no_arguments, say
from cli.errors import BadInput
from connectors.esps.base import Preset
from connectors.presets import presets

_WIDTH = 110


def lines() -> Iterator[str]:
    """A line for each vendor."""
    found = presets()
    width = max(map(len, found), default=0)
    for name, preset in found.items():
        yield f"{name:<{width}}  {preset.channel:<5}  {preset.title}"


def as_json() -> list[dict[str, str]]:
    """The same for programs."""
    return [
        {"name": name, "title": preset.title, "channel": preset.channel, "source": preset.source}
        for name, preset in presets().items()
    ]


def file_of(name: str) -> str:
    """A vendor's preset as a definitions file. Raises BadInput if there is none."""
    found = presets()
    if name not in found:
        raise BadInput(f"There is no preset {name}; there are: {', '.join(found)}.")
    comments = "".join(f"{line}\n" for line in _comments(found[name]))
    return comments + as_yaml({"kind": "integration", "name": name, **found[name].definition})


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
