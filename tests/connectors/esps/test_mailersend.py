from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from pydantic import JsonValue

from connectors.esps.base import Sent
from connectors.esps.webhooks import ParsedEvents, read_post
from connectors.registry import ESPS
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, rendered, sample_post, sandbox_of, send, summary, told
from tests.contract.sample import filled

KEY = b"secret-of-mailersend-signing-secret-0123"


def refused(**errors: str) -> Response:
    body = {
        "message": "The given data was invalid.",
        "errors": {name.replace("__", "."): [text] for name, text in errors.items()},
    }
    return Response(422, {}, json.dumps(body).encode())


def test_the_message_id_is_in_a_header_and_the_body_is_empty() -> None:
    made = filled("mailersend")
    answered, [request] = asked(made, [rendered(made)], Response(202, {"x-message-id": "63fd1c1d"}, b""))
    assert answered.outcomes == [Sent("63fd1c1d", 202, 0)]
    assert json.loads(request.body)["tags"] == [rendered(made).id]
    renamed = filled("mailersend", message_id_path="X-Other-Id")
    assert asked(renamed, [rendered(renamed)], Response(202, {"x-other-id": "7"}, b""))[0].outcomes == [Sent("7", 202, 0)]


def test_a_success_without_an_id_is_none() -> None:
    made = filled("mailersend")
    suppressed = {"message": "x", "warnings": [{"type": "ALL_SUPPRESSED", "recipients": [{"email": "person1@example.com"}]}]}
    for body, kind in ((json.dumps(suppressed).encode(), Permanent), (b"", Unknown), (b"{}", Unknown), (b"<html>", Unknown)):
        [outcome] = asked(made, [rendered(made)], Response(202, {}, body))[0].outcomes
        assert type(outcome) is kind
    [outcome] = asked(made, [rendered(made)], Response(202, {}, json.dumps(suppressed).encode()))[0].outcomes
    assert isinstance(outcome, Permanent)
    assert outcome.reason == "the ESP refused the message (ALL_SUPPRESSED): the recipient is suppressed"


@pytest.mark.parametrize(
    ("response", "kind", "words"),
    [
        (refused(to__0__email="must be a valid email address"), Permanent, r"\(to\.0\.email\)"),
        (refused(subject="is required", text="is required"), Permanent, r"\(subject, text\)"),
        (refused(from__email="must be verified #MS42207"), Misconfigured, r"\(from\.email\): the sender"),
        (refused(to="is required", from__email="must be verified"), Misconfigured, r"\(to, from\.email\): the sender"),
        (Response(401, {}, b'{"message": "Unauthenticated."}'), Misconfigured, "HTTP 401"),
        (Response(429, {"retry-after": "31"}, b'{"message": "Too Many Attempts."}'), Transient, "HTTP 429"),
    ],
)
def test_refusals(response: Response, kind: type[SendbridgeError], words: str) -> None:
    made = filled("mailersend")
    [outcome] = asked(made, [rendered(made)], response)[0].outcomes
    assert type(outcome) is kind
    with pytest.raises(kind, match=words):
        raise outcome


def test_an_exhausted_quota_pauses_for_as_long_as_it_says() -> None:
    made = filled("mailersend")
    headers = {"x-message-id": "7", "x-ratelimit-remaining": "0", "retry-after": "31"}
    assert asked(made, [rendered(made)], Response(202, headers, b""))[0].pause == 31
    assert asked(made, [rendered(made)], Response(202, {**headers, "x-ratelimit-remaining": "1"}, b""))[0].pause is None


def test_the_sandbox_and_what_it_refuses() -> None:
    with sandbox_of("mailersend") as sandbox:
        made = at_sandbox("mailersend", sandbox)
        assert type(send(made, [rendered(made, identifier="suppressed@example.com")]).outcomes[0]) is Permanent
        assert type(send(made, [rendered(made, identifier="nobody")]).outcomes[0]) is Permanent
        headed = at_sandbox("mailersend", sandbox, body={**made.body, "headers": [{"name": "List-Unsubscribe", "value": "<x>"}]})
        assert type(send(headed, [rendered(headed)]).outcomes[0]) is Permanent
        sandbox.control("settings", enterprise=True)
        assert type(send(headed, [rendered(headed)]).outcomes[0]) is Sent
        sandbox.control("settings", sender_domain="example.net")
        assert type(send(made, [rendered(made)]).outcomes[0]) is Misconfigured
        sandbox.control("settings", per_minute=5)
        [throttled] = send(made, [rendered(made)]).outcomes
        assert isinstance(throttled, Transient)
        assert 0 < (throttled.retry_after or 0) <= 60
        assert len(sandbox.taken) == 1


