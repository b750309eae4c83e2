"""The life of a trigger and its template: draft, proof, published, paused, unpublished; versions, differences, roll back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.catalogue import Catalogue, Definitions
from shared.definitions import Template
from shared.exchange import Response
from shared.person import address_hash
from shared.profiles import Profiles
from shared.secrets import Secrets
from shared.triggers import Trigger
from tests.admin_api.conftest import Ask, Vendors
from tests.admin_api.samples import integration, template, trigger
from tests.aws import Aws

TRIGGER, TEMPLATE, INTEGRATION = (f"/definitions/{one}" for one in ("trigger/reminder", "template/cart", "integration/postbird"))
TO = "colleague@example.com"
BY = "arn:aws:iam::000000000000:user/ci"
NOON = "2026-11-21T12:00:00.000Z"
ADA = {"first_name": "Ada"}


def done(answer: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    """What was answered, if it succeeded."""
    assert answer[0] == 200, answer
    return answer[1]


def faults(answer: tuple[int, dict[str, Any]]) -> dict[str, str]:
    """What was refused, by field."""
    status, problem = answer
    assert status == 422, problem
    return {fault["field"]: fault["expected"] for fault in problem["errors"]}


@pytest.fixture
def drafted(ask: Ask, aws: Aws) -> Ask:
    """A deployment whose integration is in force, and a trigger and a template that are not."""
    Secrets(aws.secretsmanager, aws.secret_prefix).write("links", {"key": "k"})
    done(ask("PUT", INTEGRATION, integration(auth={"type": "none"})))
    assert done(ask("POST", f"{INTEGRATION}/test", {"profile": {"email": TO}}))["proven"]
    done(ask("POST", f"{INTEGRATION}/publish"))
    done(ask("PUT", TEMPLATE, template()))
    done(ask("PUT", TRIGGER, trigger()))
    return ask


@pytest.fixture
def published(drafted: Ask) -> Ask:
    """The same with all three in force."""
    prove(drafted)
    done(drafted("POST", f"{TRIGGER}/publish"))
    return drafted


@pytest.fixture
def triggers(aws: Aws) -> Catalogue[Trigger]:
    """As the functions see them, at once."""
    return Definitions(aws.table("definitions"), aws.dynamodb, aws.clock, 0).catalogue(Trigger)


@pytest.fixture
def templates(aws: Aws) -> Catalogue[Template]:
    """As the functions see them, at once."""
    return Definitions(aws.table("definitions"), aws.dynamodb, aws.clock, 0).catalogue(Template)


def prove(ask: Ask, **proof: Any) -> dict[str, Any]:
    """Sends a proof; what was answered."""
    return done(ask("POST", f"{TRIGGER}/proof", {"to": [TO], "profile": ADA, **proof}))


def bodies(vendors: Vendors) -> list[dict[str, Any]]:
    """What the vendor was posted."""
    return [json.loads(request.body) for request in vendors.asked if "token" not in request.url]


def standing(ask: Ask, path: str) -> tuple[int, int | None, bool]:
    """The newest version, what is in force, and whether the newest was tested or proven."""
    found = done(ask("GET", path))
    return found["version"], found["published"], "tested_at" in found


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


# ---- proofs


def test_a_proof_goes_to_the_named_addresses_and_to_nobody_else(drafted: Ask, aws: Aws, vendors: Vendors) -> None:
    stored = Profiles(aws.dynamodb, aws.table("profiles")).upsert(
        [("email", "ada@example.com")], {"email": "ada@example.com", "first_name": "Ada"}, aws.clock()
    )
    before = len(vendors.asked)
    proof = prove(drafted, to=["one@example.com", "two@example.com"], profile=None, profile_id=stored)
    sent = bodies(vendors)[before:]
    assert [one["to"] for one in sent] == [{"email": "one@example.com"}, {"email": "two@example.com"}]
    assert all("Hello Ada" in one["html"] and one["subject"] == "Your cart" for one in sent)
    assert "ada@example.com" not in json.dumps(proof) + json.dumps(sent)
    assert [one["conclusion"]["outcome"] for one in proof["proofs"]] == ["sent", "sent"]
    assert len({one["message_id"] for one in proof["proofs"]}) == 2
    assert all(one["message_id"].startswith("m_test_") for one in proof["proofs"])
    assert stored not in json.dumps(sent)  # who unsubscribes by a link in it unsubscribes nobody


@pytest.mark.parametrize("identifier", ["email", "email_sha256", "loyalty_id"])
def test_however_the_vendor_knows_people_it_is_told_of_the_named_address(
    drafted: Ask, aws: Aws, vendors: Vendors, identifier: str
) -> None:
    body = {"contact": "{{ identifier }}", "to": "{{ to }}"}
    done(drafted("PUT", INTEGRATION, integration(auth={"type": "none"}, body=body, identifier=identifier)))
    stored = Profiles(aws.dynamodb, aws.table("profiles")).upsert(
        [("loyalty_id", "4711")], {"email": "ada@example.com", "first_name": "Ada", "loyalty_id": "4711"}, aws.clock()
    )
    done(drafted("POST", f"{INTEGRATION}/test", {"profile": {"email": TO, "loyalty_id": "1"}}))
    done(drafted("POST", f"{INTEGRATION}/publish"))
    prove(drafted, profile=None, profile_id=stored)
    assert bodies(vendors)[-1] == {"contact": address_hash("email", TO) if identifier == "email_sha256" else TO, "to": TO}


def test_a_proof_is_made_of_the_visit_the_sample_and_the_trigger(drafted: Ask, vendors: Vendors) -> None:
    names = ("profile.first_name", "cart[0].name", "event.name", "metadata.size", "lookup.product.name", "message.campaign")
    html = " ".join(f"{{{{ {name} }}}}" for name in names)
    sample = {
        "profile": {"first_name": "Grace"},
        "cart": [{"name": "Lamp"}],
        "events": [{"name": "Product Viewed"}, {"name": "Product Added"}],
        "metadata": {"size": "XL"},
        "lookup": {"product": {"name": "A lamp"}},
    }
    enriched = {
        "metadata": {"size": {"path": "size"}},
        "lookups": {"product": {"entity": "product", "key": "event.properties.id"}},
    }
    done(drafted("PUT", TRIGGER, trigger(**enriched)))
    done(drafted("PUT", TEMPLATE, template(html=html, sample=sample)))
    proof = prove(drafted, profile=None)
    assert "Grace Lamp Product Added XL A lamp abandoned-cart" in bodies(vendors)[-1]["html"]
    assert {line["name"]: line["source"] for line in proof["variables"]}.items() >= {
        "metadata.size": "metadata",
        "lookup.product.name": "lookup",
        "cart[0].name": "cart",
    }.items()
    prove(drafted, visit={"cart": [{"name": "Chair"}], "event": {"name": "Cart Viewed"}})
    assert "Ada Chair Cart Viewed XL A lamp abandoned-cart" in bodies(vendors)[-1]["html"]


def test_what_was_not_sent_to_all_proves_nothing(drafted: Ask, vendors: Vendors) -> None:
    vendors.answers = [Response(202, {}, b'{"id": "pb_1"}'), Response(422, {}, b"{}")]
    proof = prove(drafted, to=["one@example.com", "two@example.com"])
    assert [one["conclusion"]["outcome"] for one in proof["proofs"]] == ["sent", "park"]
    assert proof["proven"] is False
    assert drafted("POST", f"{TRIGGER}/publish")[0] == 422


def test_a_proof_that_lacks_a_variable_says_which(drafted: Ask) -> None:
    proof = prove(drafted, profile={})
    (one,) = proof["proofs"]
    assert (one["conclusion"]["outcome"], one["calls"]) == ("park", [])
    assert "first_name" in one["conclusion"]["reason"]
    assert {line["name"]: line["source"] for line in proof["variables"]}["profile.first_name"] == "missing"


def test_a_proof_goes_through_the_integration_in_force(drafted: Ask, vendors: Vendors) -> None:
    done(drafted("PUT", INTEGRATION, integration(auth={"type": "none"}, url="https://elsewhere.example/v2")))
    prove(drafted)
    assert vendors.asked[-1].url == "https://api.postbird.example/v1/messages"


def test_there_is_no_proof_and_no_publication_without_an_integration_in_force(ask: Ask) -> None:
    for path, body in ((INTEGRATION, integration(auth={"type": "none"})), (TEMPLATE, template()), (TRIGGER, trigger())):
        done(ask("PUT", path, body))
    status, problem = ask("POST", f"{TRIGGER}/proof", {"to": [TO]})
    assert (status, problem["field"]) == (422, "integration")
    assert "`sendbridge test postbird --to ADDRESS --publish`" in problem["detail"]


def test_a_trigger_whose_integration_went_out_of_force_is_not_published(drafted: Ask, aws: Aws) -> None:
    prove(drafted)
    aws.dynamodb.delete_item(TableName=aws.table("definitions"), Key={"pk": {"S": "integration"}, "sk": {"S": "postbird"}})
    status, problem = drafted("POST", f"{TRIGGER}/publish")
    assert (status, problem["field"]) == (422, "integration")


def test_a_trigger_whose_template_nobody_has_seen_is_not_published(drafted: Ask) -> None:
    prove(drafted)
    done(drafted("PUT", TEMPLATE, template(subject="New")))
    status, problem = drafted("POST", f"{TRIGGER}/publish")
    assert (status, problem["field"]) == (422, "template")
    assert "`sendbridge proof reminder --to ADDRESS`" in problem["detail"]


@pytest.mark.parametrize(
    ("proof", "field"),
    [
        ({}, "to"),
        ({"to": []}, "to"),
        ({"to": [TO] * 11}, "to"),
        ({"to": ["nobody"]}, "to.0"),
        ({"to": [TO, "+491701234567"]}, "to.1"),
        ({"to": [TO], "profile_id": "nobody"}, "profile_id"),
        ({"to": [TO], "profile_id": "a", "profile": {}}, "profile_id"),
        ({"to": [TO], "visit": {"basket": []}}, "visit.basket"),
        ({"to": [TO], "template": "x"}, "template"),
        ([], "body"),
    ],
    ids=str,
)
def test_a_bad_proof_is_refused(drafted: Ask, vendors: Vendors, proof: Any, field: str) -> None:
    before = len(vendors.asked)
    status, problem = drafted("POST", f"{TRIGGER}/proof", proof)
    assert (status, problem["field"]) == (422, field)
    assert len(vendors.asked) == before


def test_a_proof_is_of_a_trigger_that_is_there(drafted: Ask) -> None:
    assert drafted("POST", "/definitions/trigger/nothing/proof", {"to": [TO]})[0] == 404
    assert drafted("POST", f"{TEMPLATE}/proof", {"to": [TO]})[0] == 404
    assert drafted("POST", f"{TRIGGER}/test", {})[0] == 404


# ---- checked


def test_a_template_alone_names_variables_that_nobody_gives(ask: Ask) -> None:
    found = faults(ask("PUT", TEMPLATE, template(html="{{ profile.a }} {{ basket[0].name }}", subject="{{ message.subject }}")))
    assert found == {
        "html": "no variable basket[0].name: there is none of this name, and none in defaults",
        "subject": "no variable message.subject: there is none of this name, and none in defaults",
    }
    html = "{{ basket | default: 'x' }}{% if nothing %}{{ nothing }}{% endif %}{{ sender }}"
    done(ask("PUT", TEMPLATE, template(html=html, defaults={"sender": "The Shop"})))


@pytest.mark.parametrize(
    ("html", "changes", "why"),
    [
        ("{{ metadata.size }}", {"metadata": {"colour": {"path": "c"}}}, "the trigger's metadata has no size"),
        ("{{ lookup.product.name }}", {}, "the trigger's lookups have no product"),
        ("{% for item in cart %}{{ item.name }}{% endfor %}", {"cart": None}, "there is no cart: the trigger has `cart: null`"),
        ("{{ metadata.size }}", {"metadata": {"size": {"path": "s"}}}, ""),
        ("{% if metadata.size %}{{ metadata.size }}{% endif %}", {}, ""),
        ("{% for item in cart %}{{ item.name }}{% endfor %}", {}, ""),
    ],
)
def test_a_trigger_gives_what_its_template_uses(drafted: Ask, html: str, changes: dict[str, Any], why: str) -> None:
    done(drafted("DELETE", TRIGGER))
    done(drafted("PUT", TEMPLATE, template(html=html)))
    answer = drafted("PUT", TRIGGER, trigger(**changes))
    if why:
        assert faults(answer)["template"].startswith("one whose variables this trigger gives: its html has ")
        assert faults(answer)["template"].endswith(why)
    else:
        done(answer)


def test_a_template_uses_what_all_its_triggers_give(drafted: Ask) -> None:
    answer = drafted("PUT", TEMPLATE, template(html="{{ metadata.size }}"))
    assert faults(answer) == {
        "html": "only variables that trigger reminder gives: the trigger's metadata has no size",
    }
    done(drafted("PUT", TEMPLATE, template(html="{{ metadata.size }}"), assuming="trigger/reminder"))


def test_an_integration_uses_what_its_triggers_templates_give(drafted: Ask) -> None:
    body = {"to": "{{ to }}", "from": "{{ sender }}"}
    answer = drafted("PUT", INTEGRATION, integration(auth={"type": "none"}, body=body))
    assert faults(answer) == {
        "body.from": "only variables that trigger reminder gives: there is no sender, and none in the template's defaults"
    }
    done(drafted("PUT", TEMPLATE, template(defaults={"sender": "The Shop"})))
    done(drafted("PUT", INTEGRATION, integration(auth={"type": "none"}, body=body)))


def test_a_template_in_force_goes_with_the_triggers_in_force(published: Ask, templates: Catalogue[Template]) -> None:
    """A trigger's draft gives what the new template uses; the two go in force together."""
    done(published("PUT", TRIGGER, trigger(metadata={"size": {"path": "s"}})))
    done(published("PUT", TEMPLATE, template(html="{{ metadata.size }}")))
    prove(published, visit={"metadata": {"size": "XL"}})
    assert faults(published("POST", f"{TEMPLATE}/publish")).keys() == {"html"}
    assert templates.require("cart").version == 1
    assert done(published("POST", f"{TRIGGER}/publish"))["with"] == [{"kind": "template", "name": "cart", "version": 2}]
    assert templates.require("cart").version == 2


