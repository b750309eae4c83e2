"""Putting, reading and deleting definitions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from admin_api.app import Admin
from admin_api.settings import Settings
from shared.catalogue import unmask
from shared.secrets import Secrets
from shared.state import Leases
from tests.admin_api.conftest import Ask, Vendors, request, settings_of
from tests.admin_api.samples import KEY, OTHER_KEY, PASSWORD, destination, integration, journal, template, tracker, trigger
from tests.aws import Aws


@pytest.fixture
def secrets(aws: Aws) -> Secrets:
    return Secrets(aws.secretsmanager, aws.secret_prefix)


def errors(answer: tuple[int, dict[str, Any]]) -> dict[str, str]:
    status, problem = answer
    assert status == 422
    return {error["field"]: error["expected"] for error in problem["errors"]}


def test_a_definition_is_created_changed_and_left_alone(ask: Ask) -> None:
    status, created = ask("PUT", "/definitions/template/cart", template())
    assert (status, created["version"], created["created"], created["changed"]) == (200, 1, True, ["html", "subject"])
    _, changed = ask("PUT", "/definitions/template/cart", template(subject="Still there"))
    assert (changed["version"], changed["created"], changed["changed"]) == (2, False, ["subject"])
    _, same = ask("PUT", "/definitions/template/cart", template(subject="Still there", text=""))
    assert (same["version"], same["changed"]) == (2, [])


def test_a_dry_run_says_the_same_and_writes_nothing(ask: Ask) -> None:
    _, dry = ask("PUT", "/definitions/tracker/shop", tracker(), dry_run="true")
    assert (dry["version"], dry["created"]) == (1, True)
    assert ask("GET", "/definitions/tracker/shop")[0] == 404
    assert ask("PUT", "/definitions/tracker/shop", tracker())[1] == dry


def test_every_version_stays_with_who_made_it(ask: Ask) -> None:
    ask("PUT", "/definitions/template/cart", template())
    ask("PUT", "/definitions/template/cart", template(subject="Two"))
    _, listed = ask("GET", "/definitions/template/cart/versions")
    assert [row["version"] for row in listed["versions"]] == [2, 1]
    assert listed["versions"][0]["updated_by"] == "arn:aws:iam::000000000000:user/ci"
    assert ask("GET", "/definitions/template/cart", version="1")[1]["definition"]["subject"] == "Your cart"
    assert ask("GET", "/definitions/template/cart")[1]["definition"]["subject"] == "Two"
    assert ask("GET", "/definitions/template/cart", version="3")[0] == 404


def test_a_token_s_subject_is_who_made_it(aws: Aws, settings: Settings) -> None:
    event = request("PUT", "/definitions/template/cart", template())
    event["requestContext"]["authorizer"] = {"jwt": {"claims": {"sub": "user-7", "email": "ada@example.com"}, "scopes": None}}
    admin = Admin(settings, aws.clock)
    admin.answer(event)
    found = json.loads(str(admin.answer(request("GET", "/definitions/template/cart"))["body"]))
    assert found["updated_by"] == "user-7"


def test_lists_are_by_kind_or_of_all(ask: Ask) -> None:
    ask("PUT", "/definitions/template/cart", template())
    ask("PUT", "/definitions/tracker/shop", tracker())
    assert [(row["kind"], row["name"]) for row in ask("GET", "/definitions")[1]["definitions"]] == [
        ("tracker", "shop"),
        ("template", "cart"),
    ]
    assert [row["name"] for row in ask("GET", "/definitions", kind="template")[1]["definitions"]] == ["cart"]


def test_secret_values_are_in_secrets_manager_and_nowhere_else(aws: Aws, ask: Ask, secrets: Secrets) -> None:
    answers = [ask("PUT", "/definitions/integration/postbird", integration())]
    assert answers[0][1]["changed"] == ["auth", "body", "url", "webhook"]
    answers += [ask("GET", "/definitions/integration/postbird"), ask("GET", "/definitions/integration/postbird/versions")]
    rows = aws.dynamodb.scan(TableName=aws.table("definitions"))["Items"]
    for text in (json.dumps(answers), json.dumps(rows)):
        assert PASSWORD not in text
        assert KEY not in text
    stored = answers[1][1]["definition"]
    assert stored["auth"]["client_secret"] == {"secret": True}
    kept = secrets.read("definition/integration/postbird")
    assert kept is not None
    draft = kept["draft"]
    assert draft == {"/auth/client_secret": PASSWORD, "/webhook/secrets/0": KEY, "version": 1}
    assert unmask(stored, draft) == {"name": "postbird", **integration()}


def test_what_is_read_can_be_put_back_and_keeps_its_secrets(ask: Ask, secrets: Secrets) -> None:
    ask("PUT", "/definitions/integration/postbird", integration())
    stored = ask("GET", "/definitions/integration/postbird")[1]["definition"]
    assert ask("PUT", "/definitions/integration/postbird", stored)[1]["changed"] == []
    _, changed = ask("PUT", "/definitions/integration/postbird", {**stored, "description": "new"})
    assert changed["changed"] == ["description"]
    kept = secrets.read("definition/integration/postbird")
    assert kept is not None
    assert kept["draft"]["/auth/client_secret"] == PASSWORD  # type: ignore[index,call-overload]  # it is a dict


def test_a_changed_secret_is_named_and_makes_a_version(ask: Ask, secrets: Secrets) -> None:
    ask("PUT", "/definitions/tracker/shop", tracker())
    _, rotated = ask("PUT", "/definitions/tracker/shop", tracker(secrets=[OTHER_KEY, KEY]))
    assert (rotated["version"], rotated["changed"]) == (2, ["secrets", "secrets.0", "secrets.1"])
    _, ended = ask("PUT", "/definitions/tracker/shop", tracker(secrets=[{"secret": True}]))
    assert ended["version"] == 3
    assert secrets.read("definition/tracker/shop") == {"/secrets/0": OTHER_KEY, "version": 3}


def test_secrets_that_are_no_longer_used_are_removed(ask: Ask, secrets: Secrets) -> None:
    ask("PUT", "/definitions/tracker/shop", tracker(secrets=[OTHER_KEY, KEY]))
    ask("PUT", "/definitions/tracker/shop", tracker(secrets=[OTHER_KEY]))
    assert secrets.read("definition/tracker/shop") == {"/secrets/0": OTHER_KEY, "version": 2}


def test_a_secret_that_is_to_be_kept_must_be_there(ask: Ask) -> None:
    assert errors(ask("PUT", "/definitions/tracker/shop", tracker(secrets=[{"secret": True}]))) == {
        "secrets.0": "a value: none is kept here"
    }


def test_a_change_cut_off_after_its_secrets_is_finished_by_putting_it_again(ask: Ask, secrets: Secrets) -> None:
    ask("PUT", "/definitions/tracker/shop", tracker())
    secrets.write("definition/tracker/shop", {"/secrets/0": OTHER_KEY, "version": 2})
    _, again = ask("PUT", "/definitions/tracker/shop", tracker(secrets=[OTHER_KEY]))
    assert (again["version"], again["changed"]) == (2, ["secrets.0"])
    assert ask("PUT", "/definitions/tracker/shop", tracker(secrets=[OTHER_KEY]))[1]["changed"] == []


def test_all_faults_are_told_at_once_without_their_values(ask: Ask) -> None:
    body = integration(url="ftp://hidden-value", foo="hidden-value", method="hidden-value")
    body["auth"] |= {"type": "hidden-value"}
    body["webhook"] = {"secrets": ["hidden-value", 7], "types": {"message.delivered": "hidden-value"}, "id": "hidden value"}
    answer = ask("PUT", "/definitions/integration/postbird", body)
    assert errors(answer).keys() == {
        "url",
        "foo",
        "method",
        "auth",
        "webhook.secrets.1",
        "webhook.types.message.delivered",
        "webhook.id",
    }
    assert errors(answer)["foo"] == "no such field"
    assert "hidden" not in json.dumps(answer)


def test_a_fault_within_an_alternative_is_named_as_written(ask: Ask) -> None:
    body = integration(auth={"type": "oauth2", "token_url": 5, "client_id": "x", "client_secret": ""})
    assert errors(ask("PUT", "/definitions/integration/postbird", body)).keys() == {"auth.token_url"}
    body["auth"]["token_url"] = "https://login.example/token"
    assert errors(ask("PUT", "/definitions/integration/postbird", body)) == {"auth.client_secret": "a secret that is not empty"}


@pytest.mark.parametrize(
    "url",
    ["http://api.postbird.example/x", "https://127.0.0.1/x", "https://169.254.169.254/latest", "https://localhost/x"],
)
def test_addresses_that_may_not_be_called_are_refused(ask: Ask, url: str) -> None:
    assert errors(ask("PUT", "/definitions/integration/postbird", integration(url=url))).keys() == {"url"}
    body = destination()
    body["auth"]["token_url"] = url
    assert errors(ask("PUT", "/definitions/destination/dynamics", body)).keys() == {"auth.token_url"}
    assert errors(ask("PUT", "/definitions/tracker/adobe", journal(url=url))).keys() == {"journal.url"}


def test_the_deployment_may_allow_an_origin(aws: Aws, vendors: Vendors) -> None:
    admin = Admin(settings_of(aws, allowed_origins=("http://127.0.0.1:8025",)), aws.clock, vendors.send)
    body = integration(url="http://127.0.0.1:8025/v1/messages")
    assert admin.answer(request("PUT", "/definitions/integration/postbird", body))["statusCode"] == 200


def test_templates_must_be_liquid(ask: Ask) -> None:
    found = errors(ask("PUT", "/definitions/template/cart", template(html="<p>\n{% nothing %}", subject="{{ profile.")))
    assert found.keys() == {"html", "subject"}
    assert "line 2" in found["html"]
    body = integration(body={"to": [{"email": "{{ to"}], "subject": "{{ message.subject | nothing }}"})
    assert errors(ask("PUT", "/definitions/integration/postbird", body)).keys() == {"body.to.0.email", "body.subject"}


def test_signing_secrets_must_be_keys(ask: Ask) -> None:
    assert errors(ask("PUT", "/definitions/tracker/shop", tracker(secrets=["whsec_short"]))).keys() == {"secrets.0"}


def test_a_destination_must_have_its_queue(ask: Ask) -> None:
    assert errors(ask("PUT", "/definitions/destination/salesforce", destination())) == {
        "name": "a destination of this deployment, which are: dynamics"
    }


def test_a_trigger_refers_to_what_exists(ask: Ask) -> None:
    body = trigger(trackers=["shop"])
    assert errors(ask("PUT", "/definitions/trigger/cart", body)).keys() == {"template", "integration", "trackers.0"}
    assuming = "template/cart,integration/postbird,tracker/shop"
    assert ask("PUT", "/definitions/trigger/cart", body, dry_run="true", assuming=assuming)[0] == 200
    assert ask("PUT", "/definitions/trigger/cart", body, assuming=assuming)[1]["published"] is None


def test_what_is_in_force_at_once_refers_to_what_exists_whatever_is_assumed(ask: Ask) -> None:
    body = {"exempt": ["receipt"]}
    assert ask("PUT", "/definitions/policy/email", body, dry_run="true", assuming="trigger/receipt")[0] == 200
    assert errors(ask("PUT", "/definitions/policy/email", body, assuming="trigger/receipt")).keys() == {"exempt.0"}


def test_what_is_used_is_not_deleted(ask: Ask) -> None:
    ask("PUT", "/definitions/template/cart", template())
    ask("PUT", "/definitions/integration/postbird", integration())
    ask("PUT", "/definitions/trigger/reminder", trigger())
    status, problem = ask("DELETE", "/definitions/template/cart")
    assert status == 409
    assert "'reminder'" in problem["detail"]
    assert ask("DELETE", "/definitions/trigger/reminder")[0] == 200
    assert ask("DELETE", "/definitions/template/cart")[0] == 200


def test_deleting_takes_the_secrets_and_leaves_the_history(ask: Ask, secrets: Secrets) -> None:
    ask("PUT", "/definitions/integration/postbird", integration())
    secrets.write("token/integration/postbird", {"access_token": "t"})
    assert ask("DELETE", "/definitions/integration/postbird")[1]["deleted"] is True
    assert secrets.read("definition/integration/postbird") is None
    assert secrets.read("token/integration/postbird") is None
    assert ask("GET", "/definitions/integration/postbird")[0] == 404
    assert ask("DELETE", "/definitions/integration/postbird")[0] == 404
    _, listed = ask("GET", "/definitions/integration/postbird/versions")
    assert [(row["version"], row.get("deleted", False)) for row in listed["versions"]] == [(2, True), (1, False)]
    _, again = ask("PUT", "/definitions/integration/postbird", integration())
    assert (again["version"], again["created"]) == (3, True)


def test_one_changes_at_a_time(aws: Aws, ask: Ask) -> None:
    other = Leases(aws.dynamodb, aws.table("state"), aws.clock)
    assert other.take("definitions", 30)
    assert ask("PUT", "/definitions/template/cart", template())[0] == 409
    assert ask("DELETE", "/definitions/template/cart")[0] == 409
    other.give_back("definitions")
    assert ask("PUT", "/definitions/template/cart", template())[0] == 200


def test_a_row_that_changed_meanwhile_is_not_overwritten(aws: Aws, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    ask("PUT", "/definitions/template/cart", template())

    def too_late(*_: object) -> list[Any]:
        aws.dynamodb.update_item(
            TableName=aws.table("definitions"),
            Key={"pk": {"S": "draft:template"}, "sk": {"S": "cart"}},
            UpdateExpression="SET version = :v",
            ExpressionAttributeValues={":v": {"N": "7"}},
        )
        return []

    monkeypatch.setattr("admin_api.desk.review", too_late)
    status, problem = ask("PUT", "/definitions/template/cart", template(subject="Mine"))
    assert (status, problem["title"]) == (409, "Conflict")


def test_a_definition_of_an_older_release_can_be_replaced(aws: Aws, ask: Ask) -> None:
    ask("PUT", "/definitions/template/cart", template())
    aws.dynamodb.update_item(
        TableName=aws.table("definitions"),
        Key={"pk": {"S": "draft:template"}, "sk": {"S": "cart"}},
        UpdateExpression="SET body = :b",
        ExpressionAttributeValues={":b": {"S": json.dumps({"name": "cart", "title": "no field of ours"})}},
    )
    _, changed = ask("PUT", "/definitions/template/cart", template())
    assert changed["version"] == 2
    assert "title" in changed["changed"]
