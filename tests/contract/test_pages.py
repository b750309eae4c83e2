"""The connectors' pages are those of the connectors there are."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
import yaml

from connectors.registry import ESPS, TRACKERS
from shared.validation import check
from tests.contract.pages import FOLDER, page, pages
from tests.contract.registered import ROWS, Row, each_row, sample


def test_the_pages_are_up_to_date() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    wanted = pages()
    assert sorted(written) == sorted(wanted), "run `make docs`"
    for name, text in wanted.items():
        assert written[name] == text, f"docs/connectors/{name} is out of date: run `make docs`"


def test_there_is_a_page_for_each_row() -> None:
    assert len(pages()) == len(ROWS) + 1


def _fields(row: Row) -> Iterable[str]:
    return type(sample(row).definition).model_fields


@each_row()
def test_a_page_names_every_field_and_no_secret(row: Row) -> None:
    text = page(row)
    preset = ESPS.load(row[1]).preset if row[0] == "ESP" else None
    fields = [f"\n{field}:" for field in preset.definition] if preset else map("| `{}` |".format, _fields(row))
    if row[0] == "tracker" and row[1] != "standard_webhooks":
        fields = ["(tracker_standard_webhooks.md)", f"`format: {row[1]}`"]  # all trackers have the same
    assert all(field in text for field in fields)
    for secret in sample(row).secrets:
        assert secret not in text


@pytest.mark.parametrize("name", TRACKERS.rows)
def test_a_format_says_how_it_is_set_up(name: str) -> None:
    assert len(TRACKERS.load(name).setup) >= 2


@each_row()
def test_the_definition_of_a_page_is_one(row: Row) -> None:
    _, _, example = page(row).partition("## A definition that works\n\n```yaml\n")
    filled = re.sub(r"\$\{\w+\}", "https://vendor.example", example.partition("```")[0])
    for body in yaml.safe_load_all(re.sub(r"\{?env: (\w+)\}?", r"secret-of-\1", filled)):
        assert check(body.pop("kind"), body)[1] == []


def test_pages_are_the_same_every_time() -> None:
    assert pages() == pages()
