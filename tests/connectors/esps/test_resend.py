from __future__ import annotations

import json
from datetime import timedelta

import pytest
from pydantic import JsonValue

from connectors.esps.base import Sent
from shared.definitions import Integration
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, rendered, sample_post, sandbox_of, send, summary, told
from tests.contract.esps.resend import event, sign
from tests.contract.sample import KEYS, filled

SECRETS: dict[str, JsonValue] = {"webhook": {**filled("resend").model_dump()["webhook"], "secrets": list(KEYS[:2])}}


def told_by(one: JsonValue) -> list[tuple[str, str, bool]]:
    body = json.dumps(one).encode()
    return summary(told("resend", body, sign(KEYS[0], NOW, body), changes=SECRETS))


def answer(value: JsonValue, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(status, headers or {}, json.dumps(value).encode())


def test_a_batch_has_one_key_that_is_the_same_when_it_is_sent_again() -> None:
    made = filled("resend")
    messages = [rendered(made, 1), rendered(made, 2)]
    taken = answer({"data": [{"id": "a"}, {"id": "b"}]})
    answered, [request] = asked(made, messages, taken)
    assert [one.esp_message_id for one in answered.outcomes if isinstance(one, Sent)] == ["a", "b"]
    assert asked(made, messages, taken)[1] == [request]
    assert request.headers["idempotency-key"].startswith("b_")
    assert asked(made, messages[:1], taken)[1][0].headers["idempotency-key"] == messages[0].id
    assert [one["to"] for one in json.loads(request.body)] == [["person1@example.com"], ["person2@example.com"]]


def test_errors_name_the_messages_that_were_not_taken() -> None:
    made = filled("resend")
    said = answer({"data": [{"id": "a"}, {"id": "c"}], "errors": [{"index": 1, "message": "person2@example.com?"}]})
    answered, _ = asked(made, [rendered(made, n) for n in (1, 2, 3)], said)
    assert [getattr(one, "esp_message_id", type(one)) for one in answered.outcomes] == ["a", Permanent, "c"]


@pytest.mark.parametrize(
    "said",
    [{"data": [{"id": "a"}]}, {"data": []}, {"data": [{}, {}]}, {"errors": [{"index": True}, {"index": -1}, {"index": 7}]}],
)
def test_an_answer_that_does_not_fit_says_nothing(said: JsonValue) -> None:
    made = filled("resend")
    answered, _ = asked(made, [rendered(made, 1), rendered(made, 2)], answer(said))
    assert [type(one) for one in answered.outcomes] == [Unknown, Unknown]


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (401, "restricted_api_key", Misconfigured),
        (403, "validation_error", Misconfigured),
        (409, "concurrent_idempotent_requests", Unknown),
        (409, "invalid_idempotent_request", Permanent),
        (422, "invalid_from_address", Misconfigured),
        (422, "missing_required_field", Permanent),
        (429, "rate_limit_exceeded", Transient),
        (429, "daily_quota_exceeded", Transient),
        (500, "application_error", Unknown),
    ],
)
def test_refusals(status: int, name: str, kind: type[SendbridgeError]) -> None:
    made = filled("resend")
    answered, _ = asked(made, [rendered(made)], answer({"statusCode": status, "name": name, "message": "…"}, status))
    [outcome] = answered.outcomes
    assert type(outcome) is kind
    assert name in outcome.reason


def test_when_nothing_is_left_of_the_quota_the_next_waits() -> None:
    made = filled("resend")
    headers = {"ratelimit-remaining": "0", "ratelimit-reset": "1"}
    assert asked(made, [rendered(made)], answer({"data": [{"id": "a"}]}, headers=headers))[0].pause == 1


def test_the_sandbox_takes_the_good_ones_and_no_request_twice() -> None:
    with sandbox_of("resend") as sandbox:
        made = at_sandbox("resend", sandbox)
        messages = [rendered(made, 1), rendered(made, 2, identifier="nobody"), rendered(made, 3)]
        first, again = send(made, messages).outcomes, send(made, messages).outcomes
        assert [type(one) for one in first] == [Sent, Permanent, Sent]
        assert [getattr(one, "esp_message_id", "") for one in again] == [getattr(one, "esp_message_id", "") for one in first]
        assert sandbox.ours() == [messages[0].id, messages[2].id]


def test_a_strict_batch_is_sent_again_without_the_one_that_spoilt_it() -> None:
    with sandbox_of("resend") as sandbox:
        made: Integration = at_sandbox("resend", sandbox, headers={})
        messages = [rendered(made, n, **({"identifier": "nobody"} if n == 5 else {})) for n in range(1, 9)]
        outcomes = send(made, messages).outcomes
        assert [type(one) for one in outcomes] == [Sent] * 4 + [Permanent] + [Sent] * 3
        assert sorted(sandbox.ours()) == sorted(message.id for message in messages if message is not messages[4])


def test_more_than_the_quota_waits() -> None:
    with sandbox_of("resend") as sandbox:
        sandbox.control("settings", requests_a_second=0)
        made = at_sandbox("resend", sandbox)
        [outcome] = send(made, [rendered(made)]).outcomes
        assert isinstance(outcome, Transient)
        assert outcome.retry_after == 1


EVENTS = [
    (event("sent"), "sent", False),
    (event("delivered"), "delivered", False),
    (event("delivery_delayed"), "deferred", False),
    (event("opened"), "opened", False),
    (event("clicked", click={"link": "https://shop.example.com"}), "clicked", False),
    (event("bounced", bounce={"type": "Permanent", "subType": "Suppressed"}), "bounced", True),
    (event("bounced", bounce={"type": "Transient", "subType": "MailboxFull"}), "bounced", False),
    (event("complained"), "complained", False),
    (event("failed"), "failed", False),
    (event("suppressed"), "failed", False),
    (event("scheduled"), "other", False),
    (event("sent", tags=[{"name": "message_id", "value": "m_1"}]), "sent", False),
]


@pytest.mark.parametrize(("one", "kind", "hard"), EVENTS)
def test_events(one: JsonValue, kind: str, hard: bool) -> None:
    assert told_by(one) == [("m_1", kind, hard)]


def test_names_of_both_kinds_are_taken_and_nothing_unsigned_old_or_altered() -> None:
    body = json.dumps(event("sent")).encode()
    signed = sign(KEYS[0], NOW, body)
    standard = {name.replace("svix-", "webhook-"): value for name, value in signed.items()}
    assert told("resend", body, standard, changes=SECRETS).engagements
    late = NOW + timedelta(minutes=6)
    for headers, raw, now in (
        ({}, body, NOW),
        (signed, body + b" ", NOW),
        (signed, body, late),
        (sign(KEYS[2], NOW, body), body, NOW),
    ):
        with pytest.raises(BadRequest) as refused:
            told("resend", raw, headers, now, SECRETS)
        assert refused.value.status == 401


def test_the_sample_post_is_a_click() -> None:
    post = sample_post("resend")
    [click] = told("resend", post.body, post.headers, changes=SECRETS).engagements
    assert (click.message_id, click.type, click.url) == ("m_ada", "clicked", "https://shop.example.com/cart")
