"""Presets: each is a definitions file that works once its holes are filled."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from cli.files import read
from cli.ready_made import file_of
from connectors.presets import presets
from shared.validation import check
from tests.admin_api.conftest import answered_by
from tests.cli.conftest import Bridge, Sendbridge


def test_they_are_listed_without_a_deployment(sendbridge: Sendbridge, bridge: Bridge) -> None:
    run = sendbridge("presets")
    assert (run.code, bridge.seen) == (0, [])
    assert [line.split()[0] for line in run.out.splitlines()] == [*presets()]
    assert any(line.split()[:3] == ["postmark", "email", "Postmark"] for line in run.out.splitlines())
    assert {one["name"] for one in sendbridge("--json", "presets").json} == {*presets()}


def filled(hole: str) -> str:
    """Something of the kind that its name promises."""
    if "URL" in hole:
        return "https://filled.example"
    return "A" * 20 if "ACCESS_KEY_ID" in hole else "filled"


@pytest.mark.parametrize("name", [*presets()])
def test_each_is_a_file_that_can_be_applied(sendbridge: Sendbridge, tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.yaml"
    file.write_text(sendbridge("preset", name).out)
    assert file.read_text().startswith(f"# {presets()[name].title}. ")
    holes = re.findall(r"\$\{(\w+)\}", file.read_text()) + re.findall(r"env: (\w+)", file.read_text())
    (document,) = read([file], {hole: filled(hole) for hole in holes})
    assert (document.kind, document.name) == ("integration", name)
    assert document.body["connector"] == name
    assert check("integration", document.body)[1] == []


def test_the_deployment_tells_them_too(bridge: Bridge) -> None:
    ask = answered_by(bridge.admin)
    status, listed = ask("GET", "/presets")
    assert (status, [one["name"] for one in listed["presets"]]) == (200, [*presets()])
    for name, preset in presets().items():
        status, found = ask("GET", f"/presets/{name}")
        assert (status, found["title"], found["definition"]) == (200, preset.title, preset.definition)
    assert ask("GET", "/presets/nobody")[0] == 404


def test_notes_are_comments() -> None:
    name, preset = next((name, preset) for name, preset in presets().items() if preset.notes)
    comments = [line for line in file_of(name).splitlines() if line.startswith("#")]
    words = " ".join(line.lstrip("#* ") for line in comments)
    for note in preset.notes:
        assert " ".join(note.split()) in " ".join(words.split())
    assert yaml.safe_load(file_of(name))["name"] == name
