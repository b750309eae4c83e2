"""Presets: each is a definitions file that works once its holes are filled."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest
import yaml

from cli.files import read
from cli.ready_made import file_of, triggers
from connectors.presets import presets
from shared.content_faults import content_faults
from shared.definitions import Template
from shared.rule_faults import faults_of
from shared.triggers import Trigger
from shared.validation import check
from shared.variables import variables_of
from tests.admin_api.conftest import answered_by
from tests.cli.conftest import Bridge, Sendbridge


def test_they_are_listed_without_a_deployment(sendbridge: Sendbridge, bridge: Bridge) -> None:
    run = sendbridge("presets")
    assert (run.code, bridge.seen) == (0, [])
    assert [line.split()[0] for line in run.out.splitlines()] == [*presets(), *triggers()]
    assert any(line.split()[:4] == ["postmark", "integration", "email", "Postmark"] for line in run.out.splitlines())
    assert any(line.split()[:3] == ["abandoned_cart", "trigger", "email"] for line in run.out.splitlines())
    assert {one["name"]: one["kind"] for one in sendbridge("--json", "presets").json} == {
        **dict.fromkeys(presets(), "integration"),
        **dict.fromkeys(triggers(), "trigger"),
    }


def test_what_is_not_there_is_told_with_what_is(sendbridge: Sendbridge) -> None:
    run = sendbridge("preset", "nobody")
    assert run.code == 2
    assert "abandoned_cart" in run.err
    assert "postmark" in run.err


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


FILLED = {"INTEGRATION": "esp", "SHOP_URL": "https://shop.example.com"}


@pytest.mark.parametrize("name", [*triggers()])
def test_each_trigger_is_a_file_that_can_be_applied(sendbridge: Sendbridge, tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.yaml"
    file.write_text(sendbridge("preset", name).out)
    assert {*re.findall(r"\$\{(\w+)\}", file.read_text())} == {"NAME", *FILLED}
    first, second = read([file], FILLED)
    template = cast("Template", check("template", first.body)[0])
    trigger = cast("Trigger", check("trigger", second.body)[0])
    assert (template.name, trigger.name, trigger.template) == (name, name, name)
    assert [*content_faults(template)] == []
    assert faults_of(trigger) == []


@pytest.mark.parametrize("name", [*triggers()])
def test_each_template_uses_what_its_trigger_provides(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.yaml"
    file.write_text(triggers()[name])
    first, second = read([file], FILLED)
    template, trigger = Template.model_validate(first.body), Trigger.model_validate(second.body)
    used = variables_of(template)
    assert {one.name for one in used if one.origin == "unknown"} == set()
    assert {re.split(r"\W", one.name)[1] for one in used if one.origin == "metadata"} <= {*trigger.metadata}
    assert trigger.cart is not None or not any(one.name.startswith("cart") for one in used)
    for part in (template.html, template.text):
        assert "{{ unsubscribe_url }}" in part
        assert "{{ mirror_url }}" in part


def test_the_cart_waits_three_hours_and_the_latest_event_counts(tmp_path: Path) -> None:
    file = tmp_path / "cart.yaml"
    file.write_text(triggers()["abandoned_cart"])
    trigger = Trigger.model_validate(read([file], FILLED)[1].body)
    assert (trigger.wait_seconds, trigger.restart, trigger.new_visit) == (3 * 3600, "any_event", "cancels")


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
