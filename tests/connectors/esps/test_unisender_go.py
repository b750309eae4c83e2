from __future__ import annotations

import hashlib
import json

import pytest
from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Sent
from connectors.esps.webhooks import ParsedEvents, read_post
from connectors.registry import ESPS
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, rendered, sample_post, sandbox_of, send, summary, told
from tests.contract.sample import KEYS, filled, keyed

KEY = "secret-of-unisender-go-api-key-0123"


def answer(**fields: JsonValue) -> Response:
    return Response(200, {}, json.dumps({"status": "success", "job_id": "1ZymBc", "emails": [], **fields}).encode())


def test_our_id_travels_in_the_recipients_metadata() -> None:
    made = filled("unisender_go")
    message = rendered(made)
    answered, [request] = asked(made, [message], answer())
    assert answered.outcomes == [Sent("1ZymBc", 200, 0)]
    assert request.headers["x-api-key"] == KEY
    body = json.loads(request.body)["message"]
    assert body["recipients"] == [{"email": "person1@example.com", "metadata": {"message_id": message.id}}]
    assert body["headers"]["List-Unsubscribe"] == "<https://api.example.com/u/1>"
    assert body["idempotence_key"] == "00000000-0000-4000-8000-000000000001"
    assert ESPS.load("unisender_go").alike(message) != ESPS.load("unisender_go").alike(rendered(made, 2))


def test_nothing_relies_on_the_idempotency_key_unless_it_is_said() -> None:
    assert not filled("unisender_go").sends_once
    made = filled("unisender_go", idempotency_path="message.idempotence_key")
    _, [request] = asked(made, [rendered(made)], answer())
    assert json.loads(request.body)["message"]["idempotence_key"] == rendered(made).id


@pytest.mark.parametrize(
    ("why", "kind"),
    [
        ("invalid", Permanent),
        ("permanent_unavailable", Permanent),
        ("unsubscribed", Permanent),
        ("something_new", Permanent),
        ("temporary_unavailable", Transient),
        ("duplicate", Sent),
    ],
)
def test_a_success_that_hides_a_failure_is_one(why: str, kind: type[SendbridgeError] | type[Sent]) -> None:
    made = filled("unisender_go")
    [outcome] = asked(made, [rendered(made)], answer(failed_emails={"person1@example.com": why}))[0].outcomes
    assert type(outcome) is kind
    if isinstance(outcome, SendbridgeError):
        assert why in outcome.reason
        assert "person" not in outcome.reason


def test_other_answers() -> None:
    made = filled("unisender_go")
    error = {"status": "error", "code": 204, "message": "no person1@example.com"}
    for response, kind in (
        (Response(200, {}, json.dumps(error).encode()), Permanent),
        (Response(401, {}, json.dumps(error).encode()), Misconfigured),
        (Response(429, {}, json.dumps(error).encode()), Transient),
        (Response(200, {}, b'{"status": "success", "failed_emails": []}'), Unknown),
    ):
        [outcome] = asked(made, [rendered(made)], response)[0].outcomes
        assert type(outcome) is kind
        assert isinstance(outcome, SendbridgeError)
        assert "person" not in outcome.reason


def test_the_sandbox_and_what_it_refuses() -> None:
    with sandbox_of("unisender_go") as sandbox:
        made = at_sandbox("unisender_go", sandbox)
        for start, kind in (("gone", Permanent), ("later", Transient), ("left", Permanent), ("ada", Sent)):
            [outcome] = send(made, [rendered(made, identifier=f"{start}@example.com")]).outcomes
            assert type(outcome) is kind
        sandbox.control("settings", sender_domain="example.net")
        assert type(send(made, [rendered(made)]).outcomes[0]) is Misconfigured
        assert [one.to for one in sandbox.taken] == ["ada@example.com"]


def event(status: str, **fields: JsonValue) -> dict[str, JsonValue]:
    data: dict[str, JsonValue] = {
        "job_id": "1a",
        "metadata": {"message_id": "m_1"},
        "email": "x",
        "status": status,
        "event_time": "2026-11-21 11:59:00",
    }
    return {"event_name": "transactional_email_status", "event_data": {**data, **fields}}


def signed(body: dict[str, JsonValue], key: str = KEY, separators: tuple[str, str] = (",", ":")) -> bytes:
    with_key = json.dumps({"auth": key, **body}, separators=separators)
    auth = hashlib.md5(with_key.encode(), usedforsecurity=False).hexdigest()
    return json.dumps({"auth": auth, **body}, separators=separators).encode()


def of_users(*users: JsonValue) -> dict[str, JsonValue]:
    return {"events_by_user": [*users]}


