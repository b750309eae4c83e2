from __future__ import annotations

import json

import pytest
from pydantic import JsonValue

from connectors.esps.base import Outgoing, Sent
from connectors.esps.webhooks import read_post
from connectors.registry import ESPS
from shared.definitions import Integration
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Request, Response, run
from tests.connectors.esps.sending import (
    NOW,
    asked,
    at_sandbox,
    login,
    looked_up,
    rendered,
    sample_post,
    sandbox_of,
    send,
    summary,
    told,
)
from tests.contract.sample import filled

LOGIN = login("secret-of-mailjet-webhook-login-0123")
HUGE = 1_152_921_515_074_612_345


def good(message: Outgoing, number: int = HUGE) -> dict[str, JsonValue]:
    to: JsonValue = [{"Email": "x", "MessageUUID": "0a", "MessageID": number, "MessageHref": "x"}]
    return {"Status": "success", "CustomID": message.id, "To": to, "Cc": [], "Bcc": []}


def bad(status: JsonValue, code: str, field: str) -> dict[str, JsonValue]:
    error: JsonValue = {
        "ErrorIdentifier": "0a",
        "ErrorCode": code,
        "StatusCode": status,
        "ErrorMessage": "person1@example.com is not welcome",
        "ErrorRelatedTo": [field],
    }
    return {"Status": "error", "Errors": [error]}


def answer(status: int, *parts: JsonValue) -> Response:
    return Response(status, {}, json.dumps({"Messages": [*parts]}).encode())


def test_a_batch_is_one_list_and_ids_keep_all_their_digits() -> None:
    made = filled("mailjet")
    messages = [rendered(made, 1), rendered(made, 2)]
    answered, [request] = asked(made, messages, answer(200, good(messages[0]), good(messages[1], HUGE + 1)))
    assert [one.esp_message_id for one in answered.outcomes if isinstance(one, Sent)] == [str(HUGE), str(HUGE + 1)]
    first, second = json.loads(request.body)["Messages"]
    assert (first["To"], second["To"]) == ([{"Email": "person1@example.com"}], [{"Email": "person2@example.com"}])
    assert first["CustomID"] == messages[0].id
    assert first["Headers"]["List-Unsubscribe"] == "<https://api.example.com/u/1>"


def test_only_bodies_that_are_equal_but_for_their_message_go_together() -> None:
    esp, made = ESPS.load("mailjet"), filled("mailjet")
    one, other = rendered(made, 1), rendered(made, 2)
    trial = Outgoing("m_3", one.url, {**one.body, "SandboxMode": True}) if isinstance(one.body, dict) else one
    two = Outgoing("m_4", one.url, {"Messages": [{}, {}]})
    assert esp.alike(one) == esp.alike(other)
    assert len({esp.alike(message) for message in (one, trial, two)}) == 3


@pytest.mark.parametrize(
    ("status", "code", "field", "kind"),
    [
        (400, "mj-0013", "To.0.Email", Permanent),
        (400, "send-0003", "HTMLPart", Permanent),
        (403, "send-0008", "From", Misconfigured),
        (401, "mj-0002", "From", Misconfigured),
        (429, "mj-0429", "From", Transient),
        ("400", "mj-0013", "To", Permanent),
        (None, "mj-0013", "To", Permanent),
    ],
)
def test_an_error_of_one_message_is_not_its_neighbours(
    status: JsonValue, code: str, field: str, kind: type[SendbridgeError]
) -> None:
    made = filled("mailjet")
    messages = [rendered(made, 1), rendered(made, 2)]
    answered, requests = asked(made, messages, answer(400, bad(status, code, field), good(messages[1])))
    refused, taken = answered.outcomes
    assert type(refused) is kind
    assert code in refused.reason
    assert "person" not in refused.reason
    assert isinstance(taken, Sent)
    assert len(requests) == 1, "what was taken is not sent again"


def test_an_error_of_all_is_one() -> None:
    made = filled("mailjet")
    body = {"ErrorIdentifier": "0a", "ErrorCode": "mj-0002", "ErrorMessage": "no", "StatusCode": 401}
    answered, _ = asked(made, [rendered(made)], Response(401, {}, json.dumps(body).encode()))
    [outcome] = answered.outcomes
    assert isinstance(outcome, Misconfigured)
    assert outcome.reason == "the ESP answered HTTP 401 (mj-0002)"


def test_a_server_error_says_nothing_of_single_messages() -> None:
    made = filled("mailjet")
    message = rendered(made)
    [outcome] = asked(made, [message], answer(500, good(message)))[0].outcomes
    assert type(outcome) is Transient


def test_an_answer_about_others_says_nothing() -> None:
    made = filled("mailjet")
    messages = [rendered(made, 1), rendered(made, 2)]
    for parts in ([good(messages[0])], [good(messages[1]), good(messages[0])], [{"Status": "maybe"}, None], [1, 2, 3]):
        answered, _ = asked(made, messages, answer(200, *parts))
        assert [type(one) for one in answered.outcomes] == [Unknown, Unknown]


