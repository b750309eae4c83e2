from __future__ import annotations

import json

import pytest
from pydantic import JsonValue

from connectors.esps.base import Outgoing, Sent
from connectors.registry import ESPS
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Response, run
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

LOGIN = login("secret-of-postmark-webhook-login-0123")


def part(number: int) -> dict[str, JsonValue]:
    return {"To": "x", "SubmittedAt": "2026-11-21T07:00:00-05:00", "MessageID": f"id-{number}", "ErrorCode": 0, "Message": "OK"}


def refusal(code: int) -> dict[str, JsonValue]:
    return {"ErrorCode": code, "Message": "person1@example.com is not welcome"}


def answer(*parts: JsonValue, status: int = 200) -> Response:
    return Response(status, {}, json.dumps([*parts]).encode())


def test_a_batch_is_a_list_of_what_the_integration_says() -> None:
    made = filled("postmark")
    answered, [request] = asked(made, [rendered(made, 1), rendered(made, 2)], answer(part(1), part(2)))
    assert [one.esp_message_id for one in answered.outcomes if isinstance(one, Sent)] == ["id-1", "id-2"]
    assert request.headers["x-postmark-server-token"] == "secret-of-postmark-server-token-0123"
    first, second = json.loads(request.body)
    assert (first["To"], second["To"]) == ("person1@example.com", "person2@example.com")
    assert first["Metadata"] == {"message_id": rendered(made, 1).id}
    assert {"Name": "List-Unsubscribe", "Value": "<https://api.example.com/u/1>"} in first["Headers"]


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (300, Permanent, "not valid"),
        (406, Permanent, "the recipient is inactive"),
        (400, Misconfigured, "sender signature"),
        (401, Misconfigured, "sender signature"),
        (405, Misconfigured, "credits"),
        (413, Misconfigured, "may not send"),
        (1235, Misconfigured, "message stream"),
        (429, Transient, "rate limit"),
        (9999, Permanent, r"\(9999\)"),
    ],
)
def test_a_success_that_hides_a_failure_is_one(code: int, kind: type[SendbridgeError], words: str) -> None:
    made = filled("postmark")
    messages = [rendered(made, 1), rendered(made, 2)]
    (good, bad), _ = asked(made, messages, answer(part(1), refusal(code)))[0].outcomes, None
    assert isinstance(good, Sent)
    assert type(bad) is kind
    with pytest.raises(kind, match=words):
        raise bad
    assert "person" not in bad.reason


def test_a_refusal_of_all_says_why_too() -> None:
    made = filled("postmark")
    answered, _ = asked(made, [rendered(made)], Response(401, {}, json.dumps(refusal(10)).encode()))
    [outcome] = answered.outcomes
    assert isinstance(outcome, Misconfigured)
    assert outcome.reason == "the ESP answered HTTP 401 (10): the server token is missing or wrong"


def test_an_answer_about_fewer_messages_says_nothing_of_any() -> None:
    made = filled("postmark")
    answered, _ = asked(made, [rendered(made, 1), rendered(made, 2)], answer(part(1)))
    assert [type(one) for one in answered.outcomes] == [Unknown, Unknown]


def test_the_sandbox_takes_the_good_ones_of_a_batch() -> None:
    with sandbox_of("postmark") as sandbox:
        made = at_sandbox("postmark", sandbox)
        good, other = rendered(made, 1), rendered(made, 3)
        inactive = rendered(made, 2, identifier="inactive2@example.com")
        outcomes = send(made, [good, inactive, other]).outcomes
        assert [type(one) for one in outcomes] == [Sent, Permanent, Sent]
        assert sandbox.ours() == [good.id, other.id]
        assert sandbox.requests == 1


def test_the_sandbox_tells_of_a_message_whose_answer_was_cut_off() -> None:
    with sandbox_of("postmark") as sandbox:
        made = at_sandbox("postmark", sandbox)
        other, cut, never = rendered(made, 1), rendered(made, 2), rendered(made, 3)
        send(made, [other])
        sandbox.control("fail", target="send", mode="cut_after", times=1)
        with pytest.raises(Unknown):
            send(made, [cut])
        found = looked_up(made, cut)
        assert found is not None
        assert found.esp_message_id == sandbox.taken[1].id
        assert looked_up(made, never) is None


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (Response(401, {}, b'{"ErrorCode": 10}'), Misconfigured),
        (Response(500), Transient),
        (Response(200, {}, b"<html>"), Transient),
        (Response(200, {}, b"{}"), Unknown),
        (Response(200, {}, b'{"Messages": [{"MessageID": "x", "Metadata": {"message_id": "another"}}]}'), Unknown),
    ],
)
def test_a_look_up_that_says_nothing_of_the_message_is_no_answer(response: Response, kind: type[SendbridgeError]) -> None:
    made = filled("postmark")
    operation = ESPS.load("postmark").look_up(made, rendered(made), lambda: NOW)
    assert operation is not None
    with pytest.raises(kind):
        run(operation, lambda _: response)