def test_triggers_that_are_cancelled_exist(drafted: Ask) -> None:
    assert faults(drafted("PUT", TRIGGER, trigger(cancels=["other"]))) == {"cancels.0": "the name of a trigger that exists"}
    assert faults(drafted("PUT", TRIGGER, trigger(cancels=["reminder"]))) == {"cancels.0": "another trigger than this one"}
    done(drafted("PUT", "/definitions/trigger/other", trigger(cancels=["reminder"])))
    done(drafted("PUT", TRIGGER, trigger(cancels=["other"])))
    status, problem = drafted("DELETE", TRIGGER)
    assert (status, problem["detail"]) == (409, "trigger 'other' uses this trigger: change or delete it first")


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


def test_a_pause_cut_off_half_way_is_finished(published: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    done(published("PUT", TRIGGER, trigger(wait_seconds=60)))
    with monkeypatch.context() as patch:
        patch.setattr("admin_api.store.Store.put_draft", _cut_off)
        with pytest.raises(ConnectionError):
            published("POST", f"{TRIGGER}/pause")
    assert done(published("POST", f"{TRIGGER}/pause"))["version"] > 3
    assert done(published("GET", TRIGGER))["definition"]["enabled"] is False


def _cut_off(*_: object) -> None:
    raise ConnectionError


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


# ---- versions


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


# ---- one at a time, and nothing half done


def test_trigger_and_template_go_in_force_together_or_not_at_all(
    drafted: Ask, monkeypatch: pytest.MonkeyPatch, triggers: Catalogue[Trigger], templates: Catalogue[Template]
) -> None:
    prove(drafted)
    with monkeypatch.context() as patch:
        patch.setattr("admin_api.store.Store.publish", _cut_off)
        with pytest.raises(ConnectionError):
            drafted("POST", f"{TRIGGER}/publish")
    assert (dict(triggers.all()), dict(templates.all())) == ({}, {})
    done(drafted("POST", f"{TRIGGER}/publish"))
    assert (triggers.require("reminder").version, templates.require("cart").version) == (1, 1)


@pytest.mark.parametrize("act", ["publish", "unpublish", "pause", "resume", "rollback"])
def test_one_changes_at_a_time(published: Ask, aws: Aws, act: str) -> None:
    from shared.state import Leases

    other = Leases(aws.dynamodb, aws.table("state"), aws.clock)
    assert other.take("definitions", 30)
    assert published("POST", f"{TRIGGER}/{act}", {"to": 1} if act == "rollback" else None)[0] == 409
