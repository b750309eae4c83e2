"""An integration tried out: what goes out, what comes back, what we make of it, and that no secret is in any answer."""

from __future__ import annotations

import base64
import json
import sys
from contextlib import closing
from typing import Any

import pytest

from admin_api.app import Admin
from shared.errors import Misconfigured, Transient, Unknown
from shared.exchange import Response
from shared.http import Http
from shared.profiles import Profiles
from shared.secrets import Secrets
from tests.admin_api.conftest import TOKEN, Ask, Vendors, answered_by, settings_of
from tests.admin_api.samples import KEY, PASSWORD, integration, template
from tests.aws import Aws
from tests.sandbox.esp import EspSandbox

ONE = "/definitions/integration/postbird"
ADA = {"profile": {"email": "ada@example.com", "first_name": "Ada"}}


@pytest.fixture(autouse=True)
def _links(aws: Aws) -> None:
    Secrets(aws.secretsmanager, aws.secret_prefix).write("links", {"key": "k"})


def saved(ask: Ask, **changes: Any) -> Ask:
    status, answer = ask("PUT", ONE, integration(**changes))
    assert status == 200, answer
    return ask


def tried(ask: Ask, **trial: Any) -> dict[str, Any]:
    status, answer = ask("POST", f"{ONE}/test", {**ADA, **trial})
    assert status == 200, answer
    assert PASSWORD not in json.dumps(answer)
    assert TOKEN not in json.dumps(answer)
    return answer


def test_a_test_shows_what_went_out_what_came_back_and_what_we_make_of_it(ask: Ask) -> None:
    answer = tried(saved(ask))
    (call,) = answer["calls"]
    request, response = call["request"], call["response"]
    assert (request["method"], request["url"]) == ("POST", "https://api.postbird.example/v1/messages")
    assert request["headers"]["authorization"] == "Bearer (secret)"
    sent = json.loads(request["body"])
    assert sent["to"] == {"email": "ada@example.com"}
    assert sent["subject"] == "A test message"
    assert sent["metadata"]["message_id"] == answer["message_id"]
    assert answer["message_id"].startswith("m_test_")
    assert (response["status"], response["headers"], response["body"]) == (
        202,
        {"content-type": "application/json"},
        '{"id": "pb_1", "status": "accepted"}',
    )
    assert answer["conclusion"] == {"outcome": "sent", "esp_message_id": "pb_1", "reason": ""}
    assert (answer["integration"], answer["version"], answer["proven"]) == ("postbird", 1, True)


def test_each_test_is_a_message_of_its_own(ask: Ask) -> None:
    saved(ask)
    assert tried(ask)["message_id"] != tried(ask)["message_id"]


@pytest.mark.parametrize(
    ("answer", "conclusion"),
    [
        (Response(429, {"retry-after": "7"}, b"{}"), {"outcome": "retry", "retry_after_seconds": 7}),
        (Response(503, {}, b"{}"), {"outcome": "retry"}),
        (Transient("esp.example: no connection"), {"outcome": "retry", "reason": "esp.example: no connection"}),
        (Unknown("esp.example: no answer"), {"outcome": "unknown", "reason": "esp.example: no answer"}),
        (Response(202, {}, b"{}"), {"outcome": "unknown"}),
        (Response(422, {}, b'{"error": {"code": "invalid_to"}}'), {"outcome": "park"}),
        (Response(302, {"location": "https://elsewhere.example"}, b""), {"outcome": "park"}),
        (Response(403, {}, b"{}"), {"outcome": "misconfigured"}),
        (Response(401, {}, b"{}"), {"outcome": "misconfigured", "reason": "the vendor refuses our credentials (HTTP 401)"}),
        (Misconfigured("esp.example is not a public host"), {"outcome": "misconfigured"}),
    ],
)
def test_what_did_not_succeed_says_what_sendbridge_would_do(
    ask: Ask, vendors: Vendors, answer: Response | Exception, conclusion: dict[str, Any]
) -> None:
    saved(ask)
    vendors.answers = [Response(200, {}, json.dumps({"access_token": TOKEN}).encode()), answer]
    found = tried(ask)
    assert found["conclusion"].items() >= conclusion.items()
    assert found["conclusion"]["reason"]
    assert found["proven"] is False
    (call,) = found["calls"]
    assert (call["response"] is None) == isinstance(answer, Exception)
    assert (call["failure"] is None) == isinstance(answer, Response)


