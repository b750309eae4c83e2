from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from pydantic import JsonValue

from connectors.esps.base import Outcome, Outgoing, Sent
from shared.definitions import Integration
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient
from shared.exchange import Response
from shared.problem import problem
from tests.connectors.esps.sending import NOW, asked, at_sandbox, login, rendered, sample_post, sandbox_of, send, summary, told
from tests.contract.sample import filled

LOGIN = login("secret-of-ses-webhook-login-0123")


@pytest.mark.parametrize(
    ("status", "name", "sentence", "kind"),
    [
        (400, "MessageRejected", "Email address is not verified.", Misconfigured),
        (400, "MessageRejected", "Illegal content.", Permanent),
        (400, "MailFromDomainNotVerifiedException", "", Misconfigured),
        (400, "AccountSuspendedException", "", Misconfigured),
        (400, "SendingPausedException", "", Misconfigured),
        (400, "LimitExceededException", "", Transient),
        (400, "BadRequestException", "Missing final '@domain'", Permanent),
        (403, "InvalidSignatureException", "", Misconfigured),
        (404, "NotFoundException", "", Misconfigured),
        (429, "TooManyRequestsException", "Daily message quota exceeded.", Transient),
        (503, "ServiceUnavailable", "", Transient),
    ],
)
def test_refusals(status: int, name: str, sentence: str, kind: type[SendbridgeError]) -> None:
    made = filled("ses")
    said = Response(status, {"x-amzn-errortype": f"{name}:http://x"}, json.dumps({"message": sentence}).encode())
    in_body = Response(status, {}, json.dumps({"__type": f"com.amazon.coral#{name}", "message": sentence}).encode())
    for response in (said, in_body):
        [outcome] = asked(made, [rendered(made)], response)[0].outcomes
        assert type(outcome) is kind
        assert name in outcome.reason
        assert not sentence or sentence not in outcome.reason


def test_the_sandbox_refuses_what_amazon_refuses() -> None:
    with sandbox_of("ses") as sandbox:
        made = at_sandbox("ses", sandbox)
        broken: list[tuple[dict[str, JsonValue], type[SendbridgeError]]] = [
            ({"identities": ["other.example"]}, Misconfigured),
            ({"paused": True}, Misconfigured),
            ({"configuration_sets": ["another"]}, Misconfigured),
            ({"secret_access_key": "another"}, Misconfigured),
            ({"region": "us-east-1"}, Misconfigured),
            ({"daily_quota": 0}, Transient),
        ]
        for settings, kind in broken:
            sandbox.control("settings", **settings)
            [outcome] = _sent(made, rendered(made))
            assert isinstance(outcome, kind), settings
            sandbox.control("reset")
        assert isinstance(_sent(made, rendered(made, identifier="nobody"))[0], Permanent)
        assert isinstance(_sent(made, rendered(made))[0], Sent)


def _sent(made: Integration, message: Outgoing) -> Sequence[Outcome]:
    try:
        return send(made, [message]).outcomes
    except SendbridgeError as error:
        return [error]


def event(kind: str, section: str = "", of: str = "eventType", **about: JsonValue) -> dict[str, JsonValue]:
    mail: JsonValue = {"timestamp": "2026-11-21T11:58:00.000Z", "messageId": "0a-1", "tags": {"message_id": ["m_1"]}}
    return {of: kind, "mail": mail, **({section: {"timestamp": "2026-11-21T11:59:00.000Z", **about}} if section else {})}


def in_sns(inner: JsonValue, kind: str = "Notification") -> dict[str, JsonValue]:
    arn = "arn:aws:sns:eu-west-1:123456789012:ses"
    return {
        "Type": kind,
        "MessageId": "22b80b92",
        "TopicArn": arn,
        "Message": json.dumps(inner),
        "Timestamp": "2026-11-21T12:00:00Z",
    }


