"""The versions of a definition: who did what, how they differ, and back to an earlier one."""

from __future__ import annotations

from typing import Any

import pytest

from shared.catalogue import Catalogue
from shared.definitions import Template
from shared.secrets import Secrets
from shared.triggers import Trigger
from tests.admin_api.conftest import Ask
from tests.admin_api.life import BY, INTEGRATION, NOON, TEMPLATE, TO, TRIGGER, done, prove
from tests.admin_api.samples import integration, template, trigger
from tests.aws import Aws


def test_the_versions_say_who_did_what_and_when(published: Ask, aws: Aws) -> None:
    done(published("PUT", TRIGGER, trigger(wait_seconds=60)))
    aws.clock.forward(60)
    done(published("POST", f"{TRIGGER}/unpublish"))
    answer = done(published("GET", f"{TRIGGER}/versions"))
    assert answer["published"] is None
    second, first = answer["versions"]
    assert (second["version"], second["changed"], second["deeds"], second["tested_at"]) == (2, ["wait_seconds"], [], NOON)
    later = "2026-11-21T12:01:00.000Z"
    assert [(deed["what"], deed["at"], deed["by"]) for deed in first["deeds"]] == [
        ("tested", NOON, BY),
        ("published", NOON, BY),
        ("unpublished", later, BY),
    ]
    assert "published_at" not in first


def test_the_difference_between_two_versions(published: Ask) -> None:
    done(published("PUT", TRIGGER, trigger(wait_seconds=60, trackers=[], reentry_seconds=None)))
    done(published("PUT", TRIGGER, trigger(wait_seconds=90)))
    assert done(published("GET", f"{TRIGGER}/diff")) == {
        "kind": "trigger",
        "name": "reminder",
        "from": 1,
        "to": 3,
        "changes": [{"field": "wait_seconds", "old": 5, "new": 90}],
    }
    between = done(published("GET", f"{TRIGGER}/diff", **{"from": "2", "to": "3"}))["changes"]
    assert between == [
        {"field": "wait_seconds", "old": 60, "new": 90},
        {"field": "reentry_seconds", "old": None, "new": 0},
    ]
    assert {one["field"] for one in done(published("GET", f"{TEMPLATE}/diff"))["changes"]} >= {"html", "subject"}
    assert published("GET", f"{TRIGGER}/diff", to="9")[0] == 404
    assert published("GET", "/definitions/trigger/nothing/diff")[0] == 404


def test_a_difference_shows_no_secret(published: Ask) -> None:
    done(published("PUT", INTEGRATION, integration(auth={"type": "basic", "username": "u", "password": "a-password"})))
    answer = done(published("GET", f"{INTEGRATION}/diff"))
    assert [one["field"] for one in answer["changes"]] == ["auth.type", "auth.username", "auth.password"]
    assert answer["changes"][2]["new"] == {"secret": True}


def test_a_roll_back_makes_the_old_content_the_newest(published: Ask, templates: Catalogue[Template]) -> None:
    done(published("PUT", TEMPLATE, template(subject="New")))
    prove(published)
    done(published("POST", f"{TEMPLATE}/publish"))
    answer = done(published("POST", f"{TEMPLATE}/rollback", {"to": 1}))
    assert (answer["version"], answer["published"], answer["tested"], answer["changed"]) == (3, 2, True, ["subject"])
    assert done(published("GET", f"{TEMPLATE}/versions"))["versions"][0]["restored"] == 1
    done(published("POST", f"{TEMPLATE}/publish"))
    assert templates.require("cart").definition.subject == "Your cart"


def test_a_roll_back_to_what_was_never_proven_is_a_draft(published: Ask) -> None:
    done(published("PUT", TEMPLATE, template(subject="Unseen")))
    done(published("PUT", TEMPLATE, template(subject="Other")))
    assert done(published("POST", f"{TEMPLATE}/rollback", {"to": 2}))["tested"] is False


def test_a_roll_back_to_what_is_in_force_drops_the_draft(published: Ask, templates: Catalogue[Template]) -> None:
    done(published("PUT", TEMPLATE, template(subject="New")))
    answer = done(published("POST", f"{TEMPLATE}/rollback", {"to": 1}))
    assert (answer["version"], answer["published"]) == (3, 3)
    assert templates.require("cart").definition.subject == "Your cart"


def test_a_roll_back_does_not_touch_the_switch(published: Ask, triggers: Catalogue[Trigger]) -> None:
    done(published("POST", f"{TRIGGER}/pause"))
    done(published("POST", f"{TRIGGER}/resume"))
    done(published("PUT", TRIGGER, trigger(wait_seconds=60)))
    assert done(published("POST", f"{TRIGGER}/rollback", {"to": 2}))["published"] == 5
    assert triggers.require("reminder").definition.enabled is True


def test_a_roll_back_keeps_the_secrets_of_today(published: Ask, aws: Aws) -> None:
    first = {"auth": {"type": "none"}, "secret_headers": {"X-Key": "first-key"}}
    second = {"auth": {"type": "none"}, "secret_headers": {"X-Key": "second-key"}, "url": "https://api.postbird.example/v2"}
    for changes in (first, second):
        done(published("PUT", INTEGRATION, integration(**changes)))
        done(published("POST", f"{INTEGRATION}/test", {"profile": {"email": TO}}))
        done(published("POST", f"{INTEGRATION}/publish"))
    answer = done(published("POST", f"{INTEGRATION}/rollback", {"to": 2}))
    assert (answer["changed"], answer["published"], answer["tested"]) == (["url"], 3, False)
    kept: Any = Secrets(aws.secretsmanager, aws.secret_prefix).read("definition/integration/postbird")
    assert kept["draft"]["/secret_headers/X-Key"] == "second-key"


@pytest.mark.parametrize(("body", "status"), [({}, 422), ({"to": 0}, 422), ({"to": 9}, 404), ({"to": 1, "x": 1}, 422), ([], 422)])
def test_a_bad_roll_back_is_refused(published: Ask, body: Any, status: int) -> None:
    assert published("POST", f"{TRIGGER}/rollback", body)[0] == status


def test_a_deleted_version_is_not_rolled_back_to(published: Ask) -> None:
    done(published("POST", f"{TRIGGER}/unpublish"))
    done(published("DELETE", TRIGGER))
    assert published("POST", f"{TRIGGER}/rollback", {"to": 1})[0] == 404
    done(published("PUT", TRIGGER, trigger()))
    assert published("POST", f"{TRIGGER}/rollback", {"to": 2})[0] == 404
    assert done(published("POST", f"{TRIGGER}/rollback", {"to": 1}))["changed"] == []