def test_a_token_that_cannot_be_had_is_a_conclusion_too(ask: Ask, vendors: Vendors) -> None:
    saved(ask)
    vendors.answers = [Response(401, {}, b'{"error": "invalid_client"}')]
    found = tried(ask)
    assert (found["calls"], found["conclusion"]["outcome"]) == ([], "misconfigured")
    assert "invalid_client" in found["conclusion"]["reason"]


def test_a_test_neither_uses_nor_shares_the_senders_token(ask: Ask, vendors: Vendors, aws: Aws) -> None:
    saved(ask)
    vendors.answers = [Response(200, {}, json.dumps({"access_token": TOKEN, "expires_in": 86_400}).encode())]
    tried(ask)
    assert Secrets(aws.secretsmanager, aws.secret_prefix).read("token/integration/postbird") is None


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "none"},
        {"type": "basic", "username": "shop", "password": PASSWORD},
        {"type": "bearer", "token": PASSWORD},
        {"type": "sigv4", "access_key_id": "A" * 20, "secret_access_key": PASSWORD, "region": "eu-west-1"},
    ],
    ids=lambda auth: str(auth["type"]),
)
def test_no_secret_is_in_any_answer_even_if_the_vendor_repeats_it(ask: Ask, vendors: Vendors, auth: dict[str, str]) -> None:
    key = 'a "key"/with+odd=signs é'
    saved(ask, auth=auth, secret_headers={"X-Key": "header-key"}, secret_values={"key": key})
    pair = base64.b64encode(f"shop:{PASSWORD}".encode()).decode()
    sent = {"basic": {"pair": pair, "password": PASSWORD}, "none": {}}.get(auth["type"], {"password": PASSWORD})
    echo = {**sent, "key": key, "header": "header-key", "b64": base64.b64encode(key.encode()).decode()}
    vendors.answers = [Response(400, {"x-echo": "header-key", "set-cookie": "session=1"}, json.dumps(echo).encode())]
    answer = tried(ask)
    text = json.dumps(answer) + answer["calls"][0]["response"]["body"] + answer["calls"][0]["request"]["body"]
    for secret in (*sent.values(), "header-key", "odd=signs", echo["b64"], KEY, "session=1"):
        assert secret not in text
    request = answer["calls"][0]["request"]
    assert request["headers"]["x-key"] == "(secret)"
    assert json.loads(request["body"])["key"] == "(secret)"
    assert answer["calls"][0]["response"]["headers"] == {"x-echo": "(secret)", "set-cookie": "(secret)"}


def test_a_long_answer_is_cut_and_no_secret_is_left_at_its_end(ask: Ask, vendors: Vendors) -> None:
    saved(ask, auth={"type": "bearer", "token": PASSWORD})
    vendors.answers = [Response(200, {}, b"x" * (65_536 - 5) + PASSWORD.encode() + b"y" * 1000)]
    response = tried(ask)["calls"][0]["response"]
    assert (len(response["body"]), response["cut"], response["bytes"]) == (65_536, True, 65_536 - 5 + len(PASSWORD) + 1000)
    assert PASSWORD[:3] not in response["body"]


# ---- the message


def test_a_template_and_a_visit_make_the_message(ask: Ask) -> None:
    ask("PUT", "/definitions/template/cart", template(html="<p>{{ cart[0].name }} {{ event.name }}</p>"))
    context = {"cart": [{"name": "Lamp"}], "event": {"name": "Product Added"}, "events": []}
    answer = tried(saved(ask), template="cart", context=context)
    assert "Lamp Product Added" in json.loads(answer["calls"][0]["request"]["body"])["html"]
    assert answer["proven"] is True


def test_a_stored_profile_is_written_to(ask: Ask, aws: Aws) -> None:
    profiles = Profiles(aws.dynamodb, aws.table("profiles"))
    stored = profiles.upsert([("email", "grace@example.com")], {"email": "grace@example.com"}, aws.clock())
    answer = tried(saved(ask), profile=None, profile_id=stored)
    assert json.loads(answer["calls"][0]["request"]["body"])["to"] == {"email": "grace@example.com"}


def test_a_made_up_message_is_sent_as_it_is(ask: Ask) -> None:
    message = {"subject": "{{ profile.first_name }}!", "html": "<b>bold</b>", "text": "plain"}
    sent = json.loads(tried(saved(ask), message=message)["calls"][0]["request"]["body"])
    assert sent["subject"] == "Ada!"
    assert "<b>bold</b>" in sent["html"]


