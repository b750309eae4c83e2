from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Sent
from connectors.esps.sendgrid import CONNECTOR
from shared.definitions import Integration
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, rendered, sample_post, sandbox_of, send, summary, told
from tests.contract.sample import filled
from tests.sandbox.esps.sendgrid import new_key, shown, signed

SAMPLE_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+hq+as1ah7AFzDEw7Vb2HUJp05hdb4Gzo2p2Y/VMHDcaL9JMmcedtUcbw5HdZ0h+WvLhlXEMQFpfQm4oq4TKlQ=="
)
"""Signed the sample post."""
KEY, OLD, OTHER = new_key(), new_key(), new_key()
WEBHOOK: dict[str, JsonValue] = {
    "webhook": {**filled("sendgrid").model_dump()["webhook"], "secrets": [shown(KEY), shown(OLD)]},
}
TEMPLATE: dict[str, JsonValue] = {
    "body": {
        "personalizations": [
            {
                "to": [{"email": "{{ identifier }}"}],
                "dynamic_template_data": {"name": "{{ message.text }}"},
                "custom_args": {"message_id": "{{ message.id }}"},
            }
        ],
        "from": {"email": "shop@example.com"},
        "template_id": "d-cart",
    }
}


def events(*several: JsonValue) -> list[tuple[str, str, bool]]:
    body = json.dumps([*several]).encode()
    return summary(told("sendgrid", body, signed(KEY, int(NOW.timestamp()), body), changes=WEBHOOK))


def test_a_message_without_text_has_only_its_html() -> None:
    made = filled("sendgrid")
    message = rendered(made, message={"id": "m_1", "subject": "s", "html": "<p>x</p>", "text": ""})
    _, [request] = asked(made, [message], Response(202, {"x-message-id": "a"}))
    assert json.loads(request.body)["content"] == [{"type": "text/html", "value": "<p>x</p>"}]


def test_messages_of_one_template_are_alike_and_of_other_content_are_not() -> None:
    made = filled("sendgrid")
    assert CONNECTOR.alike(rendered(made, 1)) != CONNECTOR.alike(rendered(made, 2))
    with sandbox_of("sendgrid") as sandbox:
        made = at_sandbox("sendgrid", sandbox, **TEMPLATE)
        messages = [rendered(made, number) for number in range(1, 41)]
        assert len({CONNECTOR.alike(message) for message in messages}) == 1
        outcomes = send(made, messages).outcomes
        assert {one.esp_message_id for one in outcomes if isinstance(one, Sent)} == {sandbox.taken[0].id}
        assert sandbox.ours() == [message.id for message in messages]
        assert sandbox.requests == 1


def test_one_bad_address_does_not_cost_the_others_of_its_request() -> None:
    with sandbox_of("sendgrid") as sandbox:
        made = at_sandbox("sendgrid", sandbox, **TEMPLATE)
        messages = [rendered(made, n, **({"identifier": "nobody"} if n in (3, 14) else {})) for n in range(1, 17)]
        outcomes = send(made, messages).outcomes
        bad = [messages[index].id for index, one in enumerate(outcomes) if not isinstance(one, Sent)]
        assert bad == [messages[2].id, messages[13].id]
        assert sorted(sandbox.ours()) == sorted(message.id for message in messages if message.id not in bad)
        assert isinstance(outcomes[2], Permanent)
        assert "personalizations.0.to.0.email" in outcomes[2].reason
        assert sandbox.requests < 16


@pytest.mark.parametrize(
    ("status", "field", "kind"),
    [
        (400, "personalizations.0.to.0.email", Permanent),
        (400, "from.email", Misconfigured),
        (400, "template_id", Misconfigured),
        (401, None, Misconfigured),
        (403, "from", Misconfigured),
        (413, None, Permanent),
        (429, None, Transient),
        (500, None, Transient),
    ],
)
def test_refusals(status: int, field: str | None, kind: type[SendbridgeError]) -> None:
    made = filled("sendgrid")
    body = {"errors": [{"message": "person1@example.com is wrong", "field": field, "help": None}]}
    answer = asked(made, [rendered(made)], Response(status, {}, json.dumps(body).encode()))[0]
    [outcome] = answer.outcomes
    # A 401 is Misconfigured once `shared/tokens.py` has seen that no other token helps.
    assert isinstance(outcome, kind)
    assert "person1" not in outcome.reason


def test_the_headers_name_may_be_in_any_letters() -> None:
    made = filled("sendgrid", message_id_path="X-Message-Id")
    assert asked(made, [rendered(made)], Response(202, {"x-message-id": "a"}))[0].outcomes == [Sent("a", 202, 0)]


def test_an_answer_without_the_header_is_not_known() -> None:
    made = filled("sendgrid")
    [outcome] = asked(made, [rendered(made)], Response(202, {}, b""))[0].outcomes
    assert type(outcome) is Unknown


def test_the_quota_that_is_announced_is_kept() -> None:
    with sandbox_of("sendgrid") as sandbox:
        sandbox.control("settings", requests_a_minute=1)
        made = at_sandbox("sendgrid", sandbox)
        first, second = send(made, [rendered(made, 1)]), send(made, [rendered(made, 2)])
        assert 0 < (first.pause or 0) <= 60
        assert isinstance(second.outcomes[0], Transient)
        assert 0 < (second.pause or 0) <= 60


