"""The life of a trigger and its template: draft, proven, published, paused, unpublished, deleted."""

from __future__ import annotations

from typing import Any

import pytest

from shared.catalogue import Catalogue
from shared.definitions import Template
from shared.exchange import Response
from shared.state import Leases
from shared.triggers import Trigger
from tests.admin_api.conftest import Ask
from tests.admin_api.life import ADA, BY, INTEGRATION, TEMPLATE, TRIGGER, cut_off, done, prove, standing
from tests.admin_api.samples import template, trigger
from tests.aws import Aws

# ---- drafts


def test_nothing_is_in_force_before_it_is_published(
    drafted: Ask, triggers: Catalogue[Trigger], templates: Catalogue[Template]
) -> None:
    assert (dict(triggers.all()), dict(templates.all())) == ({}, {})
    assert standing(drafted, TRIGGER) == (1, None, False)
    answer = drafted("POST", f"{TRIGGER}/publish")
    assert (answer[0], answer[1]["detail"].split(":")[0]) == (
        422,
        "version 1 of reminder has no proof, or it was not sent",
    )
    assert "`sendbridge proof reminder --to ADDRESS`" in answer[1]["detail"]
    assert "of a trigger that uses it" in drafted("POST", f"{TEMPLATE}/publish")[1]["detail"]


def test_a_proof_and_then_a_publication(drafted: Ask, triggers: Catalogue[Trigger], templates: Catalogue[Template]) -> None:
    proof = prove(drafted)
    assert (proof["proven"], proof["version"], proof["template"]) == (True, 1, {"name": "cart", "version": 1})
    answer = done(drafted("POST", f"{TRIGGER}/publish"))
    assert answer == {
        "kind": "trigger",
        "name": "reminder",
        "version": 1,
        "published": 1,
        "with": [{"kind": "template", "name": "cart", "version": 1}],
    }
    assert (triggers.require("reminder").version, templates.require("cart").version) == (1, 1)
    assert done(drafted("POST", f"{TRIGGER}/publish"))["published"] == 1


def test_an_edit_is_a_draft_beside_what_is_in_force(
    published: Ask, triggers: Catalogue[Trigger], templates: Catalogue[Template]
) -> None:
    answer = done(published("PUT", TEMPLATE, template(subject="New")))
    assert (answer["version"], answer["published"], answer["tested"]) == (2, 1, False)
    answer = done(published("PUT", TRIGGER, trigger(wait_seconds=60)))
    assert (answer["version"], answer["published"]) == (2, 1)
    assert templates.require("cart").definition.subject == "Your cart"
    assert triggers.require("reminder").definition.wait_seconds == 5


def test_when_it_is_sent_needs_no_new_proof_but_a_publication(published: Ask, triggers: Catalogue[Trigger]) -> None:
    answer = done(published("PUT", TRIGGER, trigger(wait_seconds=60, priority=3, hours={"begins": "09:00", "ends": "18:00"})))
    assert (answer["published"], answer["tested"]) == (1, True)
    done(published("POST", f"{TRIGGER}/publish"))
    assert triggers.require("reminder").definition.wait_seconds == 60


@pytest.mark.parametrize(
    "changes",
    [
        {"cart": None},
        {"metadata": {"size": {"path": "size"}}},
        {"lookups": {"product": {"entity": "product", "key": "event.properties.id"}}},
        {"requires": ["profile.first_name"]},
    ],
    ids=str,
)
def test_what_a_proof_shows_needs_a_new_one(published: Ask, changes: dict[str, Any]) -> None:
    assert done(published("PUT", TRIGGER, trigger(**changes)))["tested"] is False
    assert published("POST", f"{TRIGGER}/publish")[0] == 422


def test_what_nobody_is_sent_is_in_force_at_once(
    published: Ask, triggers: Catalogue[Trigger], templates: Catalogue[Template]
) -> None:
    assert done(published("PUT", TRIGGER, trigger(description="The shop's")))["published"] == 2
    assert done(published("PUT", TEMPLATE, template(sample={"profile": ADA})))["published"] == 2
    assert triggers.require("reminder").definition.description == "The shop's"
    assert templates.require("cart").definition.sample.profile == ADA


def test_the_switch_is_in_force_at_once_also_while_there_is_a_draft(published: Ask, triggers: Catalogue[Trigger]) -> None:
    done(published("PUT", TRIGGER, trigger(wait_seconds=60)))
    answer = done(published("PUT", TRIGGER, trigger(wait_seconds=60, enabled=False)))
    assert (answer["version"], answer["published"], answer["tested"]) == (4, 3, True)
    now = triggers.require("reminder").definition
    assert (now.enabled, now.wait_seconds) == (False, 5)


