from __future__ import annotations

import json
import uuid

import pytest
from pydantic import JsonValue

from connectors.esps.base import Sent
from connectors.esps.brevo import CONNECTOR
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, login, rendered, sample_post, sandbox_of, send, summary, told
from tests.contract.sample import filled

LOGIN = login("secret-of-brevo-webhook-login-0123")


def test_one_message_is_a_plain_request_and_several_are_versions() -> None:
    made = filled("brevo")
    one, two = rendered(made, 1), rendered(made, 2)
    assert CONNECTOR.alike(one) == CONNECTOR.alike(two)
    _, [alone] = asked(made, [one], Response(201, {}, b'{"messageId": "a"}'))
    answered, [both] = asked(made, [one, two], Response(201, {}, b'{"messageIds": ["a", "b"]}'))
    assert [getattr(outcome, "esp_message_id", "") for outcome in answered.outcomes] == ["a", "b"]
    single, several = json.loads(alone.body), json.loads(both.body)
    assert "messageVersions" not in single
    assert "to" not in several
    assert [version["to"][0]["email"] for version in several["messageVersions"]] == ["person1@example.com", "person2@example.com"]
    assert [version["headers"]["X-Mailin-custom"] for version in several["messageVersions"]] == [one.id, two.id]
    keys = [single["headers"]["idempotencyKey"], several["headers"]["idempotencyKey"]]
    assert len({str(uuid.UUID(key)) for key in keys}) == 2
    assert alone.headers["api-key"] == "secret-of-brevo-api-key-0123"


def test_other_shared_fields_are_not_alike() -> None:
    made = filled("brevo")
    tagged = made.model_copy(update={"body": {**made.body, "tags": ["a"]}})
    html_only = made.model_copy(update={"body": {name: value for name, value in made.body.items() if name != "textContent"}})
    assert len({CONNECTOR.alike(rendered(one)) for one in (made, tagged, html_only)}) == 3


def test_what_a_message_lacks_it_does_not_get_from_another() -> None:
    made = filled("brevo")
    bare: JsonValue = {"id": "m_2", "subject": "s", "html": "<p>x</p>", "text": ""}
    assert CONNECTOR.alike(rendered(made, 1)) != CONNECTOR.alike(rendered(made, 2, message=bare))


@pytest.mark.parametrize("said", ['{"messageIds": ["a"]}', '{"messageIds": [{}, null]}', '{"messageId": "a"}', "{}"])
def test_an_answer_that_does_not_fit_says_nothing(said: str) -> None:
    made = filled("brevo")
    answered, _ = asked(made, [rendered(made, 1), rendered(made, 2)], Response(201, {}, said.encode()))
    assert [type(one) for one in answered.outcomes] == [Unknown, Unknown]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_parameter", Permanent),
        (400, "duplicate_request", Unknown),
        (400, "account_under_validation", Misconfigured),
        (401, "unauthorized", Misconfigured),
        (402, "not_enough_credits", Misconfigured),
        (404, "document_not_found", Misconfigured),
        (429, "too_many_requests", Transient),
        (500, "internal_error", Unknown),
    ],
)
def test_refusals(status: int, code: str, kind: type[SendbridgeError]) -> None:
    made = filled("brevo")
    said = Response(status, {}, json.dumps({"code": code, "message": "person1@example.com"}).encode())
    [outcome] = asked(made, [rendered(made)], said)[0].outcomes
    assert type(outcome) is kind
    assert code in outcome.reason


def test_the_sandbox_takes_a_request_once_and_costs_no_neighbours() -> None:
    with sandbox_of("brevo") as sandbox:
        made = at_sandbox("brevo", sandbox)
        messages = [rendered(made, n, **({"identifier": "nobody"} if n == 3 else {})) for n in range(1, 9)]
        good = messages[:2]
        first, again = send(made, good).outcomes, send(made, good).outcomes
        assert [getattr(one, "esp_message_id", "") for one in first] == [getattr(one, "esp_message_id", "") for one in again]
        assert sandbox.ours() == [message.id for message in good]
        sandbox.control("reset")
        outcomes = send(made, messages).outcomes
        assert [type(one) for one in outcomes] == [Sent, Sent, Permanent] + [Sent] * 5
        assert sorted(sandbox.ours()) == sorted(message.id for message in messages if message is not messages[2])