def event(kind: str, **more: JsonValue) -> dict[str, JsonValue]:
    value: dict[str, JsonValue] = {"email": "ada@example.com", "timestamp": 1795262340, "event": kind, "message_id": "m_1"}
    return {**value, "sg_event_id": f"{kind}-{len(more)}", "sg_message_id": "14c5d75ce93.filter", **more}


EVENTS: list[tuple[dict[str, JsonValue], str, bool]] = [
    (event("processed"), "other", False),
    (event("deferred"), "deferred", False),
    (event("delivered"), "delivered", False),
    (event("bounce", type="bounce", status="5.1.1", reason="550 no such user"), "bounced", True),
    (event("bounce", type="blocked"), "bounced", False),
    (event("dropped", reason="Spam Reporting Address"), "failed", False),
    (event("open"), "opened", False),
    (event("open", sg_machine_open=False), "opened", False),
    (event("open", sg_machine_open=True), "other", False),
    (event("click", url="https://shop.example.com/cart"), "clicked", False),
    (event("spamreport"), "complained", False),
    (event("unsubscribe"), "unsubscribed", False),
    (event("group_unsubscribe", asm_group_id=1), "unsubscribed", False),
    (event("group_resubscribe", asm_group_id=1), "other", False),
    (event("delivered", timestamp="1795262340"), "delivered", False),
]


@pytest.mark.parametrize(("one", "kind", "hard"), EVENTS)
def test_events(one: dict[str, JsonValue], kind: str, hard: bool) -> None:
    assert events(one) == [("m_1", kind, hard)]


def test_a_bad_event_of_a_batch_costs_none_of_the_others() -> None:
    body = json.dumps(
        [event("open"), event("open", timestamp="soon"), {**event("click"), "message_id": None}, event("click")]
    ).encode()
    parsed = told("sendgrid", body, signed(KEY, int(NOW.timestamp()), body), changes=WEBHOOK)
    assert [one.type for one in parsed.engagements] == ["opened", "clicked"]
    assert [index for index, _, _ in parsed.problems] == [1, 2]


def post(body: bytes, headers: Mapping[str, str], now: datetime = NOW) -> int:
    try:
        return len(told("sendgrid", body, headers, now, WEBHOOK).engagements)
    except BadRequest as error:
        return error.status


def test_only_what_is_signed_with_one_of_the_keys_is_taken() -> None:
    body, at = json.dumps([event("open")]).encode(), int(NOW.timestamp())
    right = signed(KEY, at, body)
    assert (post(body, right), post(body, signed(OLD, at, body))) == (1, 1)
    assert post(body, signed(OTHER, at, body)) == 401
    for index in range(len(body)):
        assert post(body[:index] + bytes([body[index] ^ 1]) + body[index + 1 :], right) == 401
    for name, value in right.items():
        assert post(body, {**right, name: ""}) == 401
        assert post(body, {**right, name: value[:-5] + ("1" if value[-5] != "1" else "2") + value[-4:]}) == 401
        assert post(body, {key: value for key, value in right.items() if key != name}) == 401


def test_a_repetition_within_a_day_is_taken_and_an_old_post_is_not() -> None:
    body = json.dumps([event("open")]).encode()
    headers = signed(KEY, int(NOW.timestamp()), body)
    assert post(body, headers, NOW + timedelta(hours=24)) == 1
    assert post(body, headers, NOW + timedelta(hours=26)) == 401


def test_the_vendors_own_example_of_a_signature_holds() -> None:
    """From the tests of SendGrid's library for JavaScript, version 7.2.6."""
    key = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqD"
        "qBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA=="
    )
    signature = "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0="
    body = b'{"category":"example_payload","event":"test_event","message_id":"message_id"}'
    name = "x-twilio-email-event-webhook"
    headers = {f"{name}-signature": signature, f"{name}-timestamp": "1588788367"}
    made = _with_key(key)
    assert made.webhook is not None
    then = datetime.fromtimestamp(1588788367, UTC)
    CONNECTOR.verify(made, made.webhook, Post(headers, body), lambda: then)
    with pytest.raises(BadRequest):
        CONNECTOR.verify(made, made.webhook, Post(headers, body + b"\r\n"), lambda: then)


@pytest.mark.parametrize("key", ["secret-of-nothing", "", "MAAA"])
def test_a_secret_that_is_no_key_is_a_mistake_of_ours(key: str) -> None:
    body = b"[]"
    with pytest.raises(Misconfigured, match="verification key"):
        told("sendgrid", body, signed(KEY, int(NOW.timestamp()), body), changes={"webhook": {**_webhook(), "secrets": [key]}})


def _webhook() -> dict[str, JsonValue]:
    found = WEBHOOK["webhook"]
    assert isinstance(found, dict)
    return found


def _with_key(key: str) -> Integration:
    return filled("sendgrid", webhook={**_webhook(), "secrets": [key]})


def test_the_sample_post_has_three_good_events_and_a_bad_one() -> None:
    post = sample_post("sendgrid")
    webhook: JsonValue = {**_webhook(), "secrets": [SAMPLE_KEY]}
    parsed = told("sendgrid", post.body, post.headers, changes={"webhook": webhook})
    assert summary(parsed) == [("m_ada", "other", False), ("m_ada", "clicked", False), ("m_grace", "bounced", True)]
    assert [index for index, _, _ in parsed.problems] == [2]
