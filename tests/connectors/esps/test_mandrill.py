from __future__ import annotations

import json
from urllib.parse import quote_plus

import pytest
from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Outgoing, Sent
from connectors.esps.webhooks import ParsedEvents, read_post
from connectors.registry import ESPS
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Request, Response, run
from tests.connectors.esps.sending import NOW, asked, at_sandbox, looked_up, rendered, sample_post, sandbox_of, send, summary
from tests.contract.esps.mandrill import URL, post, sign
from tests.contract.sample import filled

KEY = "secret-of-mandrill-webhook-key-0123"


def recipient(status: str, reason: str | None = None) -> Response:
    part = {"email": "person1@example.com", "status": status, "_id": "0a1", "reject_reason": reason}
    return Response(200, {}, json.dumps([part]).encode())


def test_the_key_is_in_the_body_and_nowhere_else() -> None:
    made = filled("mandrill")
    answered, [request] = asked(made, [rendered(made)], recipient("queued"))
    assert answered.outcomes == [Sent("0a1", 200, 0)]
    body = json.loads(request.body)
    assert body["key"] == "secret-of-mandrill-api-key-0123"
    assert "secret-of" not in str(request.headers) + request.url
    assert body["message"]["metadata"] == {"message_id": rendered(made).id}
    assert body["message"]["headers"]["List-Unsubscribe"] == "<https://api.example.com/u/1>"


def test_each_message_goes_alone() -> None:
    made, esp = filled("mandrill"), ESPS.load("mandrill")
    assert esp.alike(rendered(made, 1)) != esp.alike(rendered(made, 2))


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        ("rejected", "hard-bounce", Permanent),
        ("rejected", "spam", Permanent),
        ("rejected", "unsub", Permanent),
        ("rejected", "custom", Permanent),
        ("rejected", None, Permanent),
        ("invalid", None, Permanent),
        ("rejected", "invalid-sender", Misconfigured),
        ("rejected", "unsigned", Misconfigured),
        ("rejected", "test-mode-limit", Transient),
        ("new-status", None, Unknown),
    ],
)
def test_a_success_that_hides_a_failure_is_one(status: str, reason: str | None, kind: type[SendbridgeError]) -> None:
    made = filled("mandrill")
    [outcome] = asked(made, [rendered(made)], recipient(status, reason))[0].outcomes
    assert type(outcome) is kind
    assert "person" not in outcome.reason
    assert reason is None or reason in outcome.reason


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Invalid_Key", Misconfigured),
        ("PaymentRequired", Misconfigured),
        ("Unknown_Subaccount", Misconfigured),
        ("Unknown_Template", Misconfigured),
        ("ValidationError", Permanent),
        ("GeneralError", Transient),
        ("SomethingNew", Transient),
    ],
)
def test_http_500_means_what_its_name_says(name: str, kind: type[SendbridgeError]) -> None:
    made = filled("mandrill")
    body = {"status": "error", "code": -1, "name": name, "message": "no person1@example.com"}
    [outcome] = asked(made, [rendered(made)], Response(500, {}, json.dumps(body).encode()))[0].outcomes
    assert type(outcome) is kind
    assert f"HTTP 500 ({name})" in outcome.reason


def test_the_sandbox_and_what_it_refuses() -> None:
    with sandbox_of("mandrill") as sandbox:
        made = at_sandbox("mandrill", sandbox)
        for to, kind in (("dead@example.com", Permanent), ("odd@example.com", Permanent), ("ada@example.com", Sent)):
            [outcome] = send(made, [rendered(made, identifier=to)]).outcomes
            assert type(outcome) is kind
        sandbox.control("settings", sender_domain="example.net")
        assert type(send(made, [rendered(made)]).outcomes[0]) is Misconfigured
        sandbox.control("settings", key="another")
        assert type(send(made, [rendered(made)]).outcomes[0]) is Misconfigured
        assert [one.to for one in sandbox.taken] == ["ada@example.com"]


def search(message: Outgoing, response: Response) -> tuple[Sent | None, Request]:
    requests: list[Request] = []

    def reply(request: Request) -> Response:
        requests.append(request)
        return response

    operation = ESPS.load("mandrill").look_up(filled("mandrill"), message, lambda: NOW)
    assert operation is not None
    return run(operation, reply), requests[0]


def listed(*rows: JsonValue) -> Response:
    return Response(200, {}, json.dumps([*rows]).encode())


def test_a_message_is_searched_for_by_its_recipient_and_our_id() -> None:
    message = rendered(filled("mandrill"))
    other: JsonValue = {"_id": "0a0", "metadata": {"message_id": "m_other"}}
    ours: JsonValue = {"_id": "0a1", "metadata": {"message_id": message.id}}
    found, request = search(message, listed(other, ours))
    assert found == Sent("0a1", 200, 0)
    assert request.url == "https://mandrillapp.com/api/1.0/messages/search.json"
    assert json.loads(request.body)["query"] == "full_email:person1@example.com"
    assert search(message, listed(other, None, {}))[0] is None
    for response, kind in (
        (listed(*[other] * 1000), Unknown),
        (Response(200, {}, b"{}"), Unknown),
        (Response(500, {}, b'{"name": "Invalid_Key"}'), Misconfigured),
        (Response(429), Transient),
    ):
        with pytest.raises(kind):
            search(message, response)


