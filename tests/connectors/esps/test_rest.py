from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Outgoing, Sent
from connectors.esps.rest import CONNECTOR
from connectors.esps.webhooks import ParsedEvents, read_post
from shared.definitions import Integration
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Request, Response, run
from shared.ids import engagement_id

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
KEYS = [base64.b64encode(bytes([n]) * 24).decode() for n in (1, 2, 3)]
OK = b'{"id": "pb_1"}'


def clock() -> datetime:
    return NOW


def integration(**changes: object) -> Integration:
    values: dict[str, object] = {
        "name": "postbird",
        "url": "https://api.postbird.example/v1/messages",
        "headers": {"X-Stream": "carts"},
        "secret_headers": {"X-Key": "hush"},
        "body": {},
        "idempotency_header": "Idempotency-Key",
        "timeout_seconds": 7,
        "webhook": {
            "secrets": [f"whsec_{KEYS[0]}", f"whsec_{KEYS[1]}"],
            "events": "events",
            "types": {"message.delivered": "delivered", "message.bounced": "bounced", "message.clicked": "clicked"},
        },
    }
    return Integration.model_validate(values | changes)


def send(response: Response | Exception, **changes: object) -> tuple[Sent, Request]:
    requests: list[Request] = []

    def answer(request: Request) -> Response:
        requests.append(request)
        if isinstance(response, Exception):
            raise response
        return response

    made = integration(**changes)
    [outcome] = run(CONNECTOR.send(made, [Outgoing("m_1", made.url, {"to": "ada@example.com"})], clock), answer).outcomes
    if isinstance(outcome, SendbridgeError):
        raise outcome
    return outcome, requests[0]


def test_the_request_is_complete_and_the_same_every_time() -> None:
    sent, request = send(Response(202, {}, OK, 0.1))
    assert sent == Sent("pb_1", 202, 0.1)
    assert request == send(Response(202, {}, OK))[1]
    assert (request.method, request.url, request.timeout) == ("POST", "https://api.postbird.example/v1/messages", 7)
    assert request.body == b'{"to":"ada@example.com"}'
    assert request.headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "x-stream": "carts",
        "x-key": "hush",
        "idempotency-key": "m_1",
    }
    assert "hush" not in repr(request)
    assert "ada" not in repr(request)


def test_no_idempotency_key_is_sent_to_an_esp_without_one() -> None:
    assert "m_1" not in send(Response(200, {}, OK), idempotency_header="")[1].headers.values()


KEYED, UNKEYED = "Idempotency-Key", ""


@pytest.mark.parametrize(
    ("answer", "header", "outcome", "wait"),
    [
        (Response(408, {}, b""), KEYED, Unknown, None),
        (Response(408, {}, b""), UNKEYED, Transient, None),
        (Response(425, {}, b""), KEYED, Transient, None),
        (Response(429, {"retry-after": "7"}, b""), KEYED, Transient, 7),
        (Response(429, {"retry-after": "Sat, 21 Nov 2026 12:00:09 GMT"}, b""), KEYED, Transient, 9),
        (Response(500, {}, b""), KEYED, Unknown, None),
        (Response(500, {}, b""), UNKEYED, Transient, None),
        (Response(500, {"retry-after": "60"}, b""), KEYED, Unknown, 60),
        (Response(502, {}, b"<html>"), KEYED, Unknown, None),
        (Response(503, {"retry-after": "3"}, b""), KEYED, Transient, 3),
        (Response(502, {}, b"<html>"), UNKEYED, Unknown, None),
        (Response(504, {}, b""), UNKEYED, Unknown, None),
        (Response(401, {}, b""), KEYED, Misconfigured, None),
        (Response(403, {}, b""), KEYED, Misconfigured, None),
        (Response(404, {}, b""), KEYED, Misconfigured, None),
        (Response(405, {}, b""), KEYED, Misconfigured, None),
        (Response(301, {}, b""), KEYED, Permanent, None),
        (Response(400, {}, b""), KEYED, Permanent, None),
        (Response(409, {}, b""), KEYED, Permanent, None),
        (Response(409, {"retry-after": "1"}, b""), KEYED, Unknown, 1),
        (Response(409, {"retry-after": "1"}, b""), UNKEYED, Transient, 1),
        (Response(413, {}, b""), KEYED, Permanent, None),
        (Response(422, {}, b""), KEYED, Permanent, None),
        (Response(200, {}, b"<html>hello"), KEYED, Unknown, None),
        (Response(200, {}, b""), KEYED, Unknown, None),
        (Response(200, {}, b"{}"), KEYED, Unknown, None),
        (Response(200, {}, b"[" * 100_000), KEYED, Unknown, None),
    ],
)
def test_outcomes(answer: Response, header: str, outcome: type[SendbridgeError], wait: float | None) -> None:
    with pytest.raises(SendbridgeError) as raised:
        send(answer, idempotency_header=header)
    assert type(raised.value) is outcome
    assert getattr(raised.value, "retry_after", None) == wait
    assert str(answer.status) in raised.value.reason


