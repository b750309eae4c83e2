"""A trigger's proof: to whom it goes, what it is made of, what it proves; and what is found before anything is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.catalogue import Catalogue
from shared.definitions import Template
from shared.exchange import Response
from shared.person import address_hash
from shared.profiles import Profiles
from tests.admin_api.conftest import Ask, Vendors
from tests.admin_api.life import INTEGRATION, TEMPLATE, TO, TRIGGER, bodies, done, faults, prove
from tests.admin_api.samples import integration, template, trigger
from tests.aws import Aws

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
