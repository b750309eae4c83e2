from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast
from urllib.parse import urlencode

import pytest
from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Sent
from connectors.esps.vonage import CONNECTOR
from connectors.esps.webhooks import ParsedEvents, read_post
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, rendered, sample_post, sandbox_of, send
from tests.contract.sample import filled
from tests.sandbox.esps.vonage import VonageSandbox, as_form, as_json, signature

ADA = "15550100001"
AT = int(NOW.timestamp())
SECRET = "secret-of-vonage-signature-secret-0123"


@pytest.fixture(scope="module")
def running() -> Iterator[VonageSandbox]:
    with sandbox_of("vonage") as sandbox:
        yield cast("VonageSandbox", sandbox)


@pytest.fixture
def vonage(running: VonageSandbox) -> VonageSandbox:
    running.control("reset")
    return running


def one(vonage: VonageSandbox, text: str = "Your cart waits", **body: JsonValue) -> Sent | SendbridgeError:
    made = at_sandbox("vonage", vonage, body={**filled("vonage").body, "text": text, **body})
    [outcome] = send(made, [rendered(made)]).outcomes
    return outcome


def test_the_keys_are_in_the_body_the_number_without_plus_and_our_id_the_reference(vonage: VonageSandbox) -> None:
    assert isinstance(one(vonage), Sent)
    [taken] = vonage.taken
    assert (taken.to, taken.ours, taken.content["api_key"]) == (ADA, rendered(filled("vonage")).id, vonage.settings.key)


@pytest.mark.parametrize("text", ["Grüße", "5 € off {today}", "\u0141\u00f3d\u017a", "\U0001f600", "a\nb & c=d"])
def test_no_letter_of_a_text_is_lost(vonage: VonageSandbox, text: str) -> None:
    assert isinstance(one(vonage, text), Sent)
    is_unicode = vonage.taken[0].content.get("type") == "unicode"
    assert is_unicode == (text in ("\u0141\u00f3d\u017a", "\U0001f600"))
    if is_unicode:
        assert vonage.taken[0].content["text"] == text


def test_a_type_that_a_user_has_set_stays(vonage: VonageSandbox) -> None:
    assert isinstance(one(vonage, "\U0001f600", type="text"), Sent)
    assert vonage.taken[0].content["type"] == "text"


@pytest.mark.parametrize(
    ("settings", "body", "outcome", "why"),
    [
        ({"secret": "another"}, {}, Misconfigured, "(4): the API key or secret is wrong"),
        ({"per_second": 0}, {}, Transient, "(1): too many messages in a second"),
        ({"balance": 0}, {}, Misconfigured, "(9): the account has no credit left"),
        ({"barred": [ADA]}, {}, Permanent, "(7): the number is barred"),
        ({}, {"to": "+15550100001"}, Permanent, "(3)"),
        ({}, {"to": None}, Permanent, "(2)"),
        ({}, {"client-ref": "x" * 41}, Permanent, "(3)"),
        ({}, {"text": "x" * 3201}, Permanent, "(12): the message is too long"),
        ({}, {"callback": "nowhere"}, Misconfigured, "(23)"),
    ],
)
def test_what_vonage_refuses_with_http_200(
    vonage: VonageSandbox, settings: dict[str, object], body: dict[str, JsonValue], outcome: type[SendbridgeError], why: str
) -> None:
    for name, value in settings.items():
        setattr(vonage.settings, name, value)
    refused = one(vonage, **body)  # type: ignore[arg-type]
    assert type(refused) is outcome
    assert why in refused.reason
    assert vonage.taken == []


def test_after_too_many_messages_none_is_sent_for_a_second(vonage: VonageSandbox) -> None:
    made = at_sandbox("vonage", vonage)
    assert send(made, [rendered(made)]).pause is None
    vonage.settings.per_second = 0
    assert send(made, [rendered(made)]).pause == 1


def test_a_message_of_which_some_segments_were_refused_is_not_sent_again(vonage: VonageSandbox) -> None:
    vonage.settings.segments_taken = 1
    refused = one(vonage, "x" * 400)
    assert type(refused) is Permanent
    assert refused.reason == "the ESP refused the message (5), but for 1 of its 3 segments"


@pytest.mark.parametrize(
    ("parts", "outcome"),
    [
        ([], Unknown),
        ([{}], Unknown),
        ([{"status": "0"}], Unknown),
        ([{"status": "0", "message-id": "A"}, {}], Unknown),
        ([{"status": "15"}], Permanent),
        ([{"status": "29"}], Permanent),
        ([{"status": "99", "error-text": "447700900000"}], Permanent),
        ([{"status": "5"}, {"status": "5"}], Transient),
    ],
)
def test_answers(parts: list[JsonValue], outcome: type[SendbridgeError]) -> None:
    made = filled("vonage")
    answer = Response(200, {}, json.dumps({"message-count": "1", "messages": parts}).encode())
    [ended] = asked(made, [rendered(made)], answer)[0].outcomes
    assert type(ended) is outcome
    assert "4477" not in ended.reason


