"""Postbird's webhooks: signed by the specification, repeated, out of order, retried under one id."""

import base64
import json
import time
from collections import Counter
from itertools import pairwise

import pytest

from tests.sandbox.esp import EspSandbox
from tests.sandbox.standard_webhooks import broken, key_of, signature
from tests.sandbox_tests.conftest import Client, Receiver, until
from tests.sandbox_tests.test_esp import ADA, send

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
GRACE = {**ADA, "to": {"email": "grace@example.com"}}


def test_the_specification_s_own_vector() -> None:
    made = signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    spoilt = broken({"webhook-signature": made})["webhook-signature"]
    assert spoilt != made
    assert len(base64.b64decode(spoilt[3:])) == 32


@pytest.mark.parametrize("secret", ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_é", "whsec_c2hvcnQ=", "whsec_@@@@"])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        key_of(secret)


def test_a_life_is_posted_signed(esp: EspSandbox, sender: Client, receiver: Receiver) -> None:
    esp.control("webhook", url=receiver.url, secret=SECRET)
    message = send(sender).json()["id"]
    (outcome,) = esp.control("emit", message_ids=[message])
    assert outcome["status"] == 200
    headers, body = receiver.received[0]
    assert headers["webhook-id"] == outcome["webhook_id"]
    stamp = int(headers["webhook-timestamp"])
    assert abs(stamp - time.time()) < 5
    assert headers["webhook-signature"] == signature(SECRET, headers["webhook-id"], stamp, body)
    delivered, opened, clicked = json.loads(body)["events"]
    assert [e["type"] for e in (delivered, opened, clicked)] == ["message.delivered", "message.opened", "message.clicked"]
    assert clicked["url"] == "https://shop.example/cart?a=1&b=2"
    assert clicked["metadata"] == {"message_id": "m-1"}
    assert clicked["message_id"] == message
    assert delivered["time"] < opened["time"] < clicked["time"]


def test_a_dead_address_bounces(esp: EspSandbox, sender: Client, receiver: Receiver) -> None:
    esp.control("webhook", url=receiver.url, secret=SECRET)
    send(sender, GRACE)
    esp.control("emit")
    (event,) = receiver.events()
    assert event["type"] == "message.bounced"
    assert event["recipient"] == "grace@example.com"
    assert event["bounce"] == {"type": "hard", "code": "550", "reason": "5.1.1 The email account does not exist"}


def test_other_events_are_made_on_request(esp: EspSandbox, sender: Client, receiver: Receiver) -> None:
    esp.control("webhook", url=receiver.url, secret=SECRET)
    send(sender)
    esp.control("emit", types=["complained", "unsubscribed", "clicked"], url="https://a.example/2", reverse=True, batch=1)
    esp.control("emit", types=["complained", "bounced"], bounce="soft")
    first = receiver.events()
    assert [e["type"] for e in first[:3]] == ["message.clicked", "message.unsubscribed", "message.complained"]
    assert first[0]["url"] == "https://a.example/2"
    assert first[3]["id"] == first[2]["id"]
    assert first[4]["bounce"]["type"] == "soft"  # type: ignore[index]


def test_emit_can_spoil_and_repeat(esp: EspSandbox, sender: Client, receiver: Receiver) -> None:
    esp.control("webhook", url=receiver.url, secret=SECRET)
    send(sender)
    for spoil in ("signature", "body", "timestamp"):
        esp.control("emit", spoil=spoil)
    esp.control("emit", repeat=2)
    esp.control("emit", raw='{"events": [')
    good = []
    for headers, body in receiver.received:
        stamp = int(headers["webhook-timestamp"])
        made = signature(SECRET, headers["webhook-id"], stamp, body)
        good.append((made == headers["webhook-signature"], time.time() - stamp < 300))
    assert good == [(False, True), (False, True), (True, False), (True, True), (True, True), (True, True)]
    assert receiver.received[3][0]["webhook-id"] == receiver.received[4][0]["webhook-id"]
    assert receiver.received[5][1] == b'{"events": ['


def test_auto_repeats_and_shuffles_but_loses_nothing(esp: EspSandbox, sender: Client, receiver: Receiver) -> None:
    esp.control("events", mode="auto", seed=7, delay_seconds=0.05, batch_max=5)
    messages = [send(sender).json()["id"] for _ in range(30)]
    esp.control("webhook", url=receiver.url, secret=SECRET)
    until(lambda: esp.ask("waiting") == {"events": 0} and len({e["id"] for e in receiver.events()}) == 90)
    seen = Counter(str(e["id"]) for e in receiver.events())
    kinds = [(e["message_id"], e["type"]) for e in receiver.events()]
    assert max(seen.values()) > 1
    assert any(kinds.index((m, "message.clicked")) < kinds.index((m, "message.delivered")) for m in messages)
    assert len(receiver.received) < sum(seen.values())


def test_a_failed_post_is_retried_under_its_id(esp: EspSandbox, sender: Client, receiver: Receiver) -> None:
    esp.control("events", mode="manual", retry_seconds=0.05)
    esp.control("webhook", url=receiver.url, secret=SECRET)
    receiver.answers = [500, 302, 429]
    send(sender)
    esp.control("emit")
    until(lambda: len(receiver.received) == 4)
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1
    until(lambda: esp.poster.deliveries[0].outcome == "delivered")
    times = [float(str(attempt["time"])) for attempt in esp.poster.deliveries[0].attempts]
    assert [later - sooner > 0.05 * 2**n for n, (sooner, later) in enumerate(pairwise(times))] == [True] * 3


def test_it_gives_up_and_it_obeys_410(esp: EspSandbox, sender: Client, receiver: Receiver) -> None:
    esp.control("events", mode="manual", retry_seconds=0.01, give_up_seconds=0.2)
    esp.control("webhook", url=receiver.url, secret=SECRET)
    receiver.answers = [500] * 50
    send(sender)
    esp.control("emit")
    until(lambda: esp.poster.deliveries[0].outcome == "gave_up")
    assert 1 < len(receiver.received) < 10
    receiver.answers = [410]
    esp.control("emit")
    assert esp.poster.deliveries[1].outcome == "disabled"
    with pytest.raises(ValueError, match="set it first"):
        esp.control("emit")