def test_an_edited_template_is_published_alone_once_a_proof_has_shown_it(published: Ask, templates: Catalogue[Template]) -> None:
    done(published("PUT", TEMPLATE, template(subject="New")))
    prove(published)
    assert done(published("POST", f"{TEMPLATE}/publish"))["published"] == 2
    assert templates.require("cart").definition.subject == "New"


def test_a_trigger_is_published_without_a_template_s_draft_that_nobody_has_seen(
    published: Ask, triggers: Catalogue[Trigger], templates: Catalogue[Template]
) -> None:
    done(published("PUT", TEMPLATE, template(subject="New")))
    done(published("PUT", TRIGGER, trigger(wait_seconds=60)))
    assert "with" not in done(published("POST", f"{TRIGGER}/publish"))
    assert (triggers.require("reminder").version, templates.require("cart").version) == (2, 1)


def test_an_edit_while_a_proof_is_sent_is_not_proven(drafted: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def edited_meanwhile(*_: object) -> Response:
        done(drafted("PUT", TEMPLATE, template(subject="Meanwhile")))
        return Response(202, {}, b'{"id": "pb_1"}')

    monkeypatch.setattr("admin_api.app.Admin._send", edited_meanwhile)
    assert prove(drafted)["proven"] is False
    assert (standing(drafted, TRIGGER), standing(drafted, TEMPLATE)) == ((1, None, False), (2, None, False))


# ---- paused


def test_a_trigger_is_paused_and_resumed(published: Ask, triggers: Catalogue[Trigger], aws: Aws) -> None:
    aws.clock.forward(60)
    answer = done(published("POST", f"{TRIGGER}/pause"))
    assert answer == {"kind": "trigger", "name": "reminder", "version": 2, "published": 2}
    assert triggers.require("reminder").definition.enabled is False
    assert done(published("POST", f"{TRIGGER}/pause"))["version"] == 2
    assert done(published("POST", f"{TRIGGER}/resume"))["published"] == 3
    assert triggers.require("reminder").definition.enabled is True
    rows = done(published("GET", f"{TRIGGER}/versions"))["versions"]
    assert [(row["version"], row["changed"]) for row in rows[:2]] == [(3, ["enabled"]), (2, ["enabled"])]
    assert (rows[1]["updated_by"], rows[1]["updated_at"]) == (BY, "2026-11-21T12:01:00.000Z")


def test_a_pause_holds_for_the_draft_too(published: Ask, triggers: Catalogue[Trigger]) -> None:
    done(published("PUT", TRIGGER, trigger(wait_seconds=60)))
    answer = done(published("POST", f"{TRIGGER}/pause"))
    assert (answer["version"], answer["published"]) == (4, 3)
    assert done(published("POST", f"{TRIGGER}/pause"))["version"] == 4
    done(published("POST", f"{TRIGGER}/publish"))
    now = triggers.require("reminder").definition
    assert (now.enabled, now.wait_seconds) == (False, 60)


def test_whoever_applies_without_a_word_of_it_does_not_end_a_pause(published: Ask, triggers: Catalogue[Trigger]) -> None:
    done(published("POST", f"{TRIGGER}/pause"))
    unsaid = {key: value for key, value in trigger().items() if key != "enabled"}
    assert done(published("PUT", TRIGGER, unsaid))["changed"] == []
    done(published("PUT", TRIGGER, {**unsaid, "description": "Of carts."}))
    assert triggers.require("reminder").definition.enabled is False
    done(published("PUT", TRIGGER, {**unsaid, "description": "Of carts.", "enabled": True}))
    assert triggers.require("reminder").definition.enabled is True


def test_a_pause_cut_off_half_way_is_finished(published: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    done(published("PUT", TRIGGER, trigger(wait_seconds=60)))
    with monkeypatch.context() as patch:
        patch.setattr("admin_api.store.Store.put_draft", cut_off)
        with pytest.raises(ConnectionError):
            published("POST", f"{TRIGGER}/pause")
    assert done(published("POST", f"{TRIGGER}/pause"))["version"] > 3
    assert done(published("GET", TRIGGER))["definition"]["enabled"] is False


def test_an_integration_is_paused_with_its_secrets_in_place(published: Ask) -> None:
    assert done(published("POST", f"{INTEGRATION}/pause"))["published"] == 2
    shown = done(published("GET", INTEGRATION))
    assert (shown["definition"]["enabled"], shown["definition"]["webhook"]["secrets"]) == (False, [{"secret": True}])
    done(published("PUT", INTEGRATION, {**shown["definition"], "enabled": True}))


def test_what_is_broken_otherwise_is_paused_all_the_same(published: Ask, aws: Aws, triggers: Catalogue[Trigger]) -> None:
    aws.dynamodb.delete_item(TableName=aws.table("definitions"), Key={"pk": {"S": "template"}, "sk": {"S": "cart"}})
    done(published("POST", f"{TRIGGER}/pause"))
    assert triggers.require("reminder").definition.enabled is False


def test_what_is_not_in_force_is_not_paused(drafted: Ask) -> None:
    status, problem = drafted("POST", f"{TRIGGER}/pause")
    assert (status, problem["detail"]) == (409, "trigger 'reminder' is not published")
    assert drafted("POST", "/definitions/trigger/nothing/pause")[0] == 404
    assert drafted("POST", f"{TEMPLATE}/pause")[1]["detail"] == "a template cannot be paused: integrations and triggers can"


# ---- unpublished, deleted


def test_a_trigger_out_of_force_is_a_draft_that_is_still_proven(published: Ask, triggers: Catalogue[Trigger]) -> None:
    answer = done(published("POST", f"{TRIGGER}/unpublish"))
    assert answer == {"kind": "trigger", "name": "reminder", "version": 1, "published": None}
    assert triggers.get("reminder") is None
    assert standing(published, TRIGGER) == (1, None, True)
    assert done(published("POST", f"{TRIGGER}/publish"))["published"] == 1
    assert triggers.require("reminder").version == 1


def test_a_newer_draft_stays_the_draft(published: Ask) -> None:
    done(published("PUT", TRIGGER, trigger(wait_seconds=60)))
    assert done(published("POST", f"{TRIGGER}/unpublish"))["version"] == 2
    assert done(published("GET", TRIGGER))["definition"]["wait_seconds"] == 60


def test_a_template_is_unpublished_after_its_triggers(published: Ask, templates: Catalogue[Template]) -> None:
    status, problem = published("POST", f"{TEMPLATE}/unpublish")
    assert (status, problem["detail"]) == (
        409,
        "published triggers use it: reminder; first `sendbridge unpublish trigger/reminder`",
    )
    done(published("POST", f"{TRIGGER}/unpublish"))
    done(published("POST", f"{TEMPLATE}/unpublish"))
    assert dict(templates.all()) == {}
    done(published("POST", f"{TRIGGER}/publish"))
    assert templates.require("cart").version == 1


def test_what_cannot_be_unpublished_says_why(drafted: Ask) -> None:
    assert drafted("POST", f"{TRIGGER}/unpublish")[0] == 409
    assert drafted("POST", "/definitions/trigger/nothing/unpublish")[0] == 404
    assert "pause it" in drafted("POST", f"{INTEGRATION}/unpublish")[1]["detail"]


def test_only_drafts_of_triggers_and_templates_are_deleted(published: Ask) -> None:
    for path in (TRIGGER, TEMPLATE):
        status, problem = published("DELETE", path)
        kind, name = path.split("/")[2:]
        assert (status, problem["detail"]) == (
            409,
            f"{kind} {name!r} is published: unpublish it first, with `sendbridge unpublish {kind}/{name}`",
        )
    done(published("POST", f"{TRIGGER}/unpublish"))
    assert done(published("DELETE", TRIGGER))["deleted"] is True
    done(published("POST", f"{TEMPLATE}/unpublish"))
    assert done(published("DELETE", TEMPLATE))["deleted"] is True


# ---- one at a time, and nothing half done


def test_trigger_and_template_go_in_force_together_or_not_at_all(
    drafted: Ask, monkeypatch: pytest.MonkeyPatch, triggers: Catalogue[Trigger], templates: Catalogue[Template]
) -> None:
    prove(drafted)
    with monkeypatch.context() as patch:
        patch.setattr("admin_api.store.Store.publish", cut_off)
        with pytest.raises(ConnectionError):
            drafted("POST", f"{TRIGGER}/publish")
    assert (dict(triggers.all()), dict(templates.all())) == ({}, {})
    done(drafted("POST", f"{TRIGGER}/publish"))
    assert (triggers.require("reminder").version, templates.require("cart").version) == (1, 1)


@pytest.mark.parametrize("act", ["publish", "unpublish", "pause", "resume", "rollback"])
def test_one_changes_at_a_time(published: Ask, aws: Aws, act: str) -> None:
    other = Leases(aws.dynamodb, aws.table("state"), aws.clock)
    assert other.take("definitions", 30)
    assert published("POST", f"{TRIGGER}/{act}", {"to": 1} if act == "rollback" else None)[0] == 409