def test_the_sandbox_tells_of_a_message_whose_answer_was_cut_off() -> None:
    with sandbox_of("mandrill") as sandbox:
        made = at_sandbox("mandrill", sandbox)
        cut, never = rendered(made, 1), rendered(made, 2)
        sandbox.control("fail", target="send", mode="cut_after", times=1)
        with pytest.raises(Unknown):
            send(made, [cut])
        found = looked_up(made, cut)
        assert found is not None
        assert [found.esp_message_id] == [one.id for one in sandbox.taken]
        assert looked_up(made, never) is None


def test_what_cannot_be_searched_for_is_not() -> None:
    esp, made = ESPS.load("mandrill"), filled("mandrill")
    bodies: tuple[JsonValue, ...] = (
        {},
        {"message": {"to": [{"email": "x@example.com"}]}},
        {"message": {"metadata": {"message_id": "m_1"}}},
    )
    for body in bodies:
        assert esp.look_up(made, Outgoing("m_1", made.url, body), lambda: NOW) is None


def event(kind: str, **fields: JsonValue) -> dict[str, JsonValue]:
    return {"event": kind, "ts": 1795262340, "_id": "0a1", "msg": {"metadata": {"message_id": "m_1"}}, **fields}


def told(body: bytes, headers: dict[str, str], url: str = URL) -> ParsedEvents:
    return read_post(ESPS.load("mandrill"), filled("mandrill"), Post(headers, body, url), lambda: NOW)


EVENTS = [
    ("send", "sent", False),
    ("delivered", "delivered", False),
    ("deferral", "deferred", False),
    ("hard_bounce", "bounced", True),
    ("soft_bounce", "bounced", False),
    ("open", "opened", False),
    ("click", "clicked", False),
    ("spam", "complained", False),
    ("unsub", "unsubscribed", False),
    ("reject", "failed", False),
]


def test_events() -> None:
    body = post([event(kind) for kind, _, _ in EVENTS])
    assert summary(told(body, sign(KEY, NOW, body))) == [("m_1", kind, hard) for _, kind, hard in EVENTS]


def test_what_is_about_no_message_is_passed_over_and_what_is_bad_is_a_problem() -> None:
    sync: JsonValue = {"type": "blacklist", "action": "add", "ts": 1795262340, "reject": {"email": "x"}}
    body = post([sync, event("open"), event("open", msg={}), event("open", ts=None)])
    parsed = told(body, sign(KEY, NOW, body))
    assert summary(parsed) == [("m_1", "opened", False)]
    assert [index for index, _, _ in parsed.problems] == [1, 2]


def test_by_head_it_only_tries_whether_somebody_answers() -> None:
    parsed = read_post(ESPS.load("mandrill"), filled("mandrill"), Post({}, b"", URL, "HEAD"), lambda: NOW)
    assert (parsed.greeting, parsed.engagements, parsed.problems) == ({}, [], [])


def test_a_signature_counts_the_address_and_every_field() -> None:
    body = post([event("open")])
    right = sign(KEY, NOW, body)
    assert told(body, right).engagements
    refused: list[tuple[bytes, dict[str, str], str]] = [
        (body, right, URL + "?x=1"),
        (body, right, URL.replace("hooks", "other")),
        (body + b"&other=1", right, URL),
        (body.replace(b"open", b"spam"), right, URL),
        (body, sign("guess", NOW, body), URL),
        (body, {}, URL),
        (b"&".join([b"a=1"] * 2000), right, URL),
    ]
    for raw, headers, url in refused:
        with pytest.raises(BadRequest) as error:
            told(raw, headers, url)
        assert error.value.status == 401


def test_fields_are_signed_in_the_order_of_their_names() -> None:
    body = b"zebra=1&" + post([event("open")]) + b"&apple=%C3%A9"
    assert told(body, sign(KEY, NOW, body)).engagements
    events = quote_plus(json.dumps([event("open")]))
    shuffled = f"apple=%C3%A9&mandrill_events={events}&zebra=1".encode()
    assert told(shuffled, sign(KEY, NOW, body)).engagements


def test_a_signature_made_elsewhere() -> None:
    """With openssl: the HMAC-SHA1 under `key` of the address, then `mandrill_events`, then `[]`."""
    made = filled("mandrill", webhook={**filled("mandrill").model_dump()["webhook"], "secrets": ["key"]})
    headers = {"x-mandrill-signature": "OgJljbyW5nRW5XQq+Nu6+lHCZhI="}
    parsed = read_post(ESPS.load("mandrill"), made, Post(headers, b"mandrill_events=%5B%5D", "https://x.example/"), lambda: NOW)
    assert (parsed.engagements, parsed.problems) == ([], [])


def test_the_sample_post_is_an_open_and_a_bounce() -> None:
    parsed = read_post(ESPS.load("mandrill"), filled("mandrill"), sample_post("mandrill"), lambda: NOW)
    assert summary(parsed) == [("m_ada", "opened", False), ("m_grace", "bounced", True)]
    assert (parsed.engagements[1].code, parsed.engagements[1].reason) == ("bad_mailbox", "smtp;550 5.1.1 no such mailbox")
