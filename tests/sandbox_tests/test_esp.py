"""Postbird refuses what its reference says it refuses, and takes each message once."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.sandbox.esp import MAX_BODY, EspSandbox, EspSettings
from tests.sandbox.esp_messages import first_link
from tests.sandbox.journal import Journal
from tests.sandbox_tests.conftest import Client, esp_token, until

ADA: dict[str, object] = {
    "from": {"email": "shop@shop.example", "name": "Shop"},
    "to": {"email": "ada@example.com"},
    "subject": "You left a lamp",
    "html": '<p>Hello</p><a href="https://shop.example/cart?a=1&amp;b=2">Cart</a><a href="https://other.example">x</a>',
    "metadata": {"message_id": "m-1"},
}


def send(sender: Client, message: object = ADA, **headers: str) -> httpx.Response:
    content = message if isinstance(message, bytes) else json.dumps(message).encode()
    return sender.call("POST", "/v1/messages", content=content, headers={"content-type": "application/json", **headers})


def error(answer: httpx.Response) -> tuple[int, str, str | None]:
    body = answer.json()["error"]
    return answer.status_code, body["code"], body.get("field")


def test_a_message_is_taken_and_shown(esp: EspSandbox, sender: Client) -> None:
    answer = send(sender)
    assert answer.status_code == 202
    assert answer.json()["status"] == "accepted"
    assert answer.headers["x-ratelimit-remaining"].isdecimal()
    (taken,) = esp.inbox("ada@example.com")
    assert taken.id == answer.json()["id"]
    assert taken.message.metadata == {"message_id": "m-1"}
    assert "You left a lamp" in sender.http.get("/inbox").text
    page = sender.http.get(f"/inbox/{taken.id}").text
    assert "<p>Hello</p>" not in page
    assert "&lt;p&gt;Hello&lt;/p&gt;" in page


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"extra": 1}, "extra"),
        ({"to": {"email": "nobody"}}, "to.email"),
        ({"to": {"email": "a@b.example", "cc": "x"}}, "to.cc"),
        ({"to": "ada@example.com"}, "to"),
        ({"subject": 5}, "subject"),
        ({"subject": "two\r\nBcc: x@y.example"}, "subject"),
        ({"html": ""}, "html"),
        ({"text": None}, "text"),
        ({"metadata": {"n": 1}}, "metadata.n"),
        ({"metadata": {str(n): "x" for n in range(11)}}, "metadata"),
        ({"headers": {"Subject": "x"}}, "headers"),
    ],
)
def test_a_wrong_field_is_named(sender: Client, change: dict[str, object], field: str) -> None:
    assert error(send(sender, {**ADA, **change})) == (422, "invalid_request", field)


@pytest.mark.parametrize("name", ["from", "to", "subject", "html"])
def test_a_missing_field_is_named(sender: Client, name: str) -> None:
    assert error(send(sender, {k: v for k, v in ADA.items() if k != name})) == (422, "invalid_request", name)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe{}", b'{"html": NaN', b"[" * 10_000])
def test_what_is_not_json_is_a_400(sender: Client, body: bytes) -> None:
    assert error(send(sender, body))[:2] == (400, "invalid_json")


@pytest.mark.parametrize(
    ("html", "link"),
    [
        ("<A class=\"b\"\nHREF = 'https://a.example/?x=1&amp;y=2'>", "https://a.example/?x=1&y=2"),
        ('<!-- <a href="https://no.example"> --><a href="mailto:x@y.example"><a href="http://b.example">', "http://b.example"),
        ('<link href="https://no.example"><abbr href="https://no.example"><a data-href="https://no.example">', None),
        ("<p>none</p>", None),
    ],
)
def test_the_link_that_gets_clicked(html: str, link: str | None) -> None:
    assert first_link(html) == link


def test_type_size_and_key_are_checked(esp: EspSandbox, sender: Client) -> None:
    assert error(send(sender, **{"content-type": "text/plain"}))[:2] == (415, "unsupported_media_type")
    assert error(send(sender, b" " * (MAX_BODY + 1)))[:2] == (413, "too_large")
    assert error(send(sender, **{"idempotency-key": "k" * 257}))[:2] == (400, "invalid_idempotency_key")
    assert len(esp.refused) == 3
    assert esp.messages == {}


def test_tokens_are_checked(esp: EspSandbox, sender: Client) -> None:
    expired, sender.token = sender.token, "unknown"
    assert error(send(sender))[:2] == (401, "invalid_token")
    sender.token = expired
    esp.clock.advance(60)
    answer = send(sender)
    assert error(answer)[:2] == (401, "token_expired")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    sender.token = esp_token(sender.http, esp.settings)
    assert esp.control("revoke_tokens") == {"revoked": 1}
    assert error(send(sender))[:2] == (401, "invalid_token")
    assert esp.messages == {}


def test_the_token_endpoint_refuses_as_oauth_says(esp: EspSandbox, sender: Client) -> None:
    good = {"grant_type": "client_credentials", "client_id": "postbird-client", "client_secret": "postbird-secret"}
    post = sender.http.post
    assert post("/oauth/token", data={**good, "client_secret": "x"}).json()["error"] == "invalid_client"
    assert post("/oauth/token", data={**good, "client_secret": "x"}).status_code == 401
    assert post("/oauth/token", data={**good, "grant_type": "password"}).json()["error"] == "unsupported_grant_type"
    assert post("/oauth/token", json=good).status_code == 400
    basic = (good["client_id"], good["client_secret"])
    assert post("/oauth/token", data={"grant_type": "client_credentials"}, auth=basic).json()["expires_in"] == 60
    assert post("/oauth/token", data=good, auth=basic).json()["error"] == "invalid_request"
    wrong = post("/oauth/token", data={"grant_type": "client_credentials"}, auth=("postbird-client", "x"))
    assert (wrong.status_code, wrong.headers["www-authenticate"][:5]) == (401, "Basic")
    assert esp.faults.traffic["token"].statuses == {200: 2, 400: 3, 401: 3}


def test_the_same_key_sends_once(esp: EspSandbox, sender: Client) -> None:
    first, second = send(sender, **{"idempotency-key": "k"}), send(sender, **{"idempotency-key": "k"})
    assert first.json() == second.json()
    assert (second.status_code, second.headers["idempotent-replayed"]) == (202, "true")
    other = send(sender, {**ADA, "subject": "Other"}, **{"idempotency-key": "k"})
    assert error(other)[:2] == (409, "idempotency_mismatch")
    assert len(esp.messages) == 1
    esp.clock.advance(24 * 3600 + 1)
    sender.token = esp_token(sender.http, esp.settings)
    assert send(sender, **{"idempotency-key": "k"}).json() != first.json()


def test_a_key_in_progress_is_refused_for_a_second(esp: EspSandbox, sender: Client) -> None:
    esp.control("settings", processing_seconds=1.5)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(send, sender, **{"idempotency-key": "k"})
        until(lambda: "k" in esp.keys)
        refused = send(sender, **{"idempotency-key": "k"})
        taken = first.result()
    assert error(refused)[:2] == (409, "idempotency_in_progress")
    assert refused.headers["retry-after"] == "1"
    assert taken.status_code == 202
    assert esp.faults.traffic["messages"].max_in_flight == 2


def test_without_idempotency_every_call_sends(esp: EspSandbox, sender: Client) -> None:
    esp.control("settings", honours_idempotency=False)
    assert send(sender, **{"idempotency-key": "k"}).json() != send(sender, **{"idempotency-key": "k"}).json()
    assert len(esp.messages) == 2


def test_the_rate_limit_says_when_to_come_back(esp: EspSandbox, sender: Client) -> None:
    esp.control("settings", rate_limit=2, rate_window_seconds=20)
    assert [send(sender).headers["x-ratelimit-remaining"] for _ in "ab"] == ["1", "0"]
    answer = send(sender)
    assert error(answer)[:2] == (429, "rate_limited")
    esp.clock.advance(int(answer.headers["retry-after"]))
    assert send(sender).status_code == 202


def test_what_was_taken_survives_a_restart(tmp_path: Path) -> None:
    answers = []
    for _ in "ab":
        with EspSandbox.run(EspSettings(), journal=Journal(tmp_path / "esp.jsonl")) as esp:
            with httpx.Client(base_url=esp.url, trust_env=False) as http:
                answers.append(send(Client(http, esp_token(http, esp.settings)), **{"idempotency-key": "k"}).json())
            assert len(esp.messages) == 1
    assert answers[0] == answers[1]


def test_controls_refuse_what_they_do_not_know(esp: EspSandbox) -> None:
    calls: list[Callable[[], object]] = [
        lambda: esp.control("settings", nonsense=1),
        lambda: esp.control("fail", target="api", mode="down"),
        lambda: esp.control("webhook", url="http://127.0.0.1:1/x", secret="whsec_short"),
        lambda: esp.control("emit"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="errors"):
            call()


def test_reset_forgets_everything(esp: EspSandbox, sender: Client) -> None:
    send(sender)
    esp.control("reset")
    assert esp.ask("inbox") == {"messages": []}
    assert esp.ask("traffic") == {
        name: {"calls": 0, "in_flight": 0, "max_in_flight": 0, "statuses": {}} for name in ("messages", "token")
    }