def test_the_sandbox_takes_the_good_ones_of_a_batch_with_an_error() -> None:
    with sandbox_of("mailjet") as sandbox:
        made = at_sandbox("mailjet", sandbox)
        messages = [rendered(made, 1), rendered(made, 2, identifier="nobody"), rendered(made, 3)]
        assert [type(one) for one in send(made, messages).outcomes] == [Sent, Permanent, Sent]
        assert sandbox.ours() == [messages[0].id, messages[2].id]
        assert sandbox.requests == 1
        foreign = filled("mailjet").model_dump()["body"]
        foreign["Messages"][0]["From"]["Email"] = "shop@example.net"
        made = at_sandbox("mailjet", sandbox, body=foreign)
        assert [type(one) for one in send(made, [rendered(made)]).outcomes] == [Misconfigured]


def look_up(made: Integration, message: Outgoing, response: Response) -> tuple[Sent | None, list[Request]]:
    requests: list[Request] = []

    def reply(request: Request) -> Response:
        requests.append(request)
        return response

    operation = ESPS.load("mailjet").look_up(made, message, lambda: NOW)
    assert operation is not None
    return run(operation, reply), requests


def test_a_message_is_looked_up_by_our_id() -> None:
    made = filled("mailjet")
    message = rendered(made)
    found, [request] = look_up(made, message, Response(200, {}, b'{"Count": 1, "Data": [{"ID": %d}], "Total": 1}' % HUGE))
    assert found == Sent(str(HUGE), 200, 0)
    assert (request.method, request.url) == ("GET", f"https://api.mailjet.com/v3/REST/message?CustomID={message.id}")
    assert look_up(made, message, Response(200, {}, b'{"Count": 0, "Data": [], "Total": 0}'))[0] is None
    for response, kind in (
        (Response(401), Misconfigured),
        (Response(500), Transient),
        (Response(200, {}, b"{}"), Unknown),
        (Response(200, {}, b"<html>"), Transient),
    ):
        with pytest.raises(kind):
            look_up(made, message, response)
    elsewhere = Outgoing(message.id, message.url, {"Messages": [{"CustomID": "mine"}]})
    assert ESPS.load("mailjet").look_up(made, elsewhere, lambda: NOW) is None


def test_the_sandbox_tells_of_a_message_whose_answer_was_cut_off() -> None:
    with sandbox_of("mailjet") as sandbox:
        made = at_sandbox("mailjet", sandbox)
        cut, never = rendered(made, 1), rendered(made, 2)
        sandbox.control("fail", target="send", mode="cut_after", times=1)
        with pytest.raises(Unknown):
            send(made, [cut])
        found = looked_up(made, cut)
        assert found is not None
        assert [found.esp_message_id] == [one.id for one in sandbox.taken]
        assert looked_up(made, never) is None


def event(kind: str, **fields: JsonValue) -> dict[str, JsonValue]:
    return {"event": kind, "time": 1795262340, "MessageID": HUGE, "email": "x", "CustomID": "m_1", "Payload": "", **fields}


EVENTS: list[tuple[dict[str, JsonValue], str, bool]] = [
    (event("sent", smtp_reply="250 OK"), "delivered", False),
    (event("open"), "opened", False),
    (event("click", url="https://shop.example.com/cart"), "clicked", False),
    (event("bounce", hard_bounce=True, error="user unknown", comment="550"), "bounced", True),
    (event("bounce", hard_bounce=False, error="quota exceeded"), "bounced", False),
    (event("bounce", hard_bounce=False, error="greylisted"), "deferred", False),
    (event("blocked", error="preblocked"), "failed", False),
    (event("spam", source="x"), "complained", False),
    (event("unsub"), "unsubscribed", False),
    (event("parse"), "other", False),
]


@pytest.mark.parametrize(("one", "kind", "hard"), EVENTS)
def test_events(one: dict[str, JsonValue], kind: str, hard: bool) -> None:
    assert summary(told("mailjet", one, LOGIN)) == [("m_1", kind, hard)]


def test_one_event_and_a_group_of_them_are_told_apart() -> None:
    assert len(told("mailjet", EVENTS[0][0], LOGIN).engagements) == 1
    parsed = told("mailjet", [EVENTS[0][0], "odd", event("open", CustomID=""), EVENTS[3][0]], LOGIN)
    assert summary(parsed) == [("m_1", "delivered", False), ("m_1", "bounced", True)]
    assert [index for index, _, _ in parsed.problems] == [1, 2]
    assert (parsed.engagements[1].code, parsed.engagements[1].reason) == ("user unknown", "550")


def test_only_who_knows_the_login_may_post() -> None:
    for headers in (login("mailjet:guess"), {}):
        with pytest.raises(BadRequest) as refused:
            told("mailjet", EVENTS[0][0], headers)
        assert refused.value.status == 401


def test_the_sample_post_is_a_click_and_a_bounce() -> None:
    parsed = read_post(ESPS.load("mailjet"), filled("mailjet"), sample_post("mailjet"), lambda: NOW)
    assert summary(parsed) == [("m_ada", "clicked", False), ("m_grace", "bounced", True)]
