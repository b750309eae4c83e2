from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

import pytest
from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Sent
from connectors.esps.twilio import CONNECTOR
from connectors.esps.webhooks import ParsedEvents, read_post
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, rendered, sample_post, sandbox_of, send
from tests.contract.sample import filled
from tests.sandbox.esps.twilio import TwilioSandbox, json_post

ADA = "+15550100001"
TOKEN = "secret-of-twilio-auth-token-0123"


@pytest.fixture(scope="module")
def running() -> Iterator[TwilioSandbox]:
    with sandbox_of("twilio") as sandbox:
        yield cast("TwilioSandbox", sandbox)


@pytest.fixture
def twilio(running: TwilioSandbox) -> TwilioSandbox:
    running.control("reset")
    return running


def one(twilio: TwilioSandbox, text: str = "Your cart waits", **body: JsonValue) -> Sent | SendbridgeError:
    made = at_sandbox("twilio", twilio, body={**filled("twilio").body, "Body": text, **body})
    [outcome] = send(made, [rendered(made)]).outcomes
    return outcome


def test_our_id_is_in_the_callbacks_address(twilio: TwilioSandbox) -> None:
    assert isinstance(one(twilio), Sent)
    ours = rendered(filled("twilio")).id
    assert twilio.taken[0].content["StatusCallback"] == f"https://hooks.example.com/v1/engagements/twilio?message_id={ours}"


def test_whatever_is_in_a_text_stays_in_it(twilio: TwilioSandbox) -> None:
    text = "50 % off & more: a=b;\u20ac\n\U0001f600 To=+15005550009"
    assert isinstance(one(twilio, text), Sent)
    assert (twilio.taken[0].content["Body"], twilio.taken[0].to) == (text, ADA)


@pytest.mark.parametrize(
    ("settings", "body", "outcome", "why"),
    [
        ({"opted_out": [ADA]}, {}, Permanent, "(21610): the recipient has opted out"),
        ({"landlines": [ADA]}, {}, Permanent, "(21614): the number cannot receive SMS"),
        ({}, {"To": "0043"}, Permanent, "(21211): the number is no valid"),
        ({}, {"From": "+15005550000"}, Misconfigured, "(21606)"),
        ({}, {"From": None}, Misconfigured, "(21603)"),
        ({}, {"Body": "x" * 1601}, Permanent, "(21617)"),
        ({}, {"Body": ""}, Permanent, "(21602)"),
        ({}, {"StatusCallback": "nowhere"}, Permanent, "(21609)"),
        ({"per_second": 0}, {}, Transient, "(20429)"),
        ({"token": "another"}, {}, Misconfigured, "401"),
    ],
)
def test_what_twilio_refuses(
    twilio: TwilioSandbox, settings: dict[str, object], body: dict[str, JsonValue], outcome: type[SendbridgeError], why: str
) -> None:
    for name, value in settings.items():
        setattr(twilio.settings, name, value)
    try:
        refused = one(twilio, **body)  # type: ignore[arg-type]
    except Misconfigured as error:  # our credentials
        refused = error
    assert type(refused) is outcome
    assert why in refused.reason
    assert ADA not in refused.reason
    assert twilio.taken == []


def test_a_message_that_will_not_be_sent_is_no_success() -> None:
    made = filled("twilio")
    body = json.dumps({"sid": "SM1", "status": "failed", "error_code": 21610}).encode()
    [outcome] = asked(made, [rendered(made)], Response(201, {}, body))[0].outcomes
    assert isinstance(outcome, Permanent)
    assert "opted out" in outcome.reason


@pytest.mark.parametrize("code", [21408, 21608])
def test_what_is_wrong_with_one_recipient_does_not_stop_the_others(code: int) -> None:
    made = filled("twilio")
    body = json.dumps({"code": code, "message": f"not to {ADA}", "status": 400}).encode()
    [outcome] = asked(made, [rendered(made)], Response(400, {}, body))[0].outcomes
    assert type(outcome) is Permanent


# ---- callbacks


def read(post: Post, hour: int = 12, keys: tuple[str, ...] = (TOKEN,)) -> ParsedEvents:
    webhook = CONNECTOR.preset.definition["webhook"] if CONNECTOR.preset else {}
    made = filled("twilio", webhook={**cast("dict[str, JsonValue]", webhook), "secrets": [*keys]})
    return read_post(CONNECTOR, made, post, lambda: NOW.replace(hour=hour))


