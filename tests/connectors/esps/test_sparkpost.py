from __future__ import annotations

import json

import pytest
from pydantic import JsonValue

from connectors.esps.base import Sent
from connectors.esps.webhooks import ParsedEvents, read_post
from connectors.registry import ESPS
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, login, rendered, sample_post, sandbox_of, send, summary, told
from tests.contract.sample import filled

LOGIN = login("secret-of-sparkpost-webhook-login-0123")


def results(accepted: int, rejected: int, **more: JsonValue) -> dict[str, JsonValue]:
    counts: dict[str, JsonValue] = {"total_accepted_recipients": accepted, "total_rejected_recipients": rejected}
    return {"results": {**counts, "id": "11600000000001", **more}}


def response(status: int, body: object, **headers: str) -> Response:
    return Response(status, headers, json.dumps(body).encode())


def errors(code: str) -> JsonValue:
    return {"errors": [{"message": "no person1@example.com", "code": code, "description": "person1@example.com"}]}


def test_a_transmission_has_one_recipient_and_the_key_stands_bare() -> None:
    made = filled("sparkpost")
    message = rendered(made)
    answered, [request] = asked(made, [message], response(200, results(1, 0)))
    assert answered.outcomes == [Sent("11600000000001", 200, 0)]
    assert request.headers["authorization"] == "secret-of-sparkpost-api-key-0123"
    assert request.headers["idempotency-key"] == message.id
    body = json.loads(request.body)
    assert body["recipients"] == [{"address": {"email": "person1@example.com"}, "metadata": {"message_id": message.id}}]
    assert body["content"]["headers"]["List-Unsubscribe"] == "<https://api.example.com/u/1>"
    assert ESPS.load("sparkpost").alike(message) != ESPS.load("sparkpost").alike(rendered(made, 2))


def test_a_rejected_recipient_in_a_success_is_a_refusal() -> None:
    made = filled("sparkpost")
    error: JsonValue = [{"message": "no person1@example.com", "description": "x", "code": "1902"}]
    body = {**results(0, 1, rcpt_to_errors=error), "errors": [{"message": "x", "code": "2000"}]}
    [outcome] = asked(made, [rendered(made)], response(200, body))[0].outcomes
    assert isinstance(outcome, Permanent)
    assert outcome.reason == "the ESP rejected the recipient (1902, 2000)"


@pytest.mark.parametrize(
    ("answer", "kind", "wait"),
    [
        (response(420, errors("2101")), Transient, 1800),
        (response(420, errors("2102"), **{"retry-after": "60"}), Transient, 60),
        (response(420, "no JSON of theirs"), Transient, 1800),
        (response(429, errors("")), Transient, None),
        (response(400, errors("7001")), Misconfigured, None),
        (response(400, errors("1602")), Misconfigured, None),
        (response(400, errors("1902")), Permanent, None),
        (response(422, errors("1300")), Permanent, None),
        (response(409, errors("1600")), Unknown, None),
        (response(409, errors("1601"), **{"retry-after": "2"}), Unknown, 2),
        (response(401, {"errors": [{"message": "Unauthorized."}]}), Misconfigured, None),
        (response(403, {"errors": [{"message": "Forbidden."}]}), Misconfigured, None),
        (response(500, {"errors": []}), Unknown, None),
    ],
)
def test_refusals(answer: Response, kind: type[SendbridgeError], wait: float | None) -> None:
    made = filled("sparkpost")
    [outcome] = asked(made, [rendered(made)], answer)[0].outcomes
    assert type(outcome) is kind
    assert getattr(outcome, "retry_after", None) == wait
    assert f"HTTP {answer.status}" in outcome.reason
    assert "person" not in outcome.reason


def test_the_sandbox_sends_once_and_refuses_what_it_must() -> None:
    with sandbox_of("sparkpost") as sandbox:
        made = at_sandbox("sparkpost", sandbox)
        message = rendered(made)
        sandbox.control("fail", target="send", mode="cut_after", times=1)
        with pytest.raises(Unknown):
            send(made, [message])
        [again] = send(made, [message]).outcomes
        assert isinstance(again, Sent)
        assert [one.id for one in sandbox.taken] == [again.esp_message_id]
        other = rendered(made, subject="other", message={"id": message.id, "subject": "x", "html": "y", "text": "z"})
        assert type(send(made, [other]).outcomes[0]) is Unknown
        assert type(send(made, [rendered(made, 2, identifier="suppressed@example.com")]).outcomes[0]) is Permanent
        sandbox.control("settings", quota=1)
        assert type(send(made, [rendered(made, 3)]).outcomes[0]) is Transient
        sandbox.control("settings", sender_domain="example.net")
        assert type(send(made, [rendered(made, 4)]).outcomes[0]) is Misconfigured
        assert len(sandbox.taken) == 1


