from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

import pytest
from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Outcome, Sent
from connectors.esps.sfmc import CONNECTOR
from connectors.esps.webhooks import ParsedEvents, read_post
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Response, run
from tests.connectors.esps.sending import NOW, asked, at_sandbox, rendered, sample_post, sandbox_of, send
from tests.contract.sample import filled
from tests.sandbox.esps import sfmc
from tests.sandbox.esps.sfmc import SfmcSandbox

KEY = rendered(filled("sfmc")).id
NOBODY: JsonValue = {"contactKey": "42", "to": "nobody"}


@pytest.fixture(scope="module")
def running() -> Iterator[SfmcSandbox]:
    with sandbox_of("sfmc") as sandbox:
        yield cast("SfmcSandbox", sandbox)


@pytest.fixture
def cloud(running: SfmcSandbox) -> SfmcSandbox:
    running.control("reset")
    return running


def one(cloud: SfmcSandbox, **changes: JsonValue) -> Outcome:
    made = at_sandbox("sfmc", cloud, **changes)
    try:
        [outcome] = send(made, [rendered(made)]).outcomes
    except SendbridgeError as error:
        return error
    return outcome


def test_our_id_is_the_message_key_and_the_content_goes_along(cloud: SfmcSandbox) -> None:
    sent = one(cloud)
    assert isinstance(sent, Sent)
    assert (sent.esp_message_id, sent.status) == (KEY, 202)
    attributes = cast("dict[str, str]", cloud.taken[0].content["attributes"])
    assert attributes["Html"] == "<p>Your cart & more, 1</p>"
    assert cloud.ask("tokens")[0]["client_id"] == "sfmc-client-id"


def test_what_was_cut_off_is_sent_again_and_nobody_gets_two(cloud: SfmcSandbox) -> None:
    cloud.control("fail", target="send", mode="cut_after", times=1)
    assert type(one(cloud)) is Unknown
    again = one(cloud)
    assert isinstance(again, Sent)
    assert again.esp_message_id == KEY
    assert len(cloud.taken) == 1


def test_a_failed_answer_may_have_been_taken_and_is_safe_to_repeat(cloud: SfmcSandbox) -> None:
    cloud.control("fail", target="send", mode="500", times=1)
    assert type(one(cloud)) is Unknown


def test_who_is_limited_is_told_for_how_long(cloud: SfmcSandbox) -> None:
    cloud.control("fail", target="send", mode="429", times=1, retry_after=5)
    limited = one(cloud)
    assert type(limited) is Transient
    assert limited.retry_after == 5
    assert "(50100): the rate limit is exceeded" in limited.reason


def test_who_is_blocked_waits_for_a_minute(cloud: SfmcSandbox) -> None:
    cloud.settings.blocked = True
    made = at_sandbox("sfmc", cloud)
    answered = send(made, [rendered(made)])
    [blocked] = answered.outcomes
    assert type(blocked) is Transient
    assert (blocked.retry_after, answered.pause) == (60, 60)


@pytest.mark.parametrize(
    ("changes", "outcome", "why"),
    [
        ({"body": {"definitionKey": "other", "recipient": {}}}, Permanent, "(109000)"),
        (
            {"body": {"definitionKey": "sfmc-definition-key", "recipient": NOBODY}},
            Permanent,
            "(109000)",
        ),
        ({"auth": {"client_secret": "another-0123"}}, Misconfigured, "invalid_client"),
        ({"auth": {"parameters": {"account_id": "7"}}}, Misconfigured, "invalid_client"),
        ({"auth": {"parameters": {}}}, Misconfigured, "invalid_client"),
        ({"auth": {"encoding": "form"}}, Misconfigured, "invalid_request"),
    ],
)
def test_what_it_refuses(
    cloud: SfmcSandbox, changes: dict[str, dict[str, JsonValue]], outcome: type[SendbridgeError], why: str
) -> None:
    auth = {**filled("sfmc").auth.model_dump(mode="json"), "client_secret": "secret-of-sfmc-client-secret-0123"}
    refused = one(cloud, **{**changes, "auth": {**auth, **changes.get("auth", {})}})
    assert type(refused) is outcome
    assert why in refused.reason
    assert cloud.taken == []


def test_a_token_that_was_revoked_is_renewed_once(cloud: SfmcSandbox) -> None:
    assert isinstance(one(cloud), Sent)
    cloud.control("fail", target="send", mode="revoked", times=1)
    assert isinstance(one(cloud), Sent)
    cloud.control("fail", target="send", mode="revoked", times=2)
    assert type(one(cloud)) is Misconfigured


def test_while_no_token_can_be_had_messages_wait(cloud: SfmcSandbox) -> None:
    cloud.control("fail", target="token", mode="429", times=1, retry_after=30)
    assert type(one(cloud)) is Transient
    assert cloud.requests == 0


def answer(status: int, *responses: JsonValue, **more: JsonValue) -> Response:
    return Response(status, {}, json.dumps({"requestId": "r", "responses": [*responses], **more}).encode())