def test_a_typed_body_is_tried_and_proves_nothing(ask: Ask) -> None:
    answer = tried(saved(ask), body={"to": "{{ to }}", "n": 5})
    assert json.loads(answer["calls"][0]["request"]["body"]) == {"to": "ada@example.com", "n": 5}
    assert (answer["conclusion"]["outcome"], answer["proven"]) == ("sent", False)
    assert ask("POST", f"{ONE}/publish")[0] == 422


def test_what_is_not_saved_yet_is_tried_with_the_secrets_that_are_kept(ask: Ask, vendors: Vendors) -> None:
    saved(ask)
    unsaved = ask("GET", ONE)[1]["definition"] | {"url": "https://api.postbird.example/v2"}
    answer = tried(ask, integration=unsaved)
    assert answer["calls"][0]["request"]["url"] == "https://api.postbird.example/v2"
    assert PASSWORD.encode() in vendors.asked[-2].body
    assert (answer["version"], answer["proven"]) == (None, False)
    new = integration(auth={"type": "none"}, webhook=None)
    status, first = ask("POST", "/definitions/integration/brand-new/test", {**ADA, "integration": new})
    assert (status, first["conclusion"]["outcome"]) == (200, "sent")
    assert ask("GET", "/definitions/integration/brand-new")[0] == 404


def test_a_text_message_is_tried_by_its_text(ask: Ask) -> None:
    body = {"To": "{{ to }}", "Body": "{{ message.text }}"}
    saved(ask, channel="sms", auth={"type": "none"}, body=body, identifier="phone")
    answer = tried(ask, profile={"phone": "+491701234567"})
    sent = json.loads(answer["calls"][0]["request"]["body"])
    assert sent == {"To": "+491701234567", "Body": "This is a test message of Sendbridge."}


def test_a_made_up_profile_is_taken_as_it_is(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)  # as in the function's zip
    saved(ask, auth={"type": "none"}, body={"to": "{{ identifier }}"}, identifier="customer_id")
    answer = tried(ask, profile={"phone": "0170 1234567", "country": "DE"}, identifiers={"customer_id": "42"})
    assert json.loads(answer["calls"][0]["request"]["body"]) == {"to": "42"}


def test_a_message_that_cannot_be_rendered_is_not_sent(ask: Ask, vendors: Vendors) -> None:
    ask("PUT", "/definitions/template/cart", template(subject="{{ profile.shoe_size }}"))
    saved(ask)
    answer = tried(ask, template="cart")
    assert (answer["calls"], answer["conclusion"]["outcome"]) == ([], "park")
    assert "shoe_size" in answer["conclusion"]["reason"]


