"""Credentials are tried before they are saved."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from shared.auth import BasicAuth, NoAuth, OAuth2
from shared.errors import BadRequest, Misconfigured, Transient
from shared.exchange import Request, Response
from shared.tokens import token_request, try_credentials
from tests.aws import Aws
from tests.shared.test_tokens import AUTH, Vendor


def tried(aws: Aws, *answers: Response, auth: OAuth2 = AUTH) -> str:
    """What is said of credentials that the token URL answers so."""
    with pytest.raises(BadRequest) as refused:
        try_credentials(auth, lambda _: answers[0], aws.clock)
    return refused.value.reason


def test_credentials_that_get_a_token_are_good(aws: Aws) -> None:
    vendor = Vendor()
    try_credentials(AUTH, vendor, aws.clock)
    assert vendor.issued == 1


def test_what_has_no_token_url_has_nothing_to_try(aws: Aws) -> None:
    def never(request: Request) -> Response:
        raise AssertionError

    try_credentials(NoAuth(), never, aws.clock)
    try_credentials(BasicAuth(type="basic", username="u", password=SecretStr("p")), never, aws.clock)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            401,
            {"error": "invalid_client", "error_description": "Client authentication failed"},
            "HTTP 401, invalid_client: Client authentication failed",
        ),
        (400, {"error": {"code": "bad", "message": "No such app"}}, "HTTP 400, bad: No such app"),
        (400, {"message": "No such app"}, "HTTP 400, No such app"),
        (403, {"errors": [{"title": "Forbidden", "detail": "key revoked"}]}, "HTTP 403, key revoked: Forbidden"),
        (404, None, "HTTP 404"),
        (302, None, "HTTP 302"),
        (200, {"ok": False, "error": "invalid_auth"}, "HTTP 200 without a token at access_token, invalid_auth"),
        (200, {"access_token": ""}, "HTTP 200 without a token at access_token"),
        (200, [], "HTTP 200 without a token at access_token"),
    ],
)
def test_bad_credentials_are_refused_in_the_vendors_own_words(aws: Aws, status: int, body: object, said: str) -> None:
    assert tried(aws, Response(status, {}, json.dumps(body).encode())) == f"the token URL gives no token: {said}"


@pytest.mark.parametrize("secret", ["s3cret", "a b&c/\u00e9", 'quote"d', "x"])
@pytest.mark.parametrize("where", ["{}", "secret {} of ada@example.com is wrong", "key={}&a=b"])
def test_no_secret_and_no_address_is_in_the_vendors_words(aws: Aws, secret: str, where: str) -> None:
    auth = AUTH.model_copy(update={"client_secret": SecretStr(secret), "parameters": {"api": "another-key-1"}})
    request = token_request(auth)
    for echoed in (secret, request.body.decode(), "another-key-1"):
        said = {"error": "invalid_client", "error_description": where.format(echoed)}
        reason = tried(aws, Response(401, {}, json.dumps(said).encode()), auth=auth)
        assert "ada@" not in reason
        assert "another-key" not in reason
        assert secret not in reason.partition("HTTP 401")[2] or len(secret) == 1
        assert request.body.decode().partition("client_secret=")[2].partition("&")[0] not in reason or len(secret) == 1


def test_a_part_of_the_secret_is_not_quoted(aws: Aws) -> None:
    auth = AUTH.model_copy(update={"client_secret": SecretStr("abcdefghijkl")})
    answer = Response(401, {}, json.dumps({"error_description": "wrong key abcdef..., sorry"}).encode())
    assert "abc" not in tried(aws, answer, auth=auth)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_credentials_that_cannot_be_tried_now_are_not_called_wrong(aws: Aws, status: int) -> None:
    with pytest.raises(Transient, match=f"HTTP {status}") as waiting:
        try_credentials(AUTH, lambda _: Response(status, {"retry-after": "7"}), aws.clock)
    assert waiting.value.retry_after == 7


def test_a_token_url_that_may_not_be_called_is_the_fields_fault(aws: Aws) -> None:
    def guarded(request: Request) -> Response:
        raise Misconfigured("esp.example.com is not a public host")

    with pytest.raises(BadRequest, match="not a public host") as refused:
        try_credentials(AUTH, guarded, aws.clock)
    assert refused.value.field == "auth.token_url"
