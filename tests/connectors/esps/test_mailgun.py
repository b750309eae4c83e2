from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qs

import pytest
from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Outgoing, Sent
from connectors.esps.mailgun import CONNECTOR, Mailgun
from connectors.esps.webhooks import ParsedEvents, read_post
from shared.definitions import Integration
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, rendered, sample_post, sandbox_of, send, summary
from tests.contract.sample import filled
from tests.sandbox.esps.mailgun import signature

KEY = "secret-of-mailgun-signing-key-0123"
TAKEN = Response(200, {}, b'{"id": "<1@x>", "message": "Queued. Thank you."}')


def same(made: Integration, number: int, to: str = "") -> Outgoing:
    """A message of which only what each recipient has for itself differs."""
    own: JsonValue = {"id": f"m_{number}", "subject": "Your cart", "html": "<p>waits</p>", "text": ""}
    return rendered(made, number, message=own, **({"identifier": to} if to else {}))


def test_a_message_is_a_form_without_empty_fields() -> None:
    made = filled("mailgun")
    _, [request] = asked(made, [same(made, 1)], TAKEN)
    fields = parse_qs(request.body.decode(), strict_parsing=True)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.url == "https://api.mailgun.net/v3/mailgun-domain/messages"
    assert fields == {
        "from": ["shop@example.com"],
        "to": ["person1@example.com"],
        "subject": ["Your cart"],
        "html": ["<p>waits</p>"],
        "h:List-Unsubscribe": ["<https://api.example.com/u/1>"],
        "h:List-Unsubscribe-Post": ["List-Unsubscribe=One-Click"],
        "v:message_id": ["m_1"],
    }


def test_only_equal_content_goes_together() -> None:
    made = filled("mailgun")
    assert CONNECTOR.alike(same(made, 1)) == CONNECTOR.alike(same(made, 2))
    assert CONNECTOR.alike(rendered(made, 1)) != CONNECTOR.alike(rendered(made, 2))
    for to in ("Ada <ada@example.com>", "a@example.com,b@example.com"):
        assert CONNECTOR.alike(same(made, 1, to)) == "m_" + f"{1:032x}"


