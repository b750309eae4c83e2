from __future__ import annotations

import json

import pytest
from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Sent
from connectors.esps.webhooks import ParsedEvents, read_post
from connectors.registry import ESPS
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Unknown
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, rendered, sample_post, sandbox_of, send, summary, told
from tests.contract.esps.postal import event, public, sign
from tests.contract.sample import filled, keyed

KEY = "the installation's own"
PUBLIC = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1B5qwmGVoBSvZ7c35GWo8VPAX0ML+RXzcQhhBOAJsHIlk9rkb53STbs8tj73fXzz/j"
    "JbEipyNMrU9PmOl8EKsGGfvPOUN1oEkH1CZ6P6JrmtQd1lVQce1hinMfH9Lr+ADRUho2NZHxHlIpZuXABNC9osyaLopzOkYetmdDhOfJbVE2Os"
    "WE4i+0Zgz+km5WShb9L4d3FxEYts+ZMWxLoGLMrIhfSmHoAG1gi67oNzQe/yTYFoMrqATLNWu6NiISmz2KFX0vQioIuiLq5eoc/kl1vp1ajYy2"
    "NxxZJ7PkKMJSxjwO/G+G1zvHhTsErA47mqYEwnZMKblXaDMTD0lQS0owIDAQAB"
)
"""Of the key that signed the sample post. It is gone."""
ELLIPTIC = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZHf6yqvTnhLTD71J4mz/pB/V3x8B1Egms7T3tRnDAEUr8oVeoKkLG83u1lVVEinzlBI4C0Ld6m7XGrpAkfN7Rg=="
)


def answer(status: str, **data: JsonValue) -> Response:
    return Response(200, {}, json.dumps({"status": status, "time": 0.02, "flags": {}, "data": data}).encode())


def test_our_id_travels_as_the_tag() -> None:
    made = filled("postal")
    messages: JsonValue = {"person1@example.com": {"id": 7, "token": "x"}}
    taken = answer("success", message_id="0a@rp.example.com", messages=messages)
    answered, [request] = asked(made, [rendered(made)], taken)
    assert answered.outcomes == [Sent("0a@rp.example.com", 200, 0)]
    assert request.headers["x-server-api-key"] == "secret-of-postal-api-key-0123"
    body = json.loads(request.body)
    assert body["tag"] == rendered(made).id
    assert body["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidServerAPIKey", Misconfigured),
        ("AccessDenied", Misconfigured),
        ("ServerSuspended", Misconfigured),
        ("UnauthenticatedFromAddress", Misconfigured),
        ("FromAddressMissing", Misconfigured),
        ("NoRecipients", Permanent),
        ("NoContent", Permanent),
        ("SomethingNew", Permanent),
    ],
)
def test_http_200_means_what_its_code_says(code: str, kind: type[SendbridgeError]) -> None:
    made = filled("postal")
    refused = answer("error", code=code, message="no person1@example.com", token="secret-of-postal-api-key-0123")
    [outcome] = asked(made, [rendered(made)], refused)[0].outcomes
    assert type(outcome) is kind
    assert f"HTTP 200 ({code}, error)" in outcome.reason
    assert "person" not in outcome.reason


def test_other_answers() -> None:
    made = filled("postal")
    for response, kind in (
        (answer("parameter-error", message="no person1@example.com"), Permanent),
        (answer("success"), Unknown),
        (Response(200, {}, b"<html>"), Unknown),
        (Response(401, {}, json.dumps({"data": {"code": "AccessDenied"}}).encode()), Misconfigured),
    ):
        assert type(asked(made, [rendered(made)], response)[0].outcomes[0]) is kind


def test_the_sandbox_and_what_it_refuses() -> None:
    with sandbox_of("postal") as sandbox:
        made = at_sandbox("postal", sandbox)
        assert type(send(made, [rendered(made, identifier="nobody")]).outcomes[0]) is Permanent
        sandbox.control("settings", sender_domain="example.net")
        assert type(send(made, [rendered(made)]).outcomes[0]) is Misconfigured
        sandbox.control("settings", suspended=True)
        assert type(send(made, [rendered(made)]).outcomes[0]) is Misconfigured
        assert sandbox.taken == []


