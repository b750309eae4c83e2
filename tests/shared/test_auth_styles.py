"""Every way to sign in, sent for real to a server that takes that one and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
from pydantic import TypeAdapter

from shared.auth import Auth
from shared.clock import utc_now
from shared.errors import Misconfigured, SendbridgeError, Transient
from shared.exchange import Request, Response
from shared.http import Http
from shared.secrets import Secrets
from shared.state import Leases
from shared.tokens import Tokens
from tests.connectors.esps.sending import Free, Kept
from tests.sandbox.auth_styles import StyleSandbox

Settings = dict[str, Any]
"""As JSON, of a server or of an integration."""


@pytest.fixture(scope="module")
def running() -> Iterator[StyleSandbox]:
    with StyleSandbox.run() as sandbox:
        yield sandbox


@dataclass
class Client:
    """One process that sends to the server."""

    server: StyleSandbox
    http: Http
    tokens: Tokens

    def send(self, auth: Settings, **request: Any) -> Response:
        """One message, signed in to as this auth says."""
        made: Auth = TypeAdapter(Auth).validate_python({**auth, **self._where(auth)})
        asked = Request("POST", f"{self.server.url}/v1/messages", {"content-type": "application/json"}, BODY)
        return self.tokens.authorised("integration", "esp", made, self.http.send)(Request(**{**vars(asked), **request}))

    def _where(self, auth: Settings) -> Settings:
        return {"token_url": f"{self.server.url}/oauth/token"} if auth["type"] == "oauth2" else {}

    def is_refused(self, auth: Settings, **request: Any) -> bool:
        """Whether it is, and nothing was taken."""
        try:
            status = self.send(auth, **request).status
        except SendbridgeError:
            status = 401
        return status in (400, 401, 403) and self.server.taken == []


BODY = json.dumps({"to": "ada@example.com", "message_id": "m_1"}).encode()


@pytest.fixture
def client(running: StyleSandbox) -> Iterator[Client]:
    running.control("reset")
    http = Http((running.url,))
    tokens = Tokens(cast("Secrets", Kept()), cast("Leases", Free()), http.send, utc_now)
    yield Client(running, http, tokens)
    http.close()


BASIC = {"type": "basic", "username": "shop", "password": "pass-0123456789"}
BEARER = {"type": "bearer", "token": "key-0123456789"}
OAUTH = {"type": "oauth2", "client_id": "client-1", "client_secret": "secret-0123456789"}
SIGNER = {"access_key_id": "AKIDEXAMPLE0123456", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
SIGV4 = {"type": "sigv4", "region": "eu-west-1", **SIGNER}

STYLES: dict[str, tuple[Settings, Settings]] = {
    "none": ({"style": "none"}, {"type": "none"}),
    "basic": ({"style": "basic"}, BASIC),
    "basic with other letters": (
        {"style": "basic", "user": "sh\u00f6p", "password": "p:\u20ac 0123456789"},
        {**BASIC, "username": "sh\u00f6p", "password": "p:\u20ac 0123456789"},
    ),
    "basic with an empty password": ({"style": "basic", "password": ""}, {**BASIC, "password": ""}),
    "bearer": ({"style": "bearer"}, BEARER),
    "bearer of another scheme": ({"style": "bearer", "scheme": "AccessKey"}, {**BEARER, "scheme": "AccessKey"}),
    "oauth2": ({}, {}),
    "oauth2, credentials in a header": ({"credentials_in": "header"}, {"send_credentials_in": "header"}),
    "oauth2, odd credentials in a header": (
        {"credentials_in": "header", "client_id": "a:b +%\u00e9", "client_secret": "c:d&=/~ e+%2B"},
        {"send_credentials_in": "header", "client_id": "a:b +%\u00e9", "client_secret": "c:d&=/~ e+%2B"},
    ),
    "oauth2, odd credentials in the body": (
        {"client_id": "a:b +%\u00e9", "client_secret": "c:d&=/~ e+%2B"},
        {"client_id": "a:b +%\u00e9", "client_secret": "c:d&=/~ e+%2B"},
    ),
    "oauth2, other key names": (
        {"client_id_key": "clientKey", "client_secret_key": "clientPassword"},
        {"client_id_key": "clientKey", "client_secret_key": "clientPassword"},
    ),
    "oauth2, scope and audience": (
        {"scope": "send read:all", "audience": "https://api.example.com/"},
        {"scope": "send read:all", "audience": "https://api.example.com/"},
    ),
    "oauth2, more parameters": (
        {"parameters": {"account_id": "510000123", "resource": "a&b=c"}},
        {"parameters": {"account_id": "510000123", "resource": "a&b=c"}},
    ),
    "oauth2, more headers": ({"headers": {"x-tenant": "acme"}}, {"headers": {"X-Tenant": "acme"}}),
    "oauth2, json": ({"encoding": "json"}, {"encoding": "json"}),
    "oauth2, json and credentials in a header": (
        {"encoding": "json", "credentials_in": "header"},
        {"encoding": "json", "send_credentials_in": "header"},
    ),
    "oauth2, another answer": (
        {"token_field": "data.jwt", "lifetime_field": "data.ttl"},
        {"token_field": "data.jwt", "lifetime_field": "data.ttl"},
    ),
    "oauth2, another scheme": ({"scheme": "Zoho-oauthtoken"}, {"scheme": "Zoho-oauthtoken"}),
    "oauth2, everything otherwise": (
        {
            "credentials_in": "body",
            "client_id_key": "id",
            "client_secret_key": "key",
            "encoding": "json",
            "scope": "s",
            "audience": "a",
            "parameters": {"p": "\u00e9"},
            "headers": {"x-h": "h"},
            "token_field": "t.0.v",
            "lifetime_field": "l",
            "scheme": "Token",
        },
        {
            "send_credentials_in": "body",
            "client_id_key": "id",
            "client_secret_key": "key",
            "encoding": "json",
            "scope": "s",
            "audience": "a",
            "parameters": {"p": "\u00e9"},
            "headers": {"X-H": "h"},
            "token_field": "t.0.v",
            "lifetime_field": "l",
            "scheme": "Token",
        },
    ),
    "sigv4": ({"style": "sigv4"}, SIGV4),
    "sigv4 for another service": (
        {"style": "sigv4", "signer": {**SIGNER, "region": "us-east-1", "service": "execute-api"}},
        {**SIGV4, "region": "us-east-1", "service": "execute-api"},
    ),
}
"""What a server wants, and what an integration with it says."""


def style(name: str) -> tuple[Settings, Settings]:
    wants, says = STYLES[name]
    return ({"style": "oauth2", **wants}, {**OAUTH, **says}) if name.startswith("oauth2") else (wants, says)


each_style = pytest.mark.parametrize("name", STYLES)


def wants(client: Client, settings: Settings) -> None:
    client.server.settings.__init__(**settings)  # type: ignore[misc]  # all of them at once, the rest as usual


@each_style
def test_a_message_is_taken(client: Client, name: str) -> None:
    settings, auth = style(name)
    wants(client, settings)
    assert [client.send(auth).status for _ in range(2)] == [202, 202]
    assert client.server.ours() == ["m_1", "m_1"]


@each_style
def test_who_signs_in_in_any_other_way_is_refused(client: Client, name: str) -> None:
    wants(client, style(name)[0])
    for other in STYLES:
        settings, auth = style(other)
        if settings != style(name)[0]:
            assert client.is_refused(auth), other


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("basic", {"username": "other"}),
        ("basic", {"password": "other-0123456789"}),
        ("bearer", {"token": "other-0123456789"}),
        ("bearer", {"scheme": "Token"}),
        ("bearer of another scheme", {"scheme": "Bearer"}),
        ("oauth2", {"client_id": "other"}),
        ("oauth2", {"client_secret": "other-0123456789"}),
        ("oauth2", {"parameters": {"more": "1"}}),
        ("oauth2", {"parameters": {"grant_type": "password"}}),
        ("oauth2, scope and audience", {"scope": "send"}),
        ("oauth2, scope and audience", {"audience": ""}),
        ("oauth2, more parameters", {"parameters": {"account_id": "2", "resource": "a&b=c"}}),
        ("oauth2, more headers", {"headers": {"X-Tenant": "other"}}),
        ("sigv4", {"access_key_id": "AKIDEXAMPLE0000000"}),
        ("sigv4", {"secret_access_key": "other-0123456789"}),
        ("sigv4", {"region": "eu-west-2"}),
        ("sigv4", {"service": "sns"}),
    ],
)
def test_one_wrong_value_is_enough(client: Client, name: str, change: Settings) -> None:
    settings, auth = style(name)
    wants(client, settings)
    assert client.is_refused({**auth, **change})
    assert client.send(auth).status == 202


@pytest.mark.parametrize(
    "path",
    ["/v1/messages?b=2&a=1&a=0", "/v1/messages?empty=&x=%20%2B%C3%A9~", "/v1/messages?x=a%3Db", "/v1/messages?%7Ekey=1&B=2&b=1"],
)
def test_a_signature_is_also_of_the_query(client: Client, path: str) -> None:
    settings, auth = style("sigv4")
    wants(client, settings)
    assert client.send(auth, url=client.server.url + path).status == 202


def test_a_signature_is_of_the_body_and_headers_too(client: Client) -> None:
    settings, auth = style("sigv4")
    wants(client, settings)
    headers = {"content-type": "application/json", "x-more": "  a   b ", "accept": "application/json"}
    assert client.send(auth, headers=headers, body=b'{"to": "\xc3\xa9", "message_id": "m_2"}').status == 202
    real = client.http.send
    client.server.forget()

    def altered(request: Request) -> Response:
        return real(Request(**{**vars(request), "body": request.body + b" "}))

    tokens = Tokens(cast("Secrets", Kept()), cast("Leases", Free()), real, utc_now)
    made: Auth = TypeAdapter(Auth).validate_python(auth)
    asked = Request("POST", f"{client.server.url}/v1/messages", {}, BODY)
    assert tokens.authorised("integration", "esp", made, altered)(asked).status == 403
    assert client.server.taken == []


def test_a_signature_from_another_time_is_refused(client: Client) -> None:
    settings, auth = style("sigv4")
    wants(client, settings)
    client.server.control("clock", advance=400)
    assert client.is_refused(auth)


def test_a_token_is_asked_for_once_and_again_before_it_ends(client: Client) -> None:
    settings, auth = style("oauth2")
    wants(client, {**settings, "token_seconds": 600})
    for _ in range(3):
        client.send(auth)
    assert client.server.ask("traffic")["token"]["calls"] == 1
    client.server.control("clock", advance=700)  # it ended, by the vendor's clock: one 401, one new token
    assert client.send(auth).status == 202
    assert client.server.ask("traffic")["token"]["calls"] == 2


def test_without_a_lifetime_in_the_answer_the_usual_one_holds(client: Client) -> None:
    settings, auth = style("oauth2")
    wants(client, settings)
    assert client.send({**auth, "lifetime_field": "nowhere", "default_lifetime_seconds": 60}).status == 202


WAIT = dict.fromkeys(("429", "500", "down", "garbage"), Transient)


@pytest.mark.parametrize(("mode", "outcome"), [*WAIT.items(), ("revoked", Misconfigured)])
def test_while_the_token_endpoint_fails_nothing_is_sent(client: Client, mode: str, outcome: type[SendbridgeError]) -> None:
    settings, auth = style("oauth2")
    wants(client, settings)
    client.server.control("fail", target="token", mode=mode, retry_after=7)
    with pytest.raises(outcome):
        client.send(auth)
    assert client.server.requests == 0


@pytest.mark.parametrize("name", [name for name in STYLES if name != "none" and "sigv4" not in name])
def test_nothing_secret_is_in_what_is_said_of_a_refusal(client: Client, name: str) -> None:
    settings, auth = style(name)
    wants(client, settings)
    wrong: Settings = {key: "wrong-0123456789" for key in ("password", "token", "client_secret") if key in auth}
    with pytest.raises(Misconfigured) as refused:
        client.send({**auth, **wrong})
    for secret in (*wrong.values(), auth.get("client_id", "wrong-0123456789")):
        assert str(secret) not in refused.value.reason
