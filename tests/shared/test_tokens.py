from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from shared.auth import BasicAuth, NoAuth, OAuth2
from shared.errors import Misconfigured, Transient, Unknown
from shared.exchange import Request, Response
from shared.secrets import Secrets
from shared.state import Leases
from shared.tokens import SHARED_FROM, Tokens, fingerprint, token_request
from tests.aws import Aws


class Vendor:
    """A token URL and an API that takes only the newest token."""

    def __init__(self, lifetime: int = 3600) -> None:
        self.lifetime = lifetime
        self.issued = 0
        self.fail: Response | None = None
        self.revoked = False
        self.sent: list[str] = []
        self.during: Callable[[], None] = lambda: None

    def __call__(self, request: Request) -> Response:
        if request.url.endswith("/token"):
            self.during()
            if self.fail is not None:
                return self.fail
            self.issued += 1
            self.revoked = False
            return Response(200, {}, json.dumps({"access_token": f"t{self.issued}", "expires_in": self.lifetime}).encode())
        self.sent.append(request.headers["authorization"])
        current = request.headers["authorization"] == f"Bearer t{self.issued}" and not self.revoked
        return Response(202 if current else 401)


AUTH = OAuth2(type="oauth2", token_url="https://esp.example.com/token", client_id="id", client_secret=SecretStr("s3cret"))
CALL = Request("POST", "https://esp.example.com/messages")


def tokens(aws: Aws, vendor: Vendor) -> Tokens:
    """As one function process has them: call twice for two processes."""
    leases = Leases(aws.dynamodb, aws.table("state"), aws.clock)
    return Tokens(Secrets(aws.secretsmanager, aws.secret_prefix), leases, vendor, aws.clock)


def call(tokens: Tokens, vendor: Vendor) -> Response:
    return tokens.authorised("integration", "esp", AUTH, vendor)(CALL)


def test_a_token_is_fetched_once_and_shared_by_all_processes(aws: Aws) -> None:
    vendor = Vendor()
    for _ in range(2):
        process = tokens(aws, vendor)
        assert [call(process, vendor).status for _ in range(3)] == [202, 202, 202]
    assert vendor.issued == 1


def test_a_token_is_replaced_before_it_is_stale(aws: Aws) -> None:
    vendor = Vendor(lifetime=60)
    process = tokens(aws, vendor)
    for _ in range(5):
        assert call(process, vendor).status == 202
        aws.clock.forward(20)
    assert vendor.issued == 2
    assert "Bearer t1" not in vendor.sent[3:]


def test_a_short_lived_token_is_not_written_to_secrets_manager(aws: Aws) -> None:
    vendor = Vendor(lifetime=SHARED_FROM - 1)
    process = tokens(aws, vendor)
    call(process, vendor)
    assert process.stored("integration/esp") is None


def test_a_revoked_token_is_refreshed_once_and_the_request_sent_again(aws: Aws) -> None:
    vendor = Vendor()
    process = tokens(aws, vendor)
    call(process, vendor)
    vendor.revoked = True
    assert call(process, vendor).status == 202
    assert vendor.issued == 2
    assert vendor.sent == ["Bearer t1", "Bearer t1", "Bearer t2"]


def test_a_vendor_that_refuses_even_a_new_token_gets_one_forced_refresh_only(aws: Aws) -> None:
    vendor = Vendor()
    process = tokens(aws, vendor)

    def refuses(request: Request) -> Response:
        return vendor(request) if request.url.endswith("/token") else Response(401)

    with pytest.raises(Misconfigured):
        process.authorised("integration", "esp", AUTH, refuses)(CALL)
    assert vendor.issued == 2


@pytest.mark.parametrize("answer", [Response(503), Response(200, {}, b"<html>"), Response(200, {}, b"{}"), Response(429)])
def test_a_failing_token_url_makes_messages_wait_and_sends_none(aws: Aws, answer: Response) -> None:
    vendor = Vendor()
    vendor.fail = answer
    process = tokens(aws, vendor)
    with pytest.raises(Transient):
        call(process, vendor)
    assert vendor.sent == []
    vendor.fail = None
    aws.clock.forward(3)
    assert call(process, vendor).status == 202


def test_refused_credentials_are_misconfigured_in_the_vendors_own_words(aws: Aws) -> None:
    vendor = Vendor()
    vendor.fail = Response(401, {}, b'{"error": "invalid_client", "error_description": "s3cret is wrong"}')
    with pytest.raises(Misconfigured, match="HTTP 401 invalid_client") as refused:
        call(tokens(aws, vendor), vendor)
    assert "s3cret" not in refused.value.reason