def test_without_our_id_in_the_metadata_nothing_can_be_looked_up() -> None:
    made = filled("postmark")
    assert ESPS.load("postmark").look_up(made, Outgoing("m_1", made.url, {"To": "x"}), lambda: NOW) is None


def event(record: str, **fields: JsonValue) -> dict[str, JsonValue]:
    return {"RecordType": record, "MessageID": "0a-1", "Metadata": {"message_id": "m_1"}, **fields}


AT = "2026-11-21T06:59:00.1234567-05:00"
EVENTS: list[tuple[dict[str, JsonValue], str, bool]] = [
    (event("Delivery", DeliveredAt=AT, Details="250 OK"), "delivered", False),
    (event("Open", ReceivedAt=AT, FirstOpen=True), "opened", False),
    (event("Click", ReceivedAt=AT, OriginalLink="https://shop.example.com/cart"), "clicked", False),
    (event("SpamComplaint", BouncedAt=AT, ID=9, Type="SpamComplaint"), "complained", False),
    (
        event("SubscriptionChange", ChangedAt=AT, SuppressSending=True, SuppressionReason="ManualSuppression"),
        "unsubscribed",
        False,
    ),
    (event("SubscriptionChange", ChangedAt=AT, SuppressSending=True, SuppressionReason="HardBounce"), "other", False),
    (event("SubscriptionChange", ChangedAt=AT, SuppressSending=False, SuppressionReason=None), "other", False),
    (event("Bounce", BouncedAt=AT, ID=1, Type="HardBounce", TypeCode=1, Details="550 no such user"), "bounced", True),
    (event("Bounce", BouncedAt=AT, ID=2, Type="BadEmailAddress"), "bounced", True),
    (event("Bounce", BouncedAt=AT, ID=3, Type="SoftBounce"), "bounced", False),
    (event("Bounce", BouncedAt=AT, ID=4, Type="Transient"), "deferred", False),
    (event("Bounce", BouncedAt=AT, ID=5, Type="SpamNotification"), "complained", False),
    (event("Bounce", BouncedAt=AT, ID=6, Type="SMTPApiError"), "failed", False),
    (event("Bounce", BouncedAt=AT, ID=7, Type="AutoResponder"), "other", False),
]


@pytest.mark.parametrize(("one", "kind", "hard"), EVENTS, ids=[str(one[0].get("Type", one[0]["RecordType"])) for one in EVENTS])
def test_events(one: dict[str, JsonValue], kind: str, hard: bool) -> None:
    parsed = told("postmark", one, LOGIN)
    assert summary(parsed) == [("m_1", kind, hard)]
    assert parsed.engagements[0].at.isoformat() == "2026-11-21T11:59:00.123456+00:00"


def test_a_click_has_its_address_and_a_bounce_its_reason() -> None:
    [click] = told("postmark", EVENTS[2][0], LOGIN).engagements
    [bounce] = told("postmark", EVENTS[7][0], LOGIN).engagements
    assert click.url == "https://shop.example.com/cart"
    assert (bounce.code, bounce.reason) == ("HardBounce", "550 no such user")


def test_an_event_that_cannot_be_used_is_a_problem_and_no_failure() -> None:
    for bad in (event("Open"), event("Delivery", DeliveredAt="soon"), {"RecordType": "Open", "ReceivedAt": AT}):
        parsed = told("postmark", bad, LOGIN)
        assert not parsed.engagements
        assert len(parsed.problems) == 1


def test_only_who_knows_the_login_may_post() -> None:
    for headers in (login("postmark:guess"), {}, {"authorization": "Basic"}, {"authorization": "Bearer x"}):
        with pytest.raises(BadRequest) as refused:
            told("postmark", EVENTS[0][0], headers, NOW)
        assert refused.value.status == 401


def test_the_sample_post_is_a_hard_bounce() -> None:
    post = sample_post("postmark")
    assert summary(told("postmark", post.body, post.headers)) == [("m_grace", "bounced", True)]
