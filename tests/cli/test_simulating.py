"""`simulate`: a trigger of files, or of a deployment, through recorded behaviour."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import DEFINITIONS, Bridge, Sendbridge

TRIGGER: dict[str, object] = {
    "kind": "trigger",
    "name": "seen",
    "must_include": ["Product Viewed"],
    "wait_seconds": 60,
    "template": "seen",
    "integration": "esp",
    "campaign": "c",
    "delivery": "d",
}
TEMPLATE = {
    "kind": "template",
    "name": "seen",
    "subject": "{{ lookup.product.title | default: 'Seen' }} for {{ profile.first_name }}",
    "text": "{{ event.properties.product_id }}",
}
NOON = "2026-11-16T12:00:00Z"
VIEWED = {"name": "Product Viewed", "time": NOON, "anonymous_id": "a", "user_id": "u1", "properties": {"product_id": "p1"}}
PAGE = {"name": "Page Viewed", "time": "2026-11-16T12:00:30Z", "anonymous_id": "b"}
ADA = {"identifiers": {"user_id": "u1"}, "attributes": {"first_name": "Ada", "email": "ada@example.com"}}
SHOE = {"entity": "products", "key": "p1", "attributes": {"title": "Shoe"}}
LOOKUP = {"lookups": {"product": {"entity": "products", "key": "event.properties.product_id"}}}


def lines(tmp_path: Path, name: str, *things: object) -> Path:
    file = tmp_path / name
    file.write_text("".join(json.dumps(thing) + "\n" for thing in things))
    return file


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    file = tmp_path / "definitions.yaml"
    file.write_text(yaml.safe_dump_all([TEMPLATE, TRIGGER | LOOKUP]))
    return file


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return lines(tmp_path, "events.jsonl", VIEWED, PAGE)


def test_each_visit_is_told_and_the_sum_of_it(sendbridge: Sendbridge, tmp_path: Path, definitions: Path, events: Path) -> None:
    people, rows = lines(tmp_path, "people.jsonl", ADA), lines(tmp_path, "rows.jsonl", SHOE)
    run = sendbridge(
        "simulate", "seen", "-f", definitions, "--events", events, "--profiles", people, "--entities", rows, "--until", "PT1H"
    )
    assert (run.code, run.err) == (0, "")
    assert run.out.splitlines() == [
        "recording#a#a, 2026-11-16 12:00:00Z, 1 event in 0 s",
        "  fired 2026-11-16 12:01:00Z, 1 min after Product Viewed",
        "  | Subject: Shoe for Ada",
        "  | p1",
        "recording#a#b, 2026-11-16 12:00:30Z, 1 event in 0 s",
        "  never qualified: no Product Viewed",
        "2 visits, 1 matched, 1 fired, 0 still waiting",
        "  2026-11-16: 2 visits, 1 fired, 0 skipped",
        "estimated frequency: 50.0% of visits, 1.0 a day",
    ]


def test_for_programs_it_is_json(sendbridge: Sendbridge, tmp_path: Path, definitions: Path, events: Path) -> None:
    people = lines(tmp_path, "people.jsonl", ADA)
    found = sendbridge(
        "simulate",
        "seen",
        "-f",
        definitions,
        "--events",
        events,
        "--profiles",
        people,
        "--until",
        "2026-11-16T13:00:00Z",
        "--json",
    ).json
    assert (found["trigger"], found["version"], found["summary"]["fired_share_of_visits"]) == ("seen", None, 0.5)
    fired, never = found["visits"]
    (decision,) = fired["decisions"]
    assert (decision["decided"], decision["at"], decision["after"]) == (
        "fired",
        "2026-11-16T12:01:00.000Z",
        {"event": "Product Viewed", "seconds": 60.0},
    )
    assert decision["message"] == {"subject": "Seen for Ada", "text": "p1", "fault": ""}
    assert (never["decisions"], never["why"]) == ([], "never qualified: no Product Viewed")


def test_without_until_what_falls_due_later_still_waits(sendbridge: Sendbridge, definitions: Path, events: Path) -> None:
    run = sendbridge("simulate", "seen", "-f", definitions, "--events", events)
    assert "  still waiting until 2026-11-16 12:01:00Z" in run.out.splitlines()


def test_the_summary_alone(sendbridge: Sendbridge, definitions: Path, events: Path) -> None:
    run = sendbridge("simulate", "seen", "-f", definitions, "--events", events, "--until", "PT1H", "--summary")
    assert run.out.splitlines() == [
        "2 visits, 1 matched, 0 fired, 0 still waiting",
        "  1 skipped: no profile",
        "  2026-11-16: 2 visits, 0 fired, 1 skipped",
        "estimated frequency: 0.0% of visits, 0.0 a day",
    ]
    assert "visits" not in sendbridge("simulate", "seen", "-f", definitions, "--events", events, "--summary", "--json").json


def test_events_of_trackers_that_it_does_not_look_at_are_told(sendbridge: Sendbridge, tmp_path: Path, events: Path) -> None:
    file = tmp_path / "definitions.yaml"
    file.write_text(yaml.safe_dump(TRIGGER | {"trackers": ["app"]}))
    events.write_text(events.read_text() + json.dumps(VIEWED | {"tracker": "shop"}) + "\n")
    run = sendbridge("simulate", "seen", "-f", file, "--events", events)
    assert run.out.splitlines()[-1] == "ignored, as the trigger does not look at tracker shop: 1 events"
    assert run.out.startswith("app#a#a, ")
    assert sendbridge("simulate", "seen", "-f", file, "--events", events, "--json").json["ignored"] == {"shop": 1}


def test_no_events_are_no_visits(sendbridge: Sendbridge, tmp_path: Path, definitions: Path) -> None:
    run = sendbridge("simulate", "seen", "-f", definitions, "--events", lines(tmp_path, "none.jsonl"))
    assert (run.code, run.out.splitlines()[0]) == (0, "0 visits, 0 matched, 0 fired, 0 still waiting")


def test_a_message_that_cannot_be_rendered_is_told(sendbridge: Sendbridge, tmp_path: Path, events: Path) -> None:
    file = tmp_path / "definitions.yaml"
    file.write_text(yaml.safe_dump_all([TEMPLATE | {"text": "{{ event.properties.nothing.there }}"}, TRIGGER]))
    people = lines(tmp_path, "people.jsonl", ADA)
    run = sendbridge("simulate", "seen", "-f", file, "--events", events, "--profiles", people, "--until", "PT1H")
    assert run.code == 0
    assert "  no message: template 'seen', " in run.out


def test_without_the_template_the_decisions_are_told_alone(sendbridge: Sendbridge, tmp_path: Path, events: Path) -> None:
    file = tmp_path / "definitions.yaml"
    file.write_text(yaml.safe_dump(TRIGGER))
    people = lines(tmp_path, "people.jsonl", ADA)
    run = sendbridge("simulate", "seen", "-f", file, "--events", events, "--profiles", people, "--until", "PT1H")
    assert "  fired 2026-11-16 12:01:00Z, 1 min after Product Viewed" in run.out
    assert "|" not in run.out


def test_what_makes_no_sense_is_one_sentence(sendbridge: Sendbridge, tmp_path: Path, definitions: Path, events: Path) -> None:
    for said, arguments in {
        "There is no trigger nobody in these files; there are: seen.": ("nobody", "-f", definitions, "--events", events),
        "--until soon: expected": ("seen", "-f", definitions, "--events", events, "--until", "soon"),
        "cannot be read": ("seen", "-f", definitions, "--events", tmp_path / "none"),
        "bad.jsonl:1: ": ("seen", "-f", definitions, "--events", lines(tmp_path, "bad.jsonl", {"name": "A"})),
        "events.jsonl:1: identifiers": ("seen", "-f", definitions, "--events", events, "--profiles", events),
    }.items():
        run = sendbridge("simulate", *arguments)
        assert (run.code, run.out) == (2, "")
        assert said in run.err


def test_the_newest_version_of_a_deployment(sendbridge: Sendbridge, bridge: Bridge, tmp_path: Path) -> None:
    assert sendbridge("apply", "-f", DEFINITIONS).code == 0
    added = {
        "name": "Product Added",
        "time": NOON,
        "anonymous_id": "a",
        "user_id": "u1",
        "properties": {"name": "Shoe", "price": 5},
    }
    file, people = lines(tmp_path, "events.jsonl", added), lines(tmp_path, "people.jsonl", ADA)
    run = sendbridge("simulate", "abandoned_cart", "--events", file, "--profiles", people, "--until", "PT1H")
    assert (run.code, run.err) == (0, "")
    assert "  fired 2026-11-16 12:00:05Z, 5 s after Product Added" in run.out.splitlines()
    assert "  | Subject: Ada, your cart is waiting" in run.out.splitlines()
    assert run.out.startswith("shop#a#a, ")
    assert sendbridge("simulate", "abandoned_cart", "--events", file, "--json").json["version"] == 1
    assert sendbridge("simulate", "nobody", "--events", file).code == 2