# ---- receipts


def read(post: Post, now: int = AT, keys: tuple[str, ...] = (SECRET,)) -> ParsedEvents:
    webhook = cast("dict[str, JsonValue]", CONNECTOR.preset.definition["webhook"]) if CONNECTOR.preset else {}
    made = filled("vonage", webhook={**webhook, "secrets": [*keys]})
    return read_post(CONNECTOR, made, post, lambda: NOW.fromtimestamp(now, NOW.tzinfo))


def receipt(vonage: VonageSandbox, status: str = "delivered", algorithm: str = "sha256", **more: str) -> dict[str, str]:
    if not vonage.taken:
        assert isinstance(one(vonage), Sent)
    return vonage.receipt(vonage.taken[0], status, AT, algorithm, **more)


@pytest.mark.parametrize(
    ("status", "code", "kind", "hard"),
    [
        ("accepted", "0", "sent", False),
        ("buffered", "0", "deferred", False),
        ("delivered", "0", "delivered", False),
        ("failed", "3", "bounced", True),
        ("failed", "7", "bounced", False),
        ("rejected", "9", "bounced", True),
        ("expired", "2", "failed", False),
        ("unknown", "1", "other", False),
    ],
)
def test_receipts(vonage: VonageSandbox, status: str, code: str, kind: str, hard: bool) -> None:
    headers, body = as_form(receipt(vonage, status, **{"err-code": code}))
    [engagement] = read(Post(headers, body)).engagements
    assert (engagement.message_id, engagement.type, engagement.hard) == (vonage.taken[0].ours, kind, hard)
    assert (engagement.at.isoformat(), engagement.code) == ("2026-11-21T11:58:30+00:00", code)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_receipt_is_the_same_fact_whichever_way_it_comes(vonage: VonageSandbox, algorithm: str) -> None:
    fields = receipt(vonage, "failed", algorithm, price="1&2=3")
    by_get = Post({}, b"", "https://hooks.example.com/v1/engagements/vonage?" + urlencode(fields), "GET")
    ids = [read(post).engagements[0].id for post in (Post(*as_form(fields)), Post(*as_json(fields)), by_get)]
    assert len(set(ids)) == 1


@pytest.mark.parametrize(
    "time", ["2026-11-21 11:58:30", "2026-11-21 11:58:30 +0000", "2026-11-21T11:58:30.000+00:00", "2026-11-21T11:58:30Z"]
)
def test_spellings_of_a_time(vonage: VonageSandbox, time: str) -> None:
    [engagement] = read(Post(*as_form(receipt(vonage, **{"message-timestamp": time})))).engagements
    assert engagement.at.isoformat() == "2026-11-21T11:58:30+00:00"


def refused(post: Post, now: int = AT, keys: tuple[str, ...] = (SECRET,)) -> None:
    with pytest.raises(BadRequest) as error:
        read(post, now, keys)
    assert error.value.status == 401


def test_a_receipt_that_anything_was_changed_in_is_refused(vonage: VonageSandbox) -> None:
    fields = receipt(vonage)
    for name in fields:
        refused(Post(*as_form({**fields, name: fields[name][:-1] + "\u00e9"})))
        refused(Post(*as_json({key: value for key, value in fields.items() if key != name})))
    refused(Post(*as_form({**fields, "more": "1"})))
    refused(Post(*as_form(fields)), keys=("the-new-secret",))
    assert read(Post(*as_form(fields)), keys=("the-new-secret", SECRET)).engagements


def test_weak_signatures_and_none_are_refused(vonage: VonageSandbox) -> None:
    fields = receipt(vonage)
    del fields["sig"]
    for algorithm in ("md5hash", "md5", "sha1"):
        refused(Post(*as_form({**fields, "sig": signature(SECRET, fields, algorithm)})))
    for body in (b"", b"{", b"[]", b"\xff", json.dumps(fields).encode()):
        refused(Post({"content-type": "application/json"}, body))


def test_a_receipt_may_be_repeated_for_a_day(vonage: VonageSandbox) -> None:
    post = Post(*as_form(receipt(vonage)))
    assert read(post, AT + 86_400).engagements
    refused(post, AT + 2 * 86_400)


def test_the_sample_post_is_a_delivery() -> None:
    post = sample_post("vonage")
    [engagement] = read(post).engagements
    assert (engagement.message_id, engagement.type) == ("m_ada", "delivered")