def test_somebody_edits_it_while_it_is_tested(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(ask, auth={"type": "none"})

    def edited_meanwhile(*_: object) -> Response:
        saved(ask, auth={"type": "none"}, method="PUT")
        return Response(202, {}, b'{"id": "pb_1"}')

    monkeypatch.setattr("admin_api.app.Admin._send", edited_meanwhile)
    answer = tried(ask)
    assert (answer["conclusion"]["outcome"], answer["proven"]) == ("sent", False)
    assert ask("POST", f"{ONE}/publish")[0] == 422


# ---- previews


def listed(answer: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    return {line["name"]: (line["source"], line["value"]) for line in answer["variables"]}


def test_a_preview_calls_nobody(ask: Ask, vendors: Vendors) -> None:
    saved(ask)
    before = len(vendors.asked)
    answer = tried(ask, preview=True)
    assert len(vendors.asked) == before
    assert answer["request"]["headers"]["authorization"] == "Bearer (secret)"
    assert json.loads(answer["request"]["body"])["to"] == {"email": "ada@example.com"}
    assert (answer["error"], "calls" in answer, "proven" in answer) == (None, False, False)
    assert ask("POST", f"{ONE}/publish")[0] == 422


def test_a_preview_lists_all_variables_and_where_they_come_from(ask: Ask) -> None:
    html = "{{ profile.first_name }} {{ profile.city }} {% for item in cart %}{{ item.name }}{% endfor %} {{ event.name }}"
    ask("PUT", "/definitions/template/cart", template(html=html, defaults={"profile": {"city": "Berlin"}}))
    context = {"cart": [{"name": "Lamp"}, {"name": "Bulb"}], "event": {"name": "Product Added"}}
    found = listed(tried(saved(ask), preview=True, template="cart", context=context))
    assert found["profile.first_name"] == ("profile", "Ada")
    assert found["profile.city"] == ("default", "Berlin")
    assert found["cart[].name"] == ("cart", ["Lamp", "Bulb"])
    assert found["event.name"] == ("event", "Product Added")
    assert found["to"] == ("profile", "ada@example.com")
    assert found["message.id"][0] == "message"
    assert found["message.subject"][0] == "message"


def test_a_preview_names_every_variable_that_is_missing(ask: Ask) -> None:
    html = "{{ profile.a }} {{ profile.b }} {{ profile.c | default: 'x' }}"
    ask("PUT", "/definitions/template/cart", template(html=html))
    answer = tried(saved(ask), preview=True, template="cart", profile={})
    assert answer["request"] is None
    assert answer["error"].endswith("without a value and a default: profile.a, profile.b, to")
    assert listed(answer)["profile.a"] == ("missing", None)
    assert listed(answer)["profile.c"] == ("missing", None)


# ---- bad input


@pytest.mark.parametrize(
    ("trial", "status", "field"),
    [
        ({"profile_id": "nobody"}, 422, "profile_id"),
        ({"profile_id": "x" * 300}, 422, "profile_id"),
        ({"profile_id": "a", "profile": {}}, 422, "profile_id"),
        ({"template": "nothing"}, 422, "template"),
        ({"template": "a", "message": {}}, 422, "template"),
        ({"template": "No Name"}, 422, "template"),
        ({"body": "text"}, 422, "body"),
        ({"preview": "maybe"}, 422, "preview"),
        ({"context": {"cart": 5}}, 422, "context.cart"),
        ({"context": {"other": 5}}, 422, "context.other"),
        ({"nothing": 1}, 422, "nothing"),
        ({"integration": {"url": "https://esp.example"}}, 422, "body"),
        ({"integration": {"url": "http://169.254.169.254/latest", "body": {}}}, 422, "url"),
        ({"integration": {"url": "https://user:hidden@esp.example/", "body": {}}}, 422, "url"),
        ({"integration": {"url": "https://esp.example/?api_key=hidden", "body": {}}}, 422, "url"),
        (
            {"integration": {"url": "https://esp.example", "body": {}, "secret_headers": {"X": {"secret": True}}}},
            422,
            "secret_headers.X",
        ),
        ([], 422, "body"),
        ("{", 400, "body"),
        ("x" * 1_000_000, 413, "body"),
    ],
    ids=str,
)
def test_a_bad_trial_is_refused(ask: Ask, trial: Any, status: int, field: str) -> None:
    saved(ask)
    answered, problem = ask("POST", f"{ONE}/test", trial)
    assert (answered, problem["field"]) == (status, field)
    assert "hidden" not in json.dumps(problem)


def test_what_is_not_there_cannot_be_tried(ask: Ask) -> None:
    assert ask("POST", f"{ONE}/test", ADA)[0] == 404


# ---- a real vendor


def test_on_a_sandbox(aws: Aws) -> None:
    with EspSandbox.run() as esp, closing(Http((esp.url,))) as http:
        ask = answered_by(Admin(settings_of(aws, allowed_origins=(esp.url,)), aws.clock, http.send))
        auth = {
            "type": "oauth2",
            "token_url": f"{esp.url}/oauth/token",
            "client_id": esp.settings.client_id,
            "client_secret": "wrong-secret",
        }
        status, problem = ask("PUT", ONE, integration(url=f"{esp.url}/v1/messages", auth=auth))
        assert (status, problem["field"]) == (422, "auth")
        assert "invalid_client" in problem["detail"]
        right = {**auth, "client_secret": esp.settings.client_secret}
        saved(ask, url=f"{esp.url}/v1/messages", auth=right)
        answer = tried(ask)
        assert answer["proven"] is True
        assert [taken.id for taken in esp.inbox("ada@example.com")] == [answer["conclusion"]["esp_message_id"]]
        assert 0 <= answer["calls"][0]["milliseconds"] < 5000
        refused = tried(ask, body={"to": {"email": "{{ to }}"}})
        assert refused["conclusion"]["outcome"] == "park"
        assert json.loads(refused["calls"][0]["response"]["body"])["error"]["field"] == "from"
