from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from pydantic import JsonValue

from connectors.esps.base import Sent
from connectors.esps.webhooks import ParsedEvents, read_post
from connectors.registry import ESPS
from shared.errors import BadRequest, Misconfigured, Permanent, Unknown
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, rendered, sample_post, sandbox_of, send, summary, told
from tests.contract.sample import filled

KEY = b"secret-of-mailtrap-signing-secret-0123"
GOOD: dict[str, JsonValue] = {"success": True, "message_ids": ["0a-1"]}
BAD: dict[str, JsonValue] = {"success": False, "errors": ["'to' address person2@example.com is invalid"]}


def answer(*responses: JsonValue, status: int = 200) -> Response:
    return Response(status, {}, json.dumps({"success": True, "responses": [*responses]}).encode())


def test_a_batch_is_one_list_of_requests() -> None:
    made = filled("mailtrap")
    messages = [rendered(made, 1), rendered(made, 2)]
    answered, [request] = asked(made, messages, answer(GOOD, {**GOOD, "message_ids": ["0a-2"]}))
    assert [one.esp_message_id for one in answered.outcomes if isinstance(one, Sent)] == ["0a-1", "0a-2"]
    assert request.headers["api-token"] == "secret-of-mailtrap-api-token-0123"
    first, second = json.loads(request.body)["requests"]
    assert (first["to"], second["to"]) == ([{"email": "person1@example.com"}], [{"email": "person2@example.com"}])
    assert first["custom_variables"] == {"message_id": messages[0].id}
    assert first["headers"]["List-Unsubscribe"] == "<https://api.example.com/u/1>"


def test_a_success_that_hides_a_failure_is_one() -> None:
    made = filled("mailtrap")
    answered, _ = asked(made, [rendered(made, 1), rendered(made, 2)], answer(GOOD, BAD))
    taken, refused = answered.outcomes
    assert isinstance(taken, Sent)
    assert isinstance(refused, Permanent)
    assert "person" not in refused.reason


def test_an_answer_that_does_not_fit_says_nothing_of_any() -> None:
    made = filled("mailtrap")
    for response in (answer(GOOD), answer(GOOD, None, GOOD), answer(None, 7), Response(200, {}, b'{"success": true}')):
        answered, _ = asked(made, [rendered(made, 1), rendered(made, 2)], response)
        assert [type(one) for one in answered.outcomes] == [Unknown, Unknown]


def test_a_batch_that_failed_as_a_whole_was_refused() -> None:
    made = filled("mailtrap")
    whole = Response(200, {}, json.dumps(BAD).encode())
    answered, _ = asked(made, [rendered(made, 1), rendered(made, 2)], whole)
    assert [type(one) for one in answered.outcomes] == [Permanent, Permanent]


def test_the_endpoint_for_one_message_is_understood_too() -> None:
    body = filled("mailtrap").model_dump()["body"]["requests"][0]
    made = filled("mailtrap", url="https://send.api.mailtrap.io/api/send", body=body)
    one, other = rendered(made, 1), rendered(made, 2)
    assert ESPS.load("mailtrap").alike(one) != ESPS.load("mailtrap").alike(other)
    answered, [request] = asked(made, [one], Response(200, {}, json.dumps(GOOD).encode()))
    assert answered.outcomes == [Sent("0a-1", 200, 0)]
    assert json.loads(request.body)["to"] == [{"email": "person1@example.com"}]


def test_the_sandbox_takes_the_good_ones_of_a_batch() -> None:
    with sandbox_of("mailtrap") as sandbox:
        made = at_sandbox("mailtrap", sandbox)
        messages = [rendered(made, 1), rendered(made, 2, identifier="nobody"), rendered(made, 3)]
        assert [type(one) for one in send(made, messages).outcomes] == [Sent, Permanent, Sent]
        assert sandbox.ours() == [messages[0].id, messages[2].id]
        sandbox.control("settings", sender_domain="example.net")
        assert [type(one) for one in send(made, messages[:1]).outcomes] == [Misconfigured]


def event(kind: str, **fields: JsonValue) -> dict[str, JsonValue]:
    return {
        "event": kind,
        "event_id": f"id-{kind}",
        "message_id": "0a-1",
        "timestamp": 1795262340,
        "custom_variables": {"message_id": "m_1"},
        **fields,
    }


def signed(body: bytes, key: bytes = KEY) -> dict[str, str]:
    return {"mailtrap-signature": hmac.new(key, body, hashlib.sha256).hexdigest()}


def post(body: bytes) -> ParsedEvents:
    return told("mailtrap", body, signed(body))


EVENTS: list[tuple[str, str, bool]] = [
    ("delivery", "delivered", False),
    ("open", "opened", False),
    ("click", "clicked", False),
    ("bounce", "bounced", True),
    ("soft bounce", "deferred", False),
    ("suspension", "deferred", False),
    ("reject", "failed", False),
    ("spam", "complained", False),
    ("unsubscribe", "unsubscribed", False),
    ("inbound", "other", False),
]


def test_events_in_one_object() -> None:
    parsed = post(json.dumps({"events": [event(kind) for kind, _, _ in EVENTS]}).encode())
    assert summary(parsed) == [("m_1", kind, hard) for _, kind, hard in EVENTS]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\n\n"])
def test_events_in_json_lines(newline: bytes) -> None:
    lines = [json.dumps(event(kind)).encode() for kind, _, _ in EVENTS]
    assert summary(post(newline.join(lines))) == [("m_1", kind, hard) for _, kind, hard in EVENTS]
    assert summary(post(lines[3] + newline)) == [("m_1", "bounced", True)]
    assert (
        post(newline.join(lines)).engagements
        == post(json.dumps({"events": [event(k) for k, _, _ in EVENTS]}).encode()).engagements
    )


def test_a_line_that_is_no_json_is_one_bad_event() -> None:
    body = b"\n".join((json.dumps(event("open")).encode(), b'{"event": "cli', b"\xff\xfe", json.dumps(event("click")).encode()))
    parsed = post(body)
    assert summary(parsed) == [("m_1", "opened", False), ("m_1", "clicked", False)]
    assert [index for index, _, _ in parsed.problems] == [1, 2]


def test_a_bounce_has_its_reason() -> None:
    whole = event("bounce", response="550 no such user", response_code=550)
    [bounce] = post(json.dumps({"events": [whole]}).encode()).engagements
    assert (bounce.code, bounce.reason) == ("550", "550 no such user")


def test_a_post_that_somebody_else_signed_is_refused() -> None:
    body = json.dumps({"events": [event("open")]}).encode()
    for headers, raw in ((signed(body, b"guess"), body), (signed(body), body + b"\n"), ({}, body)):
        with pytest.raises(BadRequest) as refused:
            told("mailtrap", raw, headers)
        assert refused.value.status == 401


def test_the_sample_post_is_a_delivery_and_a_bounce() -> None:
    parsed = read_post(ESPS.load("mailtrap"), filled("mailtrap"), sample_post("mailtrap"), lambda: NOW)
    assert summary(parsed) == [("m_ada", "delivered", False), ("m_grace", "bounced", True)]
