"""The page about triggers is right: what it shows is valid, and it has all that can be asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast, get_args

import yaml

from cli.ready_made import triggers
from cli.recording import read_events, read_people, read_rows
from shared.rule_faults import faults_of
from shared.rules import Ask
from shared.triggers import Trigger, Type
from shared.validation import check

PAGE = Path("docs/triggers.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_its_triggers_can_be() -> None:
    for block in blocks("yaml"):
        body = yaml.safe_load(block)
        definition, faults = check(body.pop("kind"), body)
        assert faults == []
        assert faults_of(cast("Trigger", definition)) == []


def test_its_recordings_can_be_read(tmp_path: Path) -> None:
    (events,) = blocks("json")
    people = re.findall(r'lines of `(\{"identifiers.*?)` \|', PAGE)
    rows = re.findall(r'lines of `(\{"entity.*?)` \|', PAGE)
    for text, read in ((events, lambda path: read_events(path, "shop")), (people[0], read_people), (rows[0], read_rows)):
        (tmp_path / "lines").write_text(text)
        assert len(read(tmp_path / "lines")) > 0


def test_it_has_every_type_every_question_and_all_that_is_ready_made() -> None:
    asked = {field.alias or name for name, field in Ask.model_fields.items() if name != "path"}
    for name in (*get_args(Type), *asked, *triggers()):
        assert f"`{name}" in PAGE
