"""An integration's life: saved with credentials that work, tested, published, edited beside what is in force, switched off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.catalogue import Catalogue, Definitions
from shared.definitions import Integration
from shared.errors import Transient
from shared.exchange import Response
from shared.secrets import Secrets
from tests.admin_api.conftest import Ask, Vendors
from tests.admin_api.samples import KEY, OTHER_KEY, PASSWORD, destination, integration, journal, template, trigger
from tests.aws import Aws

ONE = "/definitions/integration/postbird"
OTHER_PASSWORD = "another-long-password"


@pytest.fixture
def secrets(aws: Aws) -> Secrets:
    made = Secrets(aws.secretsmanager, aws.secret_prefix)
    made.write("links", {"key": "k"})
    return made


@pytest.fixture
def catalogue(aws: Aws, secrets: Secrets) -> Catalogue[Integration]:
    """As the functions see it, at once."""
    return Definitions(aws.table("definitions"), aws.dynamodb, aws.clock, 0, secrets).catalogue(Integration)


@pytest.fixture
def published(ask: Ask, secrets: Secrets) -> Ask:
    """A deployment whose integration is in force."""
    put(ask)
    prove(ask)
    return ask


def put(ask: Ask, **changes: Any) -> dict[str, Any]:
    status, answer = ask("PUT", ONE, integration(**changes))
    assert status == 200, answer
    return answer


def prove(ask: Ask) -> dict[str, Any]:
    """Tests what is saved and publishes it."""
    status, tested = ask("POST", f"{ONE}/test", {"profile": {"email": "ada@example.com"}})
    assert (status, tested["proven"]) == (200, True), tested
    status, answer = ask("POST", f"{ONE}/publish")
    assert status == 200, answer
    return answer


def auth(**changes: Any) -> dict[str, Any]:
    return {**integration()["auth"], **changes}


def test_a_draft_is_in_force_nowhere(ask: Ask, catalogue: Catalogue[Integration]) -> None:
    answer = put(ask)
    assert (answer["version"], answer["published"]) == (1, None)
    assert catalogue.get("postbird") is None
    (listed,) = ask("GET", "/definitions", kind="integration")[1]["definitions"]
    assert (listed["version"], listed["published"]) == (1, None)
    assert ask("GET", ONE)[1]["published"] is None


def test_what_was_not_tested_is_not_published(ask: Ask, secrets: Secrets, vendors: Vendors) -> None:
    put(ask)
    status, problem = ask("POST", f"{ONE}/publish")
    assert status == 422
    assert problem["detail"].startswith(
        "version 1 of postbird has not been tested, or its test message was not sent: test it first"
    )
    vendors.answers = [Response(200, {}, b'{"access_token": "t1"}'), Response(400, {}, b"{}")]
    assert ask("POST", f"{ONE}/test", {"profile": {"email": "ada@example.com"}})[1]["proven"] is False
    assert ask("POST", f"{ONE}/publish")[0] == 422


def test_what_was_tested_is_published_once(ask: Ask, catalogue: Catalogue[Integration], aws: Aws) -> None:
    put(ask)
    assert prove(ask) == {"kind": "integration", "name": "postbird", "version": 1, "published": 1}
    found = catalogue.require("postbird")
    assert found.version == 1
    assert secret(catalogue) == PASSWORD
    _, shown = ask("GET", ONE)
    assert (shown["published"], shown["tested_at"], shown["published_at"]) == (
        1,
        "2026-11-21T12:00:00.000Z",
        "2026-11-21T12:00:00.000Z",
    )
    assert shown["published_by"] == "arn:aws:iam::000000000000:user/ci"
    assert ask("GET", ONE, version="1")[1]["published_at"] == "2026-11-21T12:00:00.000Z"
    assert ask("POST", f"{ONE}/publish")[1]["published"] == 1
    assert [row["version"] for row in ask("GET", f"{ONE}/versions")[1]["versions"]] == [1]


def test_there_must_be_something_to_publish(ask: Ask) -> None:
    assert ask("POST", f"{ONE}/publish")[0] == 404
    assert ask("POST", "/definitions/policy/email/publish")[0] == 404
    assert ask("POST", "/definitions/template/cart/test", {})[0] == 404


def test_an_edit_is_a_draft_beside_what_is_in_force(published: Ask, catalogue: Catalogue[Integration]) -> None:
    answer = put(published, url="https://api.postbird.example/v2", auth=auth(client_secret=OTHER_PASSWORD))
    assert (answer["version"], answer["published"], answer["changed"]) == (2, 1, ["url", "auth.client_secret"])
    assert catalogue.require("postbird").version == 1
    assert secret(catalogue) == PASSWORD
    assert published("GET", ONE)[1]["definition"]["url"] == "https://api.postbird.example/v2"
    prove(published)
    now = catalogue.require("postbird")
    assert (now.version, now.definition.url, secret(catalogue)) == (2, "https://api.postbird.example/v2", OTHER_PASSWORD)
    in_flight: Any = catalogue.at("postbird", 1).definition
    assert (in_flight.url[-8:], in_flight.auth.client_secret.get_secret_value()) == ("messages", PASSWORD)


def secret(catalogue: Catalogue[Integration]) -> str:
    found: Any = catalogue.require("postbird").definition.auth
    return str(found.client_secret.get_secret_value())


def test_an_edit_of_a_draft_keeps_its_secrets_and_must_be_tested_anew(published: Ask, secrets: Secrets) -> None:
    put(published, url="https://api.postbird.example/v2", auth=auth(client_secret=OTHER_PASSWORD))
    published("POST", f"{ONE}/test", {"profile": {"email": "ada@example.com"}})
    stored = published("GET", ONE)[1]["definition"]
    published("PUT", ONE, {**stored, "url": "https://api.postbird.example/v3"})
    kept: Any = secrets.read("definition/integration/postbird")
    assert (kept["/auth/client_secret"], kept["draft"]["/auth/client_secret"]) == (PASSWORD, OTHER_PASSWORD)
    assert published("POST", f"{ONE}/publish")[0] == 422


def test_what_makes_no_difference_to_a_test_needs_none(published: Ask, catalogue: Catalogue[Integration]) -> None:
    webhook = {"secrets": [OTHER_KEY, KEY], "types": {"message.opened": "opened"}}
    answer = put(published, description="The shop's", webhook=webhook, limit={"messages": 10}, unknown="retry")
    assert (answer["version"], answer["published"]) == (2, 2)
    found = catalogue.require("postbird").definition
    assert found.webhook is not None
    assert [one.get_secret_value() for one in found.webhook.secrets] == [OTHER_KEY, KEY]


def test_a_tested_draft_stays_tested_if_only_such_things_change(published: Ask) -> None:
    put(published, url="https://api.postbird.example/v2")
    published("POST", f"{ONE}/test", {"profile": {"email": "ada@example.com"}})
    put(published, url="https://api.postbird.example/v2", description="Changed")
    assert published("POST", f"{ONE}/publish")[1]["published"] == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "PUT"},
        {"headers": {"X-A": "1"}},
        {"secret_headers": {"X-Key": "a-key"}},
        {"body": {"to": "{{ to }}"}},
        {"identifier": "phone"},
        {"message_id_path": "other"},
        {"connector": "postmark"},
        {"timeout_seconds": 3},
        {"idempotency_header": "Idempotency-Key"},
        {"secret_values": {"key": "a-key"}},
        {"auth": {"type": "basic", "username": "u", "password": "a-password"}},
    ],
)
def test_what_makes_a_difference_must_be_tested(
    published: Ask, catalogue: Catalogue[Integration], changes: dict[str, Any]
) -> None:
    assert put(published, **changes)["published"] == 1
    assert catalogue.require("postbird").version == 1


def test_a_rotated_client_secret_is_in_force_at_once(published: Ask, vendors: Vendors, catalogue: Catalogue[Integration]) -> None:
    before = len(vendors.asked)
    answer = put(published, auth=auth(client_secret=OTHER_PASSWORD))
    assert (answer["version"], answer["published"]) == (2, 2)
    assert OTHER_PASSWORD.encode() in vendors.asked[before].body
    assert secret(catalogue) == OTHER_PASSWORD
    assert catalogue.at("postbird", 1).definition.auth == catalogue.require("postbird").definition.auth


def test_a_rotated_key_must_be_tested(ask: Ask, secrets: Secrets, catalogue: Catalogue[Integration]) -> None:
    put(ask, auth={"type": "none"}, secret_headers={"X-Key": "first-key"})
    prove(ask)
    assert put(ask, auth={"type": "none"}, secret_headers={"X-Key": "second-key"})["published"] == 1
    assert catalogue.require("postbird").definition.secret_headers["X-Key"].get_secret_value() == "first-key"
    prove(ask)
    assert catalogue.require("postbird").definition.secret_headers["X-Key"].get_secret_value() == "second-key"


def test_switching_it_off_needs_no_test(published: Ask, catalogue: Catalogue[Integration]) -> None:
    assert put(published, enabled=False)["published"] == 2
    assert catalogue.require("postbird").definition.enabled is False
    assert put(published, enabled=True)["published"] == 3


def test_it_is_switched_off_also_while_there_is_a_draft(published: Ask, catalogue: Catalogue[Integration]) -> None:
    new = {"url": "https://api.postbird.example/v2", "auth": auth(client_secret=OTHER_PASSWORD)}
    put(published, **new)
    answer = put(published, **new, enabled=False)
    assert (answer["version"], answer["published"]) == (4, 3)
    now = catalogue.require("postbird")
    assert (now.version, now.definition.enabled, now.definition.url[-8:], secret(catalogue)) == (3, False, "messages", PASSWORD)
    assert published("GET", ONE)[1]["definition"]["url"] == "https://api.postbird.example/v2"
    prove(published)
    assert (catalogue.require("postbird").version, secret(catalogue)) == (4, OTHER_PASSWORD)


def test_a_dry_run_tells_the_same(published: Ask) -> None:
    for changes in ({"method": "PUT"}, {"enabled": False}, {"method": "PUT", "enabled": False}):
        status, dry = published("PUT", ONE, integration(**changes), dry_run="true")
        assert status == 200
        assert dry == put(published, **changes)


def test_a_publication_cut_off_half_way_is_finished(
    published: Ask, secrets: Secrets, catalogue: Catalogue[Integration], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(published, url="https://api.postbird.example/v2", auth=auth(client_secret=OTHER_PASSWORD))
    published("POST", f"{ONE}/test", {"profile": {"email": "ada@example.com"}})
    with monkeypatch.context() as patch:
        patch.setattr("admin_api.store.Store.publish", cut_off)
        with pytest.raises(ConnectionError):
            published("POST", f"{ONE}/publish")
    assert (catalogue.require("postbird").version, secret(catalogue)) == (1, PASSWORD)
    assert published("POST", f"{ONE}/publish")[1]["published"] == 2
    assert (catalogue.require("postbird").version, secret(catalogue)) == (2, OTHER_PASSWORD)
    kept: Any = secrets.read("definition/integration/postbird")
    assert kept["old"]["1"]["/auth/client_secret"] == PASSWORD
    assert "draft" not in kept


def cut_off(*_: object) -> None:
    raise ConnectionError


def test_secrets_of_two_old_versions_are_kept(published: Ask, secrets: Secrets) -> None:
    for number in range(2, 6):
        put(published, url=f"https://api.postbird.example/v{number}", auth=auth(client_secret=f"{OTHER_PASSWORD}-{number}"))
        prove(published)
    kept: Any = secrets.read("definition/integration/postbird")
    assert sorted(kept["old"]) == ["3", "4"]


# ---- credentials


def test_wrong_credentials_are_refused_with_the_vendor_s_own_words(ask: Ask, vendors: Vendors) -> None:
    said = {"error": "invalid_client", "error_description": f"Client ada@example.com with {PASSWORD} is unknown"}
    for path, body, dry in (
        (ONE, integration(), {}),
        (ONE, integration(), {"dry_run": "true"}),
        ("/definitions/destination/dynamics", destination(), {}),
    ):
        vendors.answers = [Response(401, {}, json.dumps(said).encode())]
        status, problem = ask("PUT", path, body, **dry)
        assert (status, problem["field"]) == (422, "auth")
        assert "HTTP 401, invalid_client: Client (address) with (secret) is unknown" in problem["detail"]
        assert PASSWORD not in json.dumps(problem)
        assert ask("GET", path)[0] == 404


def test_the_credentials_of_a_journal_are_tried_too(ask: Ask, vendors: Vendors) -> None:
    vendors.answers = [Response(401, {}, b'{"error": "invalid_client"}')]
    status, problem = ask("PUT", "/definitions/tracker/adobe", journal())
    assert (status, problem["field"]) == (422, "journal.auth")
    assert "invalid_client" in problem["detail"]
    vendors.answers = [Response(503, {}, b"")]
    status, problem = ask("PUT", "/definitions/tracker/adobe", journal())
    assert (status, problem["field"]) == (503, "journal.auth")
    assert ask("GET", "/definitions/tracker/adobe")[0] == 404
    assert ask("PUT", "/definitions/tracker/adobe", journal())[0] == 200


@pytest.mark.parametrize("answer", [Response(503, {}, b""), Response(429, {}, b""), Transient("login.example: no connection")])
def test_credentials_that_cannot_be_tried_are_not_saved(ask: Ask, vendors: Vendors, answer: Response | Transient) -> None:
    vendors.answers = [answer]
    status, problem = ask("PUT", ONE, integration())
    assert (status, problem["title"]) == (503, "Service Unavailable")
    assert problem["detail"].startswith("the credentials could not be tried, so nothing was saved: ")
    assert ask("GET", ONE)[0] == 404
    assert put(ask)["created"] is True


def test_credentials_are_tried_only_when_they_are_new(published: Ask, vendors: Vendors) -> None:
    before = len(vendors.asked)
    put(published, description="Changed")
    put(published, body={"to": "{{ to }}"})
    assert len(vendors.asked) == before
    put(published, auth=auth(scope="send"))
    assert [request.url for request in vendors.asked[before:]] == ["https://api.postbird.example/oauth/token"]


# ---- what refers to it


def test_a_draft_may_be_referred_to_and_is_then_not_deleted(ask: Ask) -> None:
    put(ask)
    ask("PUT", "/definitions/template/cart", template())
    assert ask("PUT", "/definitions/trigger/reminder", trigger())[0] == 200
    status, problem = ask("DELETE", ONE)
    assert (status, problem["detail"]) == (409, "trigger 'reminder' uses this integration: change or delete it first")
    ask("DELETE", "/definitions/trigger/reminder")
    assert ask("DELETE", ONE)[1]["deleted"] is True
    assert ask("GET", ONE)[0] == 404
    assert put(ask)["version"] == 3


def test_a_failover_is_another_integration_of_the_same_channel(ask: Ask) -> None:
    put(ask)
    sms = {"url": "https://sms.example", "channel": "sms", "body": {"to": "{{ to }}"}}
    for name, body, expected in (
        ("texts", {**sms, "failover": "nothing"}, "the name of an integration that exists"),
        ("texts", {**sms, "failover": "postbird"}, "an integration for sms, as this one is"),
        ("postbird", integration(failover="postbird"), "another integration than this one"),
    ):
        status, problem = ask("PUT", f"/definitions/integration/{name}", body)
        assert (status, problem["errors"]) == (422, [{"field": "failover", "expected": expected}])
    assert ask("PUT", "/definitions/integration/second", integration(failover="postbird"))[0] == 200
    assert "integration 'second' uses this" in ask("DELETE", ONE)[1]["detail"]


def test_the_connector_is_one_of_the_registry(ask: Ask) -> None:
    status, problem = ask("PUT", ONE, integration(connector="nobody"))
    assert (status, problem["field"]) == (422, "connector")
    assert "rest" in problem["detail"]


@pytest.mark.parametrize(
    ("channel", "content", "expected"),
    [
        ("sms", {"subject": "s", "html": "h"}, "a template with text, as its integration is for sms"),
        ("email", {"text": "t"}, "a template with subject and html, as its integration is for email"),
        ("email", {"subject": "s", "html": "h", "text": "t"}, ""),
        ("sms", {"text": "t"}, ""),
    ],
)
def test_a_template_has_what_the_channel_needs(ask: Ask, channel: str, content: dict[str, str], expected: str) -> None:
    ask("PUT", "/definitions/template/cart", content)
    ask("PUT", ONE, {"url": "https://esp.example", "channel": channel, "body": {"to": "{{ to }}"}})
    status, problem = ask("PUT", "/definitions/trigger/reminder", trigger())
    assert status == (422 if expected else 200)
    assert problem.get("errors", []) == ([{"field": "template", "expected": expected}] if expected else [])


def test_a_policy_is_a_channel_s_and_exempts_triggers_that_exist(ask: Ask) -> None:
    assert ask("PUT", "/definitions/policy/letters", {})[1]["field"] == "name"
    assert ask("PUT", "/definitions/policy/email", {"exempt": ["receipt"]})[1]["field"] == "exempt.0"
    put(ask)
    ask("PUT", "/definitions/template/cart", template())
    ask("PUT", "/definitions/trigger/receipt", trigger())
    assert ask("PUT", "/definitions/policy/email", {"exempt": ["receipt"]})[0] == 200
    assert "policy 'email' uses this trigger" in ask("DELETE", "/definitions/trigger/receipt")[1]["detail"]


@pytest.mark.parametrize("query", ["api_key=x", "a=1&token=x", "X-Amz-Signature=x", "client-secret=x", "key="])
def test_a_secret_has_no_place_in_a_url(ask: Ask, query: str) -> None:
    status, problem = ask("PUT", ONE, integration(url=f"https://esp.example/send?{query}"))
    assert (status, problem["field"]) == (422, "url")
    assert "secret_headers" in problem["detail"]
    assert ask("PUT", ONE, integration(url="https://esp.example/send?monkey=1&keys=2"))[0] == 200