def event(kind: str, category: str = "message_event", **fields: JsonValue) -> JsonValue:
    meta: JsonValue = {"message_id": "m_1"}
    inner: JsonValue = {"type": kind, "event_id": f"id-{kind}", "timestamp": "1795262340", "rcpt_meta": meta, **fields}
    return {"msys": {category: inner}}


def post(*events: JsonValue) -> ParsedEvents:
    return told("sparkpost", [*events], LOGIN)


EVENTS: list[tuple[JsonValue, str, bool]] = [
    (event("injection"), "other", False),
    (event("delivery"), "delivered", False),
    (event("delay", bounce_class="20"), "deferred", False),
    (event("open", "track_event"), "opened", False),
    (event("initial_open", "track_event"), "other", False),
    (event("click", "track_event", target_link_url="https://shop.example.com/cart"), "clicked", False),
    (event("bounce", bounce_class="10"), "bounced", True),
    (event("bounce", bounce_class="30"), "bounced", True),
    (event("bounce", bounce_class=10), "bounced", True),
    (event("bounce", bounce_class="22"), "bounced", False),
    (event("bounce", bounce_class="50"), "bounced", False),
    (event("out_of_band", bounce_class="10"), "bounced", True),
    (event("bounce", bounce_class="60"), "other", False),
    (event("out_of_band", bounce_class="80"), "other", False),
    (event("bounce", bounce_class="90"), "unsubscribed", False),
    (event("out_of_band", bounce_class="100"), "other", False),
    (event("spam_complaint"), "complained", False),
    (event("list_unsubscribe", "unsubscribe_event"), "unsubscribed", False),
    (event("link_unsubscribe", "unsubscribe_event"), "unsubscribed", False),
    (event("policy_rejection"), "failed", False),
    (event("generation_failure", "gen_event"), "failed", False),
    (event("generation_rejection", "gen_event"), "failed", False),
]


@pytest.mark.parametrize(("one", "kind", "hard"), EVENTS)
def test_events(one: JsonValue, kind: str, hard: bool) -> None:
    assert summary(post(one)) == [("m_1", kind, hard)]


def test_a_bounce_has_its_reason_and_a_click_its_link() -> None:
    bounce = event("bounce", bounce_class="10", error_code="550", raw_reason="550 no such user")
    first, second = post(bounce, EVENTS[5][0]).engagements
    assert (first.code, first.reason, second.url) == ("550", "550 no such user", "https://shop.example.com/cart")


def test_a_trial_is_no_event_and_a_bad_one_costs_no_neighbour() -> None:
    trial = post({"msys": {}})
    assert (trial.engagements, trial.problems) == ([], [])
    meta: JsonValue = {"type": "open", "timestamp": "1795262340", "rcpt_meta": {"message_id": "m_1"}}
    two: JsonValue = {"msys": {"message_event": meta, "track_event": meta}}
    parsed = post(event("open"), two, {"msys": 7}, {"msys": {"message_event": None}}, {}, None, event("click"))
    assert summary(parsed) == [("m_1", "opened", False), ("m_1", "clicked", False)]
    assert [index for index, _, _ in parsed.problems] == [1, 2, 3, 4, 5]


def test_only_who_knows_the_login_may_post() -> None:
    for headers in (login("sparkpost:guess"), {}):
        with pytest.raises(BadRequest) as refused:
            told("sparkpost", [event("open")], headers)
        assert refused.value.status == 401


def test_the_sample_post_is_a_click_and_a_bounce() -> None:
    parsed = read_post(ESPS.load("sparkpost"), filled("sparkpost"), sample_post("sparkpost"), lambda: NOW)
    assert summary(parsed) == [("m_ada", "clicked", False), ("m_grace", "bounced", True)]