def test_a_refusal_says_the_codes_but_not_the_sentences() -> None:
    body = json.dumps({"error": {"code": "invalid_request", "field": "to.email", "message": "ada@example.com is not valid"}})
    with pytest.raises(Permanent) as refusal:
        send(Response(422, {}, body.encode()))
    assert refusal.value.reason == "the ESP answered HTTP 422 (invalid_request, to.email)"


def test_a_refusal_that_repeats_a_secret_does_not_quote_it() -> None:
    body = json.dumps({"error": {"code": "hush", "field": "X-Key", "name": KEYS[0]}})
    with pytest.raises(Permanent) as refusal:
        send(Response(422, {}, body.encode()))
    assert refusal.value.reason == "the ESP answered HTTP 422 (X-Key)"


def test_what_the_network_raises_is_left_as_it_is() -> None:
    with pytest.raises(Unknown, match="cut"):
        send(Unknown("cut"))


def event(**changes: JsonValue) -> dict[str, JsonValue]:
    value: dict[str, JsonValue] = {
        "id": "evt_1",
        "type": "message.delivered",
        "time": "2026-11-21T11:59:00Z",
        "metadata": {"message_id": "m_1"},
    }
    return value | changes


def signed(body: bytes, key: str = KEYS[0], at: datetime = NOW) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    mac = hmac.new(base64.b64decode(key), f"w_1.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-id": "w_1", "webhook-timestamp": stamp, "webhook-signature": "v1," + base64.b64encode(mac).decode()}


def parse(*events: JsonValue, **changes: object) -> ParsedEvents:
    body = json.dumps({"events": events}).encode()
    return read_post(CONNECTOR, integration(**changes), Post(signed(body), body), clock)


def test_events_become_engagements() -> None:
    bounce = event(id="evt_2", type="message.bounced", bounce={"type": "hard", "code": "550", "reason": "no such user"})
    soft = event(id="evt_3", type="message.bounced", bounce={"type": "soft"})
    click = event(id="evt_4", type="message.clicked", url="https://shop.example.com/lamp")
    parsed = parse(event(), bounce, soft, click)
    assert parsed.problems == []
    assert [(e.type, e.hard, e.url, e.code, e.reason) for e in parsed.engagements] == [
        ("delivered", False, "", "", ""),
        ("bounced", True, "", "550", "no such user"),
        ("bounced", False, "", "", ""),
        ("clicked", False, "https://shop.example.com/lamp", "", ""),
    ]
    assert {(e.message_id, e.integration, e.received_at) for e in parsed.engagements} == {("m_1", "postbird", NOW)}


def test_an_engagement_has_the_same_id_whenever_it_is_told() -> None:
    first, again, other = parse(event(), event(), event(id="evt_2")).engagements
    assert first.id == again.id != other.id


def test_an_event_without_id_is_known_by_what_it_says() -> None:
    told = parse(
        event(id=None), event(id=None), event(id=None, time="2026-11-21T11:58:00Z"), event(id=None, url="https://x.example")
    )
    ids = [engagement.id for engagement in told.engagements]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_an_esp_that_says_no_time_is_heard_now_and_the_fact_is_the_same_later() -> None:
    webhook = {"secrets": [f"whsec_{KEYS[0]}"], "events": "events", "types": {}, "time": ""}
    body = json.dumps({"events": [event(id=None)]}).encode()
    later = NOW + timedelta(minutes=4)
    posts = [(Post(signed(body, at=at), body), at) for at in (NOW, later)]
    first, again = (
        read_post(CONNECTOR, integration(webhook=webhook), post, lambda at=at: at).engagements[0]  # type: ignore[misc]
        for post, at in posts
    )
    assert (first.at, again.at) == (NOW, later)
    assert first.id == again.id