def told(twilio: TwilioSandbox, status: str, **more: str) -> Post:
    if not twilio.taken:
        assert isinstance(one(twilio), Sent)
    url, headers, body = twilio.callback(twilio.taken[0], status, **more)
    return Post(headers, body, url)


@pytest.mark.parametrize(
    ("status", "more", "kind", "hard"),
    [
        ("queued", {}, "other", False),
        ("sent", {}, "sent", False),
        ("delivered", {}, "delivered", False),
        ("read", {}, "opened", False),
        ("undelivered", {"ErrorCode": "30005"}, "bounced", True),
        ("undelivered", {"ErrorCode": "30003"}, "bounced", False),
        ("failed", {"ErrorCode": "30001"}, "failed", False),
        ("failed", {"ErrorCode": "21610"}, "unsubscribed", False),
    ],
)
def test_callbacks(twilio: TwilioSandbox, status: str, more: dict[str, str], kind: str, hard: bool) -> None:
    [engagement] = read(told(twilio, status, **more)).engagements
    assert (engagement.message_id, engagement.type, engagement.hard) == (twilio.taken[0].ours, kind, hard)
    assert (engagement.at, engagement.code) == (NOW, more.get("ErrorCode", ""))


def test_a_repeated_callback_is_the_same_fact_and_another_status_another(twilio: TwilioSandbox) -> None:
    first, again = (read(told(twilio, "sent"), hour).engagements[0] for hour in (12, 15))
    assert first.id == again.id != read(told(twilio, "delivered")).engagements[0].id


def test_a_callback_that_anything_was_changed_in_is_refused(twilio: TwilioSandbox) -> None:
    post = told(twilio, "delivered")
    signature = post.headers["x-twilio-signature"]
    changed = [
        Post(post.headers, post.body.replace(b"delivered", b"failed", 1), post.url),
        Post(post.headers, post.body + b"&More=1", post.url),
        Post(post.headers, post.body, post.url[:-1] + "2"),
        Post(post.headers, post.body, post.url.replace("https", "http")),
        Post({}, post.body, post.url),
        Post({"x-twilio-signature": "\ud800"}, b"\xff", post.url),
        Post({"x-twilio-signature": signature[:-1]}, post.body, post.url),
    ]
    for other in changed:
        with pytest.raises(BadRequest) as refused:
            read(other)
        assert refused.value.status == 401


def test_the_token_before_is_good_too_and_no_other(twilio: TwilioSandbox) -> None:
    post = told(twilio, "delivered")
    assert read(post, keys=("the-new-token", TOKEN)).engagements
    with pytest.raises(BadRequest, match="does not match"):
        read(post, keys=("the-new-token",))


def test_a_json_body_is_signed_by_its_hash() -> None:
    body = json.dumps({"MessageSid": "SM1", "MessageStatus": "delivered"}).encode()
    url, headers = json_post("https://hooks.example.com/v1/engagements/twilio?message_id=m_1", TOKEN, body)
    assert [one.type for one in read(Post(headers, body, url)).engagements] == ["delivered"]
    for bad in (Post(headers, body + b" ", url), Post(headers, body, url[:-1] + ("0" if url[-1] != "0" else "1"))):
        with pytest.raises(BadRequest) as refused:
            read(bad)
        assert refused.value.status == 401


def test_twilios_own_example_of_a_signature_holds() -> None:
    """From the tests of Twilio's own helper library (read 2026-11-21)."""
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    body = b"Digits=1234&To=%2B18005551212&From=%2B14158675309&Caller=%2B14158675309&CallSid=CA1234567890ABCDE"
    headers = {"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="}
    assert read(Post(headers, body, url), keys=("12345",)).problems
    with pytest.raises(BadRequest, match="does not match"):
        read(Post(headers, body + b"0", url), keys=("12345",))


def test_the_sample_post_is_a_hard_bounce() -> None:
    [engagement] = read(sample_post("twilio")).engagements
    assert (engagement.message_id, engagement.type, engagement.hard) == ("m_ada", "bounced", True)