def event(kind: str, **changes: JsonValue) -> dict[str, JsonValue]:
    data: dict[str, JsonValue] = {"id": f"id-{kind}", "type": kind, "message_id": "7", "tags": ["m_1", "cart"], "meta": []}
    return {"type": f"activity.{kind}", "created_at": "2026-11-21T11:59:00.520507Z", "data": {**data, **changes}}


def first_version(kind: str, morph: JsonValue = None) -> dict[str, JsonValue]:
    email: JsonValue = {"id": "9", "tags": ["m_1"], "message": {"id": "7"}, "recipient": {"email": "x"}}
    data: JsonValue = {
        "object": "activity",
        "id": f"id-{kind}",
        "type": kind,
        "created_at": "2026-11-21T11:59:00.506000Z",
        "email": email,
        "morph": morph,
    }
    return {"type": f"activity.{kind}", "created_at": "2026-11-21T11:59:01.520507Z", "data": data}


def post(one: object) -> ParsedEvents:
    body = json.dumps(one).replace("/", "\\/").encode()
    return told("mailersend", body, {"signature": hmac.new(KEY, body, hashlib.sha256).hexdigest()})


EVENTS: list[tuple[str, str, bool]] = [
    ("sent", "sent", False),
    ("delivered", "delivered", False),
    ("deferred", "deferred", False),
    ("opened", "opened", False),
    ("clicked", "clicked", False),
    ("hard_bounced", "bounced", True),
    ("soft_bounced", "bounced", False),
    ("spam_complaints", "complained", False),
    ("spam_complaint", "complained", False),
    ("unsubscribed", "unsubscribed", False),
    ("suppressed", "failed", False),
]


@pytest.mark.parametrize(("native", "kind", "hard"), EVENTS)
def test_events_of_both_versions(native: str, kind: str, hard: bool) -> None:
    assert summary(post(event(native))) == [("m_1", kind, hard)]
    assert summary(post(first_version(native))) == [("m_1", kind, hard)]


def test_what_an_event_says_besides() -> None:
    link = "https://shop.example.com/cart"
    for click in (event("clicked", meta={"url": link}), first_version("clicked", {"object": "click", "url": link})):
        assert post(click).engagements[0].url == link
    for bounce in (
        event("hard_bounced", meta={"bounce_code": 550, "bounce_reason": "no such user"}),
        first_version("hard_bounced", {"object": "recipient_bounce", "reason": "no such user"}),
    ):
        assert post(bounce).engagements[0].reason == "no such user"
    [old] = post(first_version("opened")).engagements
    assert old.at.isoformat() == "2026-11-21T11:59:00.506000+00:00"


def test_a_trial_is_no_event_and_a_message_of_somebody_else_is_a_problem() -> None:
    trial = post({"type": "webhook.test", "data": {}})
    assert (trial.engagements, trial.problems) == ([], [])
    for one in (event("opened", tags=[]), event("opened", tags=None), {"type": "activity.opened"}, first_version("opened", 7)):
        parsed = post(one)
        assert len(parsed.engagements) + len(parsed.problems) == 1
    assert len(post(event("opened", tags=[])).problems) == 1


def test_a_post_that_somebody_else_signed_is_refused() -> None:
    body = json.dumps(event("opened")).encode()
    right = hmac.new(KEY, body, hashlib.sha256).hexdigest()
    for headers, raw in (({"signature": right}, body + b" "), ({"signature": "0" * 64}, body), ({}, body)):
        with pytest.raises(BadRequest) as error:
            told("mailersend", raw, headers)
        assert error.value.status == 401


def test_the_sample_post_is_a_hard_bounce() -> None:
    parsed = read_post(ESPS.load("mailersend"), filled("mailersend"), sample_post("mailersend"), lambda: NOW)
    assert summary(parsed) == [("m_grace", "bounced", True)]
    assert (parsed.engagements[0].code, parsed.engagements[0].reason) == ("550", "5.1.1 no such mailbox")