RECIPIENT: JsonValue = [{"emailAddress": "ada@example.com", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 unknown"}]
EVENTS: list[tuple[dict[str, JsonValue], str, bool]] = [
    (event("Delivery", "delivery"), "delivered", False),
    (event("DeliveryDelay", "deliveryDelay", delayType="MailboxFull"), "deferred", False),
    (event("Bounce", "bounce", bounceType="Permanent", bounceSubType="General", bouncedRecipients=RECIPIENT), "bounced", True),
    (event("Bounce", "bounce", bounceType="Permanent", bounceSubType="OnAccountSuppressionList"), "bounced", True),
    (event("Bounce", "bounce", bounceType="Transient"), "bounced", False),
    (event("Bounce", "bounce", bounceType="Undetermined"), "bounced", False),
    (event("Bounce", "bounce", of="notificationType", bounceType="Permanent"), "bounced", True),
    (event("Complaint", "complaint", complaintFeedbackType="abuse"), "complained", False),
    (event("Complaint", "complaint", complaintFeedbackType="not-spam"), "other", False),
    (event("Open", "open", userAgent="x"), "opened", False),
    (event("Click", "click", link="https://shop.example.com/cart"), "clicked", False),
    (event("Subscription", "subscription", newTopicPreferences={"unsubscribeAll": True}), "unsubscribed", False),
    (event("Subscription", "subscription", newTopicPreferences={"unsubscribeAll": False}), "other", False),
]


@pytest.mark.parametrize(("one", "kind", "hard"), EVENTS)
def test_events_in_any_envelope_are_the_same_events(one: dict[str, JsonValue], kind: str, hard: bool) -> None:
    posts: tuple[JsonValue, ...] = (
        in_sns(one),
        one,
        {"id": "x", "source": "aws.ses", "time": "2026-11-21T12:00:00Z", "detail": one},
    )
    read = [told("ses", post, LOGIN) for post in posts]
    assert [summary(parsed) for parsed in read] == [[("m_1", kind, hard)]] * 3
    assert len({parsed.engagements[0].id for parsed in read}) == 1
    assert read[0].engagements[0].at.isoformat() == "2026-11-21T11:59:00+00:00"


@pytest.mark.parametrize(("kind", "section"), [("Send", "send"), ("Reject", "reject"), ("Rendering Failure", "failure")])
def test_what_has_no_time_of_its_own_has_the_mails(kind: str, section: str) -> None:
    one: dict[str, JsonValue] = {**event(kind), section: {"reason": "Bad content"}}
    [engagement] = told("ses", in_sns(one), LOGIN).engagements
    assert engagement.at.minute == 58
    assert engagement.type == ("sent" if kind == "Send" else "failed")


def test_a_bounce_has_its_status_and_reason_and_a_click_its_link() -> None:
    [bounce] = told("ses", in_sns(EVENTS[2][0]), LOGIN).engagements
    [click] = told("ses", in_sns(EVENTS[10][0]), LOGIN).engagements
    assert (bounce.code, bounce.reason) == ("5.1.1", "smtp; 550 5.1.1 unknown")
    assert click.url == "https://shop.example.com/cart"


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_a_wish_to_confirm_is_kept_for_a_person_and_nothing_is_fetched(kind: str) -> None:
    wish = {
        **in_sns(None, kind),
        "Message": "You have chosen to subscribe",
        "SubscribeURL": "https://sns.example/?Token=1",
        "Token": "1",
    }
    parsed = told("ses", wish, LOGIN)
    [(index, reason, raw)] = parsed.problems
    assert (index, json.loads(raw)) == (0, wish)
    assert "open the SubscribeURL" in reason


@pytest.mark.parametrize("message", ["", "soon", "[" * 100_000, "null", "7", "{}"])
def test_a_notification_of_something_else_is_a_problem(message: str) -> None:
    parsed = told("ses", {**in_sns(None), "Message": message}, LOGIN)
    assert (len(parsed.engagements), len(parsed.problems)) == (0, 1)


def test_without_the_login_sns_is_asked_for_it() -> None:
    for headers in ({}, login("ses:guess")):
        with pytest.raises(BadRequest) as refused:
            told("ses", in_sns(EVENTS[0][0]), headers, NOW)
        answer = problem(refused.value)
        assert answer["statusCode"] == 401
        assert answer["headers"] == {"content-type": "application/problem+json", "www-authenticate": 'Basic realm="sendbridge"'}


def test_the_sample_post_is_a_hard_bounce() -> None:
    post = sample_post("ses")
    assert summary(told("ses", post.body, post.headers)) == [("m_grace", "bounced", True)]