def test_changed_credentials_do_not_use_the_old_token(aws: Aws) -> None:
    vendor = Vendor()
    process = tokens(aws, vendor)
    call(process, vendor)
    changed = AUTH.model_copy(update={"client_secret": SecretStr("new")})
    process.authorised("integration", "esp", changed, vendor)(CALL)
    assert vendor.issued == 2


@pytest.mark.parametrize(
    "change", [{"scope": "s"}, {"audience": "a"}, {"parameters": {"account_id": "2"}}, {"headers": {"X-Account": "2"}}]
)
def test_a_token_is_for_what_it_was_asked_for(aws: Aws, change: dict[str, object]) -> None:
    vendor = Vendor()
    process = tokens(aws, vendor)
    call(process, vendor)
    process.authorised("integration", "esp", AUTH.model_copy(update=change), vendor)(CALL)
    assert vendor.issued == 2


@pytest.mark.parametrize("error", [Unknown("cut off"), OSError("AWS is down")])
def test_a_token_that_cannot_be_had_after_a_401_leaves_no_doubt_about_the_request(aws: Aws, error: Exception) -> None:
    vendor = Vendor()
    process = tokens(aws, vendor)
    call(process, vendor)
    vendor.revoked = True

    def fails() -> None:
        raise error

    vendor.during = fails
    with pytest.raises(Transient) as waiting:
        call(process, vendor)
    assert not isinstance(waiting.value, Unknown)


def test_the_token_request_has_the_integrations_key_names() -> None:
    auth = AUTH.model_copy(
        update={"client_id_key": "clientId", "client_secret_key": "key", "scope": "send", "parameters": {"a": "b"}}
    )
    form = {key: value[0] for key, value in parse_qs(token_request(auth).body.decode()).items()}
    assert form == {"grant_type": "client_credentials", "clientId": "id", "key": "s3cret", "scope": "send", "a": "b"}


def test_credentials_in_a_header_are_not_in_the_body() -> None:
    request = token_request(AUTH.model_copy(update={"send_credentials_in": "header"}))
    assert request.headers["authorization"].startswith("Basic ")
    assert b"s3cret" not in request.body


def test_no_auth_and_basic_auth(aws: Aws) -> None:
    vendor = Vendor()
    process = tokens(aws, vendor)
    seen: list[Request] = []

    def send(request: Request) -> Response:
        seen.append(request)
        return Response(200)

    process.authorised("integration", "esp", NoAuth(), send)(CALL)
    basic = BasicAuth(type="basic", username="u", password=SecretStr("p"))
    process.authorised("integration", "esp", basic, send)(CALL)
    assert [request.headers.get("authorization") for request in seen] == [None, "Basic dTpw"]


@pytest.mark.parametrize("error", ["s3cret", "client.s3cret", "s3cret is wrong", "x" * 100])
def test_a_token_url_that_repeats_the_secret_is_not_quoted(aws: Aws, error: str) -> None:
    vendor = Vendor()
    vendor.fail = Response(400, {}, json.dumps({"error": error}).encode())
    with pytest.raises(Misconfigured) as refused:
        call(tokens(aws, vendor), vendor)
    assert refused.value.reason == "the token URL of integration/esp refuses the credentials: HTTP 400"


@pytest.mark.parametrize("token", ["", "a\r\nx-more: 1", "two words", "\u00e9", "x" * 20_001, 7, None])
def test_what_no_header_can_carry_is_no_token(aws: Aws, token: object) -> None:
    vendor = Vendor()
    vendor.fail = Response(200, {}, json.dumps({"access_token": token}).encode())
    with pytest.raises(Transient, match="no token at access_token"):
        call(tokens(aws, vendor), vendor)
    assert vendor.sent == []


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"account": "2"}},
        {"headers": {"x-tenant": "2"}},
        {"scope": "send"},
        {"audience": "api"},
        {"client_id": "other"},
        {"token_url": "https://esp.example.com/other/token"},
        {"token_field": "id_token"},
    ],
)
def test_a_token_that_was_issued_for_something_else_is_not_used(aws: Aws, change: dict[str, object]) -> None:
    assert fingerprint(AUTH) != fingerprint(AUTH.model_copy(update=change))