@pytest.mark.parametrize(
    ("response", "outcome", "why"),
    [
        (
            answer(202, {"recipientSendId": "g", "hasErrors": True, "messageErrors": [{"messageErrorCode": 180008}]}),
            Permanent,
            "180008",
        ),
        (answer(202, {"messageKey": "k", "hasErrors": True}), Permanent, "refused"),
        (answer(202, {"messageKey": "k", "errorcode": 180025}, errorcode=0), Permanent, "180025"),
        (answer(202, {}, errorcode=0), Unknown, "without a message id"),
        (answer(202, errorcode=50200), Transient, "50200"),
    ],
)
def test_a_202_may_hide_an_error(response: Response, outcome: type[SendbridgeError], why: str) -> None:
    made = filled("sfmc")
    [refused] = asked(made, [rendered(made)], response)[0].outcomes
    assert type(refused) is outcome
    assert why in refused.reason


@pytest.mark.parametrize("status", [202, 400, 409])
def test_a_key_that_was_taken_before_is_a_success_whatever_the_status(status: int) -> None:
    made = filled("sfmc")
    response = answer(status, {"messageKey": KEY, "errorcode": 109110, "message": "reused"})
    assert asked(made, [rendered(made)], response)[0].outcomes == [Sent(KEY, status, 0)]


# ---- looking up


def found(*answers: Response) -> Sent | None:
    made = filled("sfmc")
    exchange = CONNECTOR.look_up(made, rendered(made), lambda: NOW)
    assert exchange is not None
    return run(exchange, lambda request: answers[0] if request.method == "GET" else Response(500))


@pytest.mark.parametrize("kind", ["EmailSent", "EmailQueued", "EmailNotSent"])
def test_a_message_that_it_knows_was_taken(kind: str) -> None:
    body = json.dumps({"eventCategoryType": f"TransactionalSendEvents.{kind}", "info": {"messageKey": KEY}}).encode()
    assert found(Response(200, {}, body)) == Sent(KEY, 200, 0)


def test_a_message_that_it_does_not_know_was_not_taken() -> None:
    assert found(Response(404, {}, b'{"message": "not found", "errorcode": 109001}')) is None


@pytest.mark.parametrize(
    ("response", "error"), [(Response(503), Transient), (Response(200, {}, b"<html>"), Unknown), (Response(403), Misconfigured)]
)
def test_a_look_up_that_fails_says_nothing(response: Response, error: type[SendbridgeError]) -> None:
    with pytest.raises(error):
        found(response)


# ---- events


def read(cloud: SfmcSandbox, *events: object) -> ParsedEvents:
    headers, body = cloud.post([*events])
    return read_post(CONNECTOR, filled("sfmc"), Post(headers, body), lambda: NOW)


@pytest.mark.parametrize(
    ("kind", "info", "engagement", "told"),
    [
        ("EmailSent", {"renderedSubject": "Hi"}, "sent", (False, "", "")),
        ("EmailNotSent", {"statusCode": 24, "statusMessage": "Suppressed"}, "failed", (False, "24", "Suppressed")),
        ("EmailBounced", {"bounceCode": "HARD", "smtpReason": "550 no such user"}, "bounced", (True, "HARD", "550 no such user")),
        ("EmailBounced", {"bounceCode": "SOFT", "bounceMessage": "full"}, "bounced", (False, "SOFT", "full")),
        ("SmsDelivered", {}, "delivered", (False, "", "")),
        ("EmailQueued", {}, "other", (False, "", "")),
    ],
)
def test_events(cloud: SfmcSandbox, kind: str, info: dict[str, object], engagement: str, told: tuple[bool, str, str]) -> None:
    [got] = read(cloud, sfmc.event(kind, KEY, **info)).engagements
    assert (got.message_id, got.type, (got.hard, got.code, got.reason)) == (KEY, engagement, told)
    assert got.at.isoformat() == "2026-11-21T11:58:30.123000+00:00"


def test_an_event_that_does_not_say_which_message_is_a_problem_beside_its_neighbours(cloud: SfmcSandbox) -> None:
    click = {"eventCategoryType": "EngagementEvents.EmailClick", "timestampUTC": 1795262310123, "info": {"subscriberKey": "42"}}
    parsed = read(cloud, click, sfmc.event("EmailSent", KEY))
    assert [index for index, _, _ in parsed.problems] == [0]
    assert len(parsed.engagements) == 1


def test_the_unsigned_greeting_is_answered_and_told() -> None:
    parsed = read_post(CONNECTOR, filled("sfmc"), Post({}, sfmc.greeting()), lambda: NOW)
    ids = {f"{name}": f"00000000-0000-0000-0000-00000000000{n}" for n, name in ((1, "callback_id"), (2, "verification_key"))}
    assert (parsed.greeting, parsed.engagements) == (ids, [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        sfmc.greeting().replace(b"callbackId", b"callback"),
        sfmc.greeting().replace(b"00000000-", b"x", 1),
        sfmc.greeting() + b" " * 1000,
        json.dumps([sfmc.event("EmailSent", KEY)]).encode(),
    ],
)
def test_nothing_else_is_taken_unsigned(body: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        read_post(CONNECTOR, filled("sfmc"), Post({}, body), lambda: NOW)
    assert refused.value.status == 401


def test_the_sample_post_is_a_hard_bounce() -> None:
    [engagement] = read_post(CONNECTOR, filled("sfmc"), sample_post("sfmc"), lambda: NOW).engagements
    assert (engagement.message_id, engagement.type, engagement.hard) == ("m_ada", "bounced", True)