def post(one: object, key: str = KEY) -> ParsedEvents:
    body = json.dumps(one).encode()
    return told("postal", body, sign(key, NOW, body), changes={"webhook": keyed("postal", [public(KEY)])})


BOUNCE = event(
    {
        "message": None,
        "original_message": {"id": 7, "direction": "outgoing", "to": "x", "tag": "m_1"},
        "bounce": {"id": 8, "direction": "incoming", "tag": None},
    },
    event="MessageDelayed",
)
EVENTS: list[tuple[dict[str, JsonValue], str, bool]] = [
    (event({"status": "Sent"}), "delivered", False),
    (event({"status": "SoftFail"}, event="MessageDelayed"), "deferred", False),
    (event({"status": "HardFail"}, event="MessageDeliveryFailed"), "bounced", True),
    (event({"status": "Held"}, event="MessageHeld"), "other", False),
    (event({"url": "https://shop.example.com/cart"}, event="MessageLinkClicked"), "clicked", False),
    (event({"url": "https://shop.example.com/cart"}, event=None), "clicked", False),
    (event({"ip_address": "192.0.2.7"}, event="MessageLoaded"), "opened", False),
    (event({"ip_address": "192.0.2.7"}, event=None), "opened", False),
    (BOUNCE, "bounced", False),
]


@pytest.mark.parametrize(("one", "kind", "hard"), EVENTS)
def test_events_are_told_by_what_they_hold(one: dict[str, JsonValue], kind: str, hard: bool) -> None:
    assert summary(post(one)) == [("m_1", kind, hard)]


def test_what_an_event_says_besides() -> None:
    [click] = post(EVENTS[4][0]).engagements
    [bounce] = post(event({"status": "HardFail", "output": "550 no such user"})).engagements
    assert click.url == "https://shop.example.com/cart"
    assert (bounce.code, bounce.reason) == ("HardFail", "550 no such user")


def test_what_is_about_no_message_of_ours_is_passed_over() -> None:
    incoming = event({"message": {"direction": "incoming", "tag": None}, "status": "HardFail"})
    for one in (incoming, {"event": "DomainDNSError", "timestamp": 1795262340.0, "payload": {"domain": "x"}}):
        parsed = post(one)
        assert (parsed.engagements, parsed.problems) == ([], [])
    assert len(post(event({"message": {"direction": "outgoing", "tag": None}, "status": "Sent"})).problems) == 1


def test_a_post_that_another_key_signed_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        post(EVENTS[0][0], "a stranger's")
    assert refused.value.status == 401


def test_a_signature_in_another_spelling_is_refused() -> None:
    body = json.dumps(EVENTS[0][0]).encode()
    right = sign(KEY, NOW, body)["x-postal-signature"]
    for given in (right + "\n", right.rstrip("="), right[:-3] + chr(ord(right[-3]) + 1) + "==", "\ud800", "é"):
        with pytest.raises(BadRequest) as refused:
            told("postal", body, {"x-postal-signature": given}, changes={"webhook": keyed("postal", [public(KEY)])})
        assert refused.value.status == 401


def test_what_is_no_public_key_is_a_persons_mistake() -> None:
    for key in ("no key at all", "AAAA", ELLIPTIC):
        with pytest.raises(Misconfigured):
            told("postal", b"{}", {"x-postal-signature": "AAAA"}, changes={"webhook": keyed("postal", [key])})


def test_the_sample_post_is_a_hard_bounce() -> None:
    made = filled("postal", webhook=keyed("postal", [PUBLIC]))
    parsed = read_post(ESPS.load("postal"), made, sample_post("postal"), lambda: NOW)
    assert summary(parsed) == [("m_grace", "bounced", True)]
    altered = Post(sample_post("postal").headers, sample_post("postal").body + b" ")
    with pytest.raises(BadRequest):
        read_post(ESPS.load("postal"), made, altered, lambda: NOW)