def test_each_recipient_of_a_batch_sees_itself_only_and_has_its_own_id_and_headers() -> None:
    with sandbox_of("mailgun") as sandbox:
        made = at_sandbox("mailgun", sandbox)
        messages = [same(made, number) for number in range(1, 6)]
        outcomes = send(made, messages).outcomes
        assert all(isinstance(one, Sent) for one in outcomes)
        assert sandbox.requests == 1
        assert sandbox.ours() == [f"m_{number}" for number in range(1, 6)]
        assert [taken.to for taken in sandbox.taken] == [f"person{number}@example.com" for number in range(1, 6)]
        assert sandbox.taken[4].content["h:List-Unsubscribe"] == "<https://api.example.com/u/5>"
        assert sandbox.taken[4].content["h:List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_a_second_message_to_the_same_address_waits_for_the_next_request() -> None:
    with sandbox_of("mailgun") as sandbox:
        made = at_sandbox("mailgun", sandbox)
        messages = [same(made, 1, "ada@example.com"), same(made, 2), same(made, 3, "ada@example.com")]
        outcomes = send(made, messages).outcomes
        assert [type(one) for one in outcomes] == [Sent, Sent, Transient]
        assert sandbox.ours() == ["m_1", "m_2"]


def test_one_bad_address_does_not_cost_the_others_of_its_request() -> None:
    with sandbox_of("mailgun") as sandbox:
        made = at_sandbox("mailgun", sandbox)
        outcomes = send(made, [same(made, n, "nobody" if n == 4 else "") for n in range(1, 9)]).outcomes
        assert [type(one) for one in outcomes] == [Sent] * 3 + [Permanent] + [Sent] * 4
        assert sorted(sandbox.ours()) == ["m_1", "m_2", "m_3", "m_5", "m_6", "m_7", "m_8"]


@pytest.mark.parametrize(
    ("status", "sentence", "kind", "wait"),
    [
        (400, "to parameter is not a valid address. please check documentation", Permanent, None),
        (400, "from parameter is not a valid address. please check documentation", Misconfigured, None),
        (400, "'from' parameter is not a valid address", Misconfigured, None),
        (402, "Please pay", Misconfigured, None),
        (403, "Domain x.example is unverified and requires DNS configuration", Misconfigured, None),
        (400, "Domain x.example is not allowed to send: disabled", Misconfigured, None),
        (404, "Domain not found: x.example", Misconfigured, None),
        (
            429,
            "Domain x is not allowed to send: request limit exceeded, try again after Sat, 21 Nov 2026 12:00:40 UTC",
            Transient,
            40,
        ),
        (429, "Domain x is not allowed to send: recipient limit exceeded", Transient, None),
        (500, "", Transient, None),
    ],
)
def test_refusals(status: int, sentence: str, kind: type[SendbridgeError], wait: float | None) -> None:
    made = filled("mailgun")
    [outcome] = asked(made, [rendered(made)], Response(status, {}, json.dumps({"message": sentence}).encode()))[0].outcomes
    assert type(outcome) is kind
    assert getattr(outcome, "retry_after", None) == wait
    assert not sentence or sentence not in outcome.reason


def test_a_wrong_address_that_is_answered_with_200_is_told() -> None:
    made = filled("mailgun")
    [outcome] = asked(made, [rendered(made)], Response(200, {}, b"Mailgun Magnificent API"))[0].outcomes
    assert isinstance(outcome, Misconfigured)


def test_the_sandbox_refuses_what_mailgun_refuses() -> None:
    with sandbox_of("mailgun") as sandbox:
        made = at_sandbox("mailgun", sandbox)
        sandbox.control("settings", verified=False)
        assert isinstance(send(made, [rendered(made)]).outcomes[0], Misconfigured)
        sandbox.control("settings", domain="another.example")
        assert isinstance(send(made, [rendered(made)]).outcomes[0], Misconfigured)
        sandbox.control("reset")
        sandbox.control("settings", requests=0)
        [outcome] = send(made, [rendered(made)]).outcomes
        assert isinstance(outcome, Transient)
        assert 0 < (outcome.retry_after or 0) <= 60


def event(kind: str, **more: JsonValue) -> dict[str, JsonValue]:
    value: dict[str, JsonValue] = {
        "event": kind,
        "id": f"{kind}-{len(more)}",
        "timestamp": 1795262340.123,
        "recipient": "ada@example.com",
    }
    return {**value, "user-variables": {"message_id": "m_1"}, **more}


def read(
    one: JsonValue,
    signed: Mapping[str, str] | None = None,
    now: datetime = NOW,
    esp: Mailgun | None = None,
    name: str = "signature",
) -> ParsedEvents:
    sign = signature(KEY, int(NOW.timestamp()), "t" * 50) if signed is None else signed
    body = json.dumps({name: sign, "event-data": one}).encode()
    return read_post(esp or Mailgun(), filled("mailgun"), Post({}, body), lambda: now)


HUMAN: JsonValue = {"bot": "", "client-type": "browser"}
APPLE: JsonValue = {"bot": "apple", "client-type": "browser"}
EVENTS: list[tuple[dict[str, JsonValue], str, bool]] = [
    (event("accepted"), "other", False),
    (event("delivered"), "delivered", False),
    (event("rejected"), "failed", False),
    (event("failed", severity="temporary", reason="generic"), "deferred", False),
    (event("failed", severity="permanent", reason="bounce"), "bounced", True),
    (event("failed", severity="permanent", reason="suppress-bounce"), "bounced", True),
    (event("failed", severity="permanent", reason="generic"), "bounced", False),
    (event("failed", severity="permanent", reason="old"), "failed", False),
    (event("failed", severity="permanent", reason="suppress-complaint"), "failed", False),
    (event("failed", severity="permanent", reason="suppress-unsubscribe"), "failed", False),
    (event("opened"), "opened", False),
    (event("opened", **{"client-info": HUMAN}), "opened", False),
    (event("opened", **{"client-info": APPLE}), "other", False),
    (event("clicked", url="https://shop.example.com/cart"), "clicked", False),
    (event("clicked", **{"client-info": APPLE}), "other", False),
    (event("complained"), "complained", False),
    (event("unsubscribed"), "unsubscribed", False),
]


@pytest.mark.parametrize(("one", "kind", "hard"), EVENTS)
def test_events(one: dict[str, JsonValue], kind: str, hard: bool) -> None:
    assert summary(read(one)) == [("m_1", kind, hard)]


def test_a_failure_has_its_code_and_reason() -> None:
    status: JsonValue = {"code": 550, "message": "5.1.1 no such user"}
    [bounce] = read(event("failed", severity="permanent", reason="bounce", **{"delivery-status": status})).engagements
    assert (bounce.code, bounce.reason) == ("550", "5.1.1 no such user")


def refused(*arguments: object, **named: object) -> None:
    with pytest.raises(BadRequest) as refusal:
        read(*arguments, **named)  # type: ignore[arg-type]
    assert refusal.value.status == 401


def test_only_what_is_signed_is_taken() -> None:
    right = signature(KEY, int(NOW.timestamp()), "t" * 50)
    for name, value in right.items():
        for other in ("", "x", value[:-1] + ("1" if value[-1] != "1" else "2"), "\u00e9"):
            refused(event("opened"), {**right, name: other})
        refused(event("opened"), {key: text for key, text in right.items() if key != name})
    refused(event("opened"), signature("another key", int(NOW.timestamp()), "t" * 50))
    refused(event("opened"), signature(KEY, int(NOW.timestamp()), ""))
    refused(event("opened"), {})


def test_a_repetition_within_8_hours_is_taken_and_an_old_post_is_not() -> None:
    assert read(event("opened"), now=NOW + timedelta(hours=8)).engagements
    refused(event("opened"), now=NOW + timedelta(hours=10))
    refused(event("opened"), now=NOW - timedelta(hours=10))


def test_a_token_is_good_for_one_event() -> None:
    esp = Mailgun()
    first = read(event("opened"), esp=esp)
    assert read(event("opened"), esp=esp).engagements == first.engagements
    refused(event("complained"), esp=esp)


def test_a_parent_accounts_signature_is_taken_with_its_own_time() -> None:
    then = int((NOW - timedelta(days=2)).timestamp())
    assert read(event("opened"), name="parent-signature").engagements
    refused(event("opened"), signature(KEY, then, "t" * 50), name="parent-signature")
    fresh_but_unsigned = {"timestamp": str(int(NOW.timestamp())), "token": "t", "signature": "x"}
    body = {"signature": fresh_but_unsigned, "parent-signature": signature(KEY, then, "t" * 50), "event-data": event("opened")}
    with pytest.raises(BadRequest):
        read_post(Mailgun(), filled("mailgun"), Post({}, json.dumps(body).encode()), lambda: NOW)


@pytest.mark.parametrize("one", [None, 7, [], {}, event("opened", timestamp=None), event("opened", **{"user-variables": []})])
def test_a_bad_event_is_a_problem(one: JsonValue) -> None:
    parsed = read(one)
    assert (len(parsed.engagements), len(parsed.problems)) == (0, 1)


def test_the_sample_post_is_a_hard_bounce() -> None:
    parsed = read_post(Mailgun(), filled("mailgun"), sample_post("mailgun"), lambda: NOW)
    assert summary(parsed) == [("m_grace", "bounced", True)]
