from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from shared.jobs import Hop, MessageJob
from shared.ledger import Ledger
from shared.links import Links
from shared.mirrors import Content, Mirrors
from show_mirror import handler
from show_mirror.page import Gallery, show
from show_mirror.settings import Settings
from tests.aws import Aws
from tests.rows import in_ledger

LINKS = Links("key", "https://sendbridge.example")
FORGED = json.loads(Path("events/show_mirror/forged_link.json").read_text())


@pytest.fixture
def gallery(aws: Aws) -> Gallery:
    made = Mirrors(aws.s3, aws.mirror_bucket())
    other = Content("<p>Other</p>", "", "", {}, "https://esp.example.com", {})
    shown = Content("<p>Zoë 🐧</p>", "Hi", "Zoë", {"to": "ada@example.com"}, "https://esp.example.com", {})
    _, kept, _ = made.keep("batch", [other, shown, other])
    in_ledger(aws, job("m_1", aws), kept=kept)
    in_ledger(aws, job("m_expired", aws), kept=kept.replace("batch", "expired"))
    ledger = Ledger(aws.dynamodb, aws.table("messages"), aws.clock, 86_400)
    return Gallery(LINKS, ledger, made, timedelta(days=90), aws.clock)


def job(message_id: str, aws: Aws) -> MessageJob:
    now = aws.clock()
    return MessageJob(
        message_id=message_id,
        trigger="abandoned",
        trigger_version=1,
        visit_id="shop#a#1",
        profile_id="p_1",
        decided="send",
        campaign="carts",
        delivery="first",
        template="cart",
        integration="postbird",
        decided_at=now,
        anchor_at=now,
        valid_until=now,
    )


def request(message_id: str, signature: str) -> dict[str, object]:
    return {**FORGED, "pathParameters": {"message_id": message_id, "signature": signature}}


def headers(answer: dict[str, object]) -> dict[str, str]:
    given = answer["headers"]
    assert isinstance(given, dict)
    return given


def test_the_page_shows_what_was_sent(gallery: Gallery) -> None:
    answer = show(request("m_1", LINKS.signature("mirror", "m_1")), gallery)
    assert (answer["statusCode"], answer["body"]) == (200, "<p>Zoë 🐧</p>")
    assert headers(answer)["content-type"] == "text/html; charset=utf-8"


def test_the_page_is_private_and_runs_nothing(gallery: Gallery) -> None:
    given = headers(show(request("m_1", LINKS.signature("mirror", "m_1")), gallery))
    assert given["x-robots-tag"] == "noindex, nofollow"
    assert given["referrer-policy"] == "no-referrer"
    assert given["cache-control"] == "private, no-store"
    policy = dict(part.strip().partition(" ")[::2] for part in given["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert "script-src" not in policy
    assert "allow-scripts" not in policy["sandbox"]


@pytest.mark.parametrize(
    ("message_id", "signature"),
    [
        ("m_1", "AAAAAAAAAAAAAAAAAAAAAA"),
        ("m_1", ""),
        ("m_1", "é"),
        ("m_1", LINKS.signature("unsubscribe", "m_1")),
        ("m_1", LINKS.signature("mirror", "m_2")),
        ("m_1", Links("other", "").signature("mirror", "m_1")),
        ("", ""),
        ("../m_1", LINKS.signature("mirror", "m_1")),
    ],
)
def test_a_link_that_is_not_ours_is_not_found(gallery: Gallery, message_id: str, signature: str) -> None:
    answer = show(request(message_id, signature), gallery)
    assert answer["statusCode"] == 404
    assert "Zo" not in str(answer["body"])


@pytest.mark.parametrize("message_id", ["m_2", "m_expired"])
def test_an_expired_page_is_gone(gallery: Gallery, message_id: str) -> None:
    answer = show(request(message_id, LINKS.signature("mirror", message_id)), gallery)
    assert answer["statusCode"] == 410
    assert headers(answer)["x-robots-tag"] == "noindex, nofollow"


def ask(gallery: Gallery, message_id: str) -> dict[str, object]:
    return show(request(message_id, LINKS.signature("mirror", message_id)), gallery)


def test_a_message_can_be_looked_at_for_as_long_as_the_deployment_says_after_it_was_sent(gallery: Gallery, aws: Aws) -> None:
    """Whenever the bucket forgets it: a lifecycle rule takes its time."""
    waited = job("m_late", aws)
    sent = Hop(at=aws.clock() + timedelta(days=5), hop="send_message", what="sent")
    [kept] = gallery.mirrors.keep("late", [Content("<p>Late</p>", "", "", {}, "https://esp.example.com", {})])
    in_ledger(aws, waited.model_copy(update={"hops": (sent,)}), kept=kept)
    aws.clock.forward(90 * 86_400 - 1)
    assert ask(gallery, "m_1")["statusCode"] == 200
    aws.clock.forward(1)
    assert ask(gallery, "m_1")["statusCode"] == 410
    assert ask(gallery, "m_late")["statusCode"] == 200
    aws.clock.forward(5 * 86_400)
    assert ask(gallery, "m_late")["statusCode"] == 410


def test_a_text_message_is_shown_as_the_text_it_is(gallery: Gallery, aws: Aws) -> None:
    [kept] = gallery.mirrors.keep("sms", [Content("", "", "1 < 2\n<b>", {}, "https://esp.example.com", {}, 1)])
    in_ledger(aws, job("m_sms", aws), kept=kept)
    assert ">1 &lt; 2\n&lt;b&gt;</p>" in str(ask(gallery, "m_sms")["body"])


def test_the_handler_reads_its_settings_and_the_key(aws: Aws, gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        environment="test",
        messages_table=aws.table("messages"),
        retention_days=400,
        mirror_bucket=aws.mirror_bucket(),
        mirror_days=90,
        secret_prefix=aws.secret_prefix,
        base_url="https://sendbridge.example",
    )
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    aws.secretsmanager.create_secret(Name=f"{aws.secret_prefix}/links", SecretString='{"key": "key"}')
    handler._gallery.cache_clear()
    answer = handler.handle(request("m_1", LINKS.signature("mirror", "m_1")), None)
    handler._gallery.cache_clear()
    assert isinstance(answer, dict)
    assert answer["statusCode"] == 200
    assert json.loads(json.dumps(answer)) == answer
