from __future__ import annotations

import json

import pytest
from pydantic import JsonValue

from connectors.esps.base import Sent
from connectors.esps.webhooks import ParsedEvents, read_post
from connectors.registry import ESPS
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, login, rendered, sample_post, sandbox_of, send, summary, told
from tests.contract.sample import filled

LOGIN = login("secret-of-scaleway-webhook-login-0123")


def taken(status: str) -> Response:
    return Response(200, {}, json.dumps({"emails": [{"id": "0a-1", "mail_rcpt": "x", "status": status}]}).encode())


def test_our_id_travels_in_a_header_of_the_message() -> None:
    made = filled("scaleway", url="https://api.scaleway.com/transactional-email/v1alpha1/regions/fr-par/emails")
    answered, [request] = asked(made, [rendered(made)], taken("new"))
    assert answered.outcomes == [Sent("0a-1", 200, 0)]
    assert request.headers["x-auth-token"] == "secret-of-scaleway-secret-key-0123"
    headers = json.loads(request.body)["additional_headers"]
    assert {"key": "X-Sendbridge-Message", "value": rendered(made).id} in headers
    assert {"key": "List-Unsubscribe", "value": "<https://api.example.com/u/1>"} in headers


def test_a_success_that_failed_is_a_refusal() -> None:
    made = filled("scaleway")
    for status in ("failed", "canceled"):
        [outcome] = asked(made, [rendered(made)], taken(status))[0].outcomes
        assert isinstance(outcome, Permanent)
        assert status in outcome.reason


@pytest.mark.parametrize(
    ("status", "kind", "outcome"),
    [
        (401, "denied_authentication", Misconfigured),
        (403, "permissions_denied", Misconfigured),
        (403, "quotas_exceeded", Transient),
        (400, "invalid_arguments", Permanent),
        (429, "too_many_requests", Transient),
    ],
)
def test_refusals(status: int, kind: str, outcome: type[SendbridgeError]) -> None:
    made = filled("scaleway")
    body = json.dumps({"type": kind, "message": "no person1@example.com", "details": []}).encode()
    [refused] = asked(made, [rendered(made)], Response(status, {}, body))[0].outcomes
    assert type(refused) is outcome
    assert f"HTTP {status} ({kind})" in refused.reason
    assert "person" not in refused.reason


def test_the_sandbox_and_what_it_refuses() -> None:
    with sandbox_of("scaleway") as sandbox:
        made = at_sandbox("scaleway", sandbox)
        assert type(send(made, [rendered(made, identifier="nobody")]).outcomes[0]) is Permanent
        sandbox.control("settings", regions=["nl-ams"])
        assert type(send(made, [rendered(made)]).outcomes[0]) is Misconfigured
        sandbox.control("settings", regions=["scaleway-region"], quota=0)
        assert type(send(made, [rendered(made)]).outcomes[0]) is Transient
        sandbox.control("settings", project="another")
        assert type(send(made, [rendered(made)]).outcomes[0]) is Misconfigured
        assert sandbox.taken == []


def event(kind: str, **fields: JsonValue) -> dict[str, JsonValue]:
    headers: JsonValue = [{"key": "Subject", "value": "Cart"}, {"key": "X-Sendbridge-Message", "value": "m_1"}]
    return {"id": f"id-{kind}", "type": kind, "created_at": "2026-11-21T11:59:00Z", "email_headers": headers, **fields}


def wrapped(one: object) -> object:
    return {"Type": "Notification", "MessageId": "x", "Message": json.dumps(one), "Timestamp": "2026-11-21T11:59:01.000Z"}


def post(one: object, **headers: str) -> ParsedEvents:
    return told("scaleway", one, {**LOGIN, "content-type": "text/plain", **headers})


EVENTS: list[tuple[str, str, bool]] = [
    ("email_queued", "other", False),
    ("email_delivered", "delivered", False),
    ("email_deferred", "deferred", False),
    ("email_dropped", "bounced", True),
    ("email_mailbox_not_found", "bounced", True),
    ("email_blocklisted", "failed", False),
    ("email_spam", "failed", False),
]


@pytest.mark.parametrize(("native", "kind", "hard"), EVENTS)
def test_events_wrapped_and_bare(native: str, kind: str, hard: bool) -> None:
    assert summary(post(wrapped(event(native)))) == [("m_1", kind, hard)]
    assert post(event(native)).engagements == post(wrapped(event(native))).engagements


def test_a_bounce_has_its_reason() -> None:
    one = event("email_dropped", email_response_code=550, email_response_message="no such user")
    [bounce] = post(wrapped(one)).engagements
    assert (bounce.code, bounce.reason) == ("550", "no such user")


def test_a_header_may_be_written_in_any_way() -> None:
    cases: tuple[tuple[JsonValue, int], ...] = (
        ([{"key": "x-sendbridge-message", "value": "m_1"}], 1),
        ([{"key": "X-SENDBRIDGE-MESSAGE", "value": "m_1"}], 1),
        ([None, 7, {"key": []}, {"value": "m_1"}], 0),
        ({"x-sendbridge-message": "m_1"}, 1),
        (None, 0),
    )
    for listed, found in cases:
        parsed = post(wrapped(event("email_delivered", email_headers=listed)))
        assert len(parsed.engagements) == found
        assert len(parsed.problems) == 1 - found


def test_a_confirmation_is_kept_for_a_person_to_open() -> None:
    confirmation = {"Type": "SubscriptionConfirmation", "SubscribeURL": "https://sns.mnq.fr-par.scaleway.com/?Token=x"}
    [(_, why, raw)] = post(confirmation).problems
    assert "open the SubscribeURL" in why
    assert json.loads(raw) == confirmation


def test_what_is_wrapped_and_no_json_is_a_problem() -> None:
    for message in ("{", "", None, 7, "null"):
        parsed = post({"Type": "Notification", "Message": message})
        assert (len(parsed.engagements), len(parsed.problems)) == (0, 1)


def test_only_who_knows_the_login_may_post() -> None:
    for headers in (login("scaleway:guess"), {}):
        with pytest.raises(BadRequest) as refused:
            told("scaleway", wrapped(event("email_delivered")), headers)
        assert refused.value.status == 401


def test_the_sample_post_is_a_hard_bounce() -> None:
    parsed = read_post(ESPS.load("scaleway"), filled("scaleway"), sample_post("scaleway"), lambda: NOW)
    assert summary(parsed) == [("m_grace", "bounced", True)]