def test_that_it_was_sent_is_one_fact_whoever_says_it_and_when() -> None:
    webhook = {**integration().model_dump()["webhook"], "types": {"message.sent": "sent"}, "secrets": [f"whsec_{KEYS[0]}"]}
    told = parse(event(type="message.sent"), event(type="message.sent", id="evt_2"), webhook=webhook).engagements
    assert {one.id for one in told} == {engagement_id("m_1", "sent")}


def test_an_unknown_type_is_other() -> None:
    assert parse(event(type="message.shared")).engagements[0].type == "other"


@pytest.mark.parametrize("time", ["2026-11-21T11:59:00Z", "2026-11-21T12:59:00+01:00", 1795262340, "1795262340", 1795262340.0])
def test_times(time: JsonValue) -> None:
    assert parse(event(time=time)).engagements[0].at == datetime(2026, 11, 21, 11, 59, tzinfo=UTC)


BAD: list[tuple[JsonValue, str]] = [
    (event(time="yesterday"), "'time' must be a time"),
    (event(time="2026-11-21T11:59:00"), "'time' must be a time"),
    (event(time=None), "'time' must be a time"),
    (event(time=True), "'time' must be a time"),
    (event(time=10**400), "'time' must be a time"),
    (event(time="²"), "'time' must be a time"),
    (event(time="1969-01-01T00:00:00Z"), "'time' must be a time"),
    (event(time="9999-01-01T00:00:00Z"), "'time' must be a time"),
    (event(metadata=None), "no message id at 'metadata.message_id'"),
    (event(metadata={"message_id": {}}), "no message id at 'metadata.message_id'"),
    (event(type=""), "no type at 'type'"),
    ("event", "no message id"),
    (None, "no message id"),
    ([], "no message id"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_bad_event_is_a_problem_and_its_neighbours_are_not(bad: JsonValue, reason: str) -> None:
    parsed = parse(event(), bad, event(id="evt_2"))
    assert len(parsed.engagements) == 2
    ((index, why, raw),) = parsed.problems
    assert index == 1
    assert reason in why
    assert json.loads(raw) == bad


def test_half_a_surrogate_pair_loses_nothing() -> None:
    halves = event(id="evt_2", url="https://x.example/\ud83d?\ud83d\ude00\\ud83d\udc00")
    first, second = parse(event(), halves).engagements
    assert second.url == "https://x.example/\ufffd?\U0001f600\\ud83d\ufffd"
    assert first.id == parse(event()).engagements[0].id


@pytest.mark.parametrize("body", [[event()], event()])
def test_the_body_may_be_the_list_or_one_event(body: JsonValue) -> None:
    raw = json.dumps(body).encode()
    webhook = integration().webhook
    assert webhook is not None
    webhook = webhook.model_copy(update={"events": ""})
    parsed = read_post(CONNECTOR, integration().model_copy(update={"webhook": webhook}), Post(signed(raw), raw), clock)
    assert len(parsed.engagements) == 1


@pytest.mark.parametrize(
    "raw", [b"{}", b'{"events": {}}', b'{"events": 7}', b"null", b"", b"\xff", b"[" * 10_000, b'{"events": [NaN]}']
)
def test_a_body_that_is_not_events_is_refused_with_400(raw: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        read_post(CONNECTOR, integration(), Post(signed(raw), raw), clock)
    assert refusal.value.status == 400


def test_a_post_of_more_than_could_be_events_is_refused_at_once() -> None:
    raw = b'{"events": [' + b"0," * 50_000 + b"0]}"
    with pytest.raises(BadRequest) as refusal:
        read_post(CONNECTOR, integration(), Post(signed(raw), raw), clock)
    assert refusal.value.status == 413


def test_both_secrets_are_valid_and_no_other() -> None:
    body = json.dumps({"events": [event()]}).encode()
    for key in KEYS[:2]:
        assert read_post(CONNECTOR, integration(), Post(signed(body, key), body), clock).engagements
    for headers, sent in [
        (signed(body, KEYS[2]), body),
        (signed(body), body + b" "),
        (signed(body, at=datetime(2026, 11, 21, 11, 50, tzinfo=UTC)), body),
        ({}, body),
    ]:
        with pytest.raises(BadRequest) as refusal:
            read_post(CONNECTOR, integration(), Post(headers, sent), clock)
        assert refusal.value.status == 401