def read(body: bytes) -> ParsedEvents:
    return told("unisender_go", body, {})


EVENTS: list[tuple[str, str, bool]] = [
    ("sent", "sent", False),
    ("delivered", "delivered", False),
    ("opened", "opened", False),
    ("clicked", "clicked", False),
    ("soft_bounced", "deferred", False),
    ("hard_bounced", "bounced", True),
    ("spam", "complained", False),
    ("unsubscribed", "unsubscribed", False),
    ("subscribed", "other", False),
]


def test_events_of_all_users_in_utc() -> None:
    first, rest = [event(EVENTS[0][0])], [event(status) for status, _, _ in EVENTS[1:]]
    blocked: JsonValue = {"event_name": "transactional_spam_block", "event_data": {"block_time": "2026-11-21 11:59:00"}}
    parsed = read(signed(of_users({"user_id": 1, "events": [*first, blocked]}, {"user_id": 2, "events": [*rest]})))
    assert summary(parsed) == [("m_1", kind, hard) for _, kind, hard in EVENTS]
    assert parsed.problems == []
    assert {one.at.isoformat() for one in parsed.engagements} == {"2026-11-21T11:59:00+00:00"}


def test_a_post_may_be_one_event() -> None:
    assert summary(read(signed(event("hard_bounced")))) == [("m_1", "bounced", True)]


def test_a_bounce_has_its_reason_and_a_click_its_link() -> None:
    why: JsonValue = {"delivery_status": "err_user_unknown", "destination_response": "550 no such user"}
    told_of = [event("hard_bounced", delivery_info=why), event("clicked", url="https://shop.example.com/cart")]
    bounce, click = read(signed(of_users({"events": [*told_of]}))).engagements
    assert (bounce.code, bounce.reason) == ("err_user_unknown", "550 no such user")
    assert click.url == "https://shop.example.com/cart"


def test_a_bad_event_does_not_cost_its_neighbours() -> None:
    bad: list[JsonValue] = [None, 7, {}, event("opened", metadata=None), event("opened", event_time="soon"), {"event_data": 7}]
    parsed = read(signed(of_users({"events": [event("opened"), *bad, event("clicked")]}, None)))
    assert summary(parsed) == [("m_1", "opened", False), ("m_1", "clicked", False)]
    assert [index for index, _, _ in parsed.problems] == [1, 2, 3, 4, 5, 6, 8]


def test_by_get_it_only_tries_whether_somebody_answers() -> None:
    made = filled("unisender_go")
    parsed = read_post(ESPS.load("unisender_go"), made, Post({}, b"", method="GET"), lambda: NOW)
    assert (parsed.greeting, parsed.engagements, parsed.problems) == ({}, [], [])


def test_a_body_altered_anywhere_is_refused() -> None:
    body = signed(of_users({"events": [event("opened")]}))
    assert read(body).engagements
    altered = [body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] for at in range(len(body))]
    for raw in (*altered, body + b" ", body[:-1], b"", b"{}", b"\xff", signed(event("opened"), "guess")):
        with pytest.raises(BadRequest) as refused:
            read(raw)
        assert refused.value.status == 401


def test_the_body_is_signed_as_it_was_written() -> None:
    written = signed(of_users({"events": [event("opened", url="https://shop.example.com/é")]}), separators=(", ", ": "))
    assert len(read(written).engagements) == 1


def test_both_keys_are_valid_and_no_other() -> None:
    webhook = keyed("unisender_go")
    for key in KEYS[:2]:
        assert told("unisender_go", signed(event("opened"), key), {}, changes={"webhook": webhook}).engagements
    with pytest.raises(BadRequest):
        told("unisender_go", signed(event("opened"), KEYS[2]), {}, changes={"webhook": webhook})


@pytest.mark.parametrize("users", [7, "x", {}])
def test_a_signed_body_that_holds_no_events_is_the_callers_mistake(users: JsonValue) -> None:
    with pytest.raises(BadRequest) as refused:
        read(signed({"events_by_user": users}))
    assert refused.value.status == 400


def test_a_signature_made_elsewhere() -> None:
    """With md5sum: of `{"auth":"api_key","key":"value"}`."""
    body = b'{"auth":"8c64386327f53722434f44021a7a0d40","key":"value"}'
    parsed = told("unisender_go", body, {}, changes={"webhook": keyed("unisender_go", ["api_key"])})
    assert len(parsed.problems) == 1


def test_the_sample_post_is_a_click_and_a_bounce() -> None:
    parsed = read_post(ESPS.load("unisender_go"), filled("unisender_go"), sample_post("unisender_go"), lambda: NOW)
    assert summary(parsed) == [("m_ada", "clicked", False), ("m_grace", "bounced", True)]