def test_messages_without_text_are_taken() -> None:
    with sandbox_of("brevo") as sandbox:
        made = at_sandbox("brevo", sandbox)
        bare: JsonValue = {"id": "m_1", "subject": "s", "html": "<p>x</p>", "text": ""}
        assert isinstance(send(made, [rendered(made, message=bare)]).outcomes[0], Sent)


def test_credits_and_the_rate() -> None:
    with sandbox_of("brevo") as sandbox:
        made = at_sandbox("brevo", sandbox)
        sandbox.control("settings", credits=0)
        assert isinstance(send(made, [rendered(made)]).outcomes[0], Misconfigured)
        sandbox.control("settings", credits=9, requests_a_second=0)
        answered = send(made, [rendered(made)])
        assert isinstance(answered.outcomes[0], Transient)
        assert answered.pause == 1


def event(kind: str, **more: JsonValue) -> dict[str, JsonValue]:
    value: dict[str, JsonValue] = {"event": kind, "email": "ada@example.com", "id": 7, "date": "2026-11-21 12:59:00"}
    return {**value, "ts": 1795265940, "ts_event": 1795262340, "ts_epoch": 1795262340000, "X-Mailin-custom": "m_1", **more}


EVENTS: list[tuple[dict[str, JsonValue], str, bool]] = [
    (event("request"), "other", False),
    (event("delivered"), "delivered", False),
    (event("deferred"), "deferred", False),
    (event("hard_bounce", reason="550 no such user"), "bounced", True),
    (event("hardBounce"), "bounced", True),
    (event("invalid_email"), "bounced", True),
    (event("soft_bounce"), "bounced", False),
    (event("blocked"), "failed", False),
    (event("error"), "failed", False),
    (event("opened"), "opened", False),
    (event("uniqueOpened"), "opened", False),
    (event("proxy_open"), "other", False),
    (event("unique_proxy_open"), "other", False),
    (event("click", link="https://shop.example.com/cart"), "clicked", False),
    (event("spam"), "complained", False),
    (event("unsubscribe"), "unsubscribed", False),
    (event("unsubscribed"), "unsubscribed", False),
    (event("list_addition"), "other", False),
    (event("opened", ts_epoch=None), "opened", False),
    (event("opened", ts_epoch="1795262340000"), "opened", False),
]


@pytest.mark.parametrize(("one", "kind", "hard"), EVENTS)
def test_events(one: dict[str, JsonValue], kind: str, hard: bool) -> None:
    parsed = told("brevo", one, LOGIN)
    assert summary(parsed) == [("m_1", kind, hard)]
    assert parsed.engagements[0].at.isoformat() == "2026-11-21T11:59:00+00:00"


def test_a_batch_is_read_event_by_event() -> None:
    parsed = told("brevo", [event("opened"), event("click", ts_epoch="x"), 7, event("click", link="https://x.example")], LOGIN)
    assert [one.type for one in parsed.engagements] == ["opened", "clicked"]
    assert [index for index, _, _ in parsed.problems] == [1, 2]


def test_only_who_knows_the_login_may_post() -> None:
    for headers in (login("brevo:guess"), {}):
        with pytest.raises(BadRequest) as refused:
            told("brevo", event("opened"), headers, NOW)
        assert refused.value.status == 401


def test_the_sample_post_is_an_opening_by_a_proxy_and_a_click() -> None:
    post = sample_post("brevo")
    assert summary(told("brevo", post.body, post.headers)) == [("m_ada", "other", False), ("m_ada", "clicked", False)]
