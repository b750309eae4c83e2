from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

import pytest
from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Sent
from connectors.esps.bird import CONNECTOR
from connectors.esps.webhooks import ParsedEvents, read_post
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError
from shared.exchange import Response
from tests.connectors.esps.sending import NOW, asked, at_sandbox, rendered, sample_post, sandbox_of, send
from tests.contract.sample import filled
from tests.sandbox.esps.bird import BirdSandbox, claims, jwt

AT = int(NOW.timestamp())
KEY = "secret-of-bird-signing-key-0123"
URL = "https://hooks.example.com/v1/engagements/bird?id=b0&reference=m_1&status=delivered&statusDatetime=2026-11-21T11%3A58%3A30Z"
HEADER = "messagebird-signature-jwt"


@pytest.fixture(scope="module")
def running() -> Iterator[BirdSandbox]:
    with sandbox_of("bird") as sandbox:
        yield cast("BirdSandbox", sandbox)


@pytest.fixture
def bird(running: BirdSandbox) -> BirdSandbox:
    running.control("reset")
    return running


def one(bird: BirdSandbox, **body: JsonValue) -> Sent | SendbridgeError:
    made = at_sandbox("bird", bird, body={**filled("bird").body, **body})
    [outcome] = send(made, [rendered(made)]).outcomes
    return outcome


def test_the_number_is_without_plus_and_our_id_the_reference(bird: BirdSandbox) -> None:
    assert isinstance(one(bird), Sent)
    [taken] = bird.taken
    assert (taken.to, taken.ours) == ("15550100001", rendered(filled("bird")).id)


@pytest.mark.parametrize(
    ("settings", "body", "outcome", "why"),
    [
        ({"balance": 0}, {}, Misconfigured, "(25): the account's balance"),
        ({}, {"recipients": "+15550100001"}, Permanent, "(9): a parameter is missing"),
        ({}, {"originator": "twelve chars"}, Permanent, "(10): a parameter is not valid"),
        ({}, {"body": ""}, Permanent, "(9)"),
        ({}, {"body": "x" * 1378}, Permanent, "(10)"),
        ({}, {"more": 1}, Permanent, "(10)"),
        ({"key": "another"}, {}, Misconfigured, "401"),
    ],
)
def test_what_bird_refuses(
    bird: BirdSandbox, settings: dict[str, object], body: dict[str, JsonValue], outcome: type[SendbridgeError], why: str
) -> None:
    for name, value in settings.items():
        setattr(bird.settings, name, value)
    try:
        refused = one(bird, **body)
    except Misconfigured as error:  # our credentials
        refused = error
    assert type(refused) is outcome
    assert why in refused.reason
    assert bird.taken == []


def test_a_success_whose_recipient_failed_is_none() -> None:
    made = filled("bird")
    body = json.dumps({"id": "b0", "recipients": {"items": [{"recipient": 31612345678, "status": "delivery_failed"}]}}).encode()
    [outcome] = asked(made, [rendered(made)], Response(201, {}, body))[0].outcomes
    assert type(outcome) is Permanent
    assert "(delivery_failed)" in outcome.reason


# ---- reports


def read(post: Post, now: int = AT, keys: tuple[str, ...] = (KEY,)) -> ParsedEvents:
    webhook = cast("dict[str, JsonValue]", CONNECTOR.preset.definition["webhook"]) if CONNECTOR.preset else {}
    made = filled("bird", webhook={**webhook, "secrets": [*keys]})
    return read_post(CONNECTOR, made, post, lambda: NOW.fromtimestamp(now, NOW.tzinfo))


@pytest.mark.parametrize(
    ("status", "code", "kind", "hard"),
    [
        ("sent", "0", "sent", False),
        ("buffered", "0", "deferred", False),
        ("delivered", "0", "delivered", False),
        ("delivery_failed", "1", "bounced", True),
        ("delivery_failed", "27", "bounced", False),
        ("expired", "0", "failed", False),
        ("scheduled", "0", "other", False),
    ],
)
def test_reports(bird: BirdSandbox, status: str, code: str, kind: str, hard: bool) -> None:
    assert isinstance(one(bird), Sent)
    url, headers = bird.report(bird.taken[0], status, AT, statusErrorCode=code)
    [engagement] = read(Post(headers, b"", url, "GET")).engagements
    assert (engagement.message_id, engagement.type, engagement.hard) == (bird.taken[0].ours, kind, hard)
    assert (engagement.at.isoformat(), engagement.code) == ("2026-11-21T11:58:30+00:00", code)


def test_a_report_without_our_reference_is_a_problem_and_no_failure() -> None:
    url = "https://hooks.example.com/v1/engagements/bird?id=b0&status=sent"
    assert read(Post({HEADER: jwt(KEY, claims(url, AT))}, b"", url, "GET")).problems


def refused(token: str, url: str = URL, body: bytes = b"", now: int = AT, keys: tuple[str, ...] = (KEY,)) -> None:
    with pytest.raises(BadRequest) as error:
        read(Post({HEADER: token}, body, url, "GET"), now, keys)
    assert (error.value.status, error.value.field) == (401, HEADER)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_each_algorithm_is_taken_under_either_key(algorithm: str) -> None:
    token = jwt(KEY, claims(URL, AT), algorithm)
    for keys in ((KEY,), ("the-new-key", KEY)):
        assert read(Post({HEADER: token}, b"", URL, "GET"), keys=keys).engagements
    refused(token, keys=("the-new-key",))


def test_a_signature_is_for_one_address_one_body_and_a_minute() -> None:
    token = jwt(KEY, claims(URL, AT))
    refused(token, URL.replace("delivered", "expired"))
    refused(token, URL.replace("https", "http"))
    refused(token, body=b"x")
    refused(jwt(KEY, claims(URL, AT, b"x")))
    refused(jwt(KEY, claims(URL, AT, b"x")), body=b"y")
    for off in (-61, 121, 86_400):
        refused(token, now=AT + off)
    for off in (-59, 119):
        assert read(Post({HEADER: token}, b"", URL, "GET"), AT + off).engagements
    assert read(Post({HEADER: jwt(KEY, claims(URL, AT, b"x"))}, b"x", URL)).engagements


def test_what_is_no_such_signature_is_refused() -> None:
    good = jwt(KEY, claims(URL, AT))
    head, said, signature = good.split(".")
    for token in (
        "",
        "x",
        "..",
        f"{head}.{said}.",
        f"{head}.{said}",
        good + "A",
        f"{said}.{head}.{signature}",
        "\ud800.\ud800.\ud800",
    ):
        refused(token)
    refused(jwt("", claims(URL, AT), "none"))
    for other in range(0, len(good), 5):
        refused(good[:other] + ("A" if good[other] != "A" else "B") + good[other + 1 :])


@pytest.mark.parametrize("claim", ["iss", "nbf", "exp", "url_hash"])
@pytest.mark.parametrize("value", [None, "", "soon", [], {"a": 1}])
def test_claims_may_be_anything(claim: str, value: JsonValue) -> None:
    refused(jwt(KEY, {**claims(URL, AT), claim: value}))


def test_the_sample_post_is_a_delivery() -> None:
    [engagement] = read(sample_post("bird")).engagements
    assert (engagement.message_id, engagement.type) == ("m_ada", "delivered")
