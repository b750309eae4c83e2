from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from shared.auth import BasicAuth, NoAuth, OAuth2
from shared.catalogue import Definitions
from shared.definitions import Integration
from shared.errors import BadRequest, Busy, Misconfigured, Transient, Unknown
from shared.exchange import Request, Response
from shared.secrets import Secrets
from shared.state import Leases
from shared.tokens import _LEASE, SHARED_FROM, Tokens, fingerprint, lease_name, token_request, try_credentials
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


def test_another_processs_newer_token_is_used_after_a_401(aws: Aws) -> None:
    vendor = Vendor()
    first, second = tokens(aws, vendor), tokens(aws, vendor)
    call(first, vendor)
    call(second, vendor)
    vendor.revoked = True
    call(first, vendor)
    assert call(second, vendor).status == 202
    assert vendor.issued == 2


def test_one_refresh_at_a_time(aws: Aws) -> None:
    vendor = Vendor()
    first, second = tokens(aws, vendor), tokens(aws, vendor)
    refused: list[str] = []

    def meanwhile() -> None:
        vendor.during = lambda: None
        with pytest.raises(Transient) as waiting:
            call(second, vendor)
        refused.append(waiting.value.reason)
        assert waiting.value.retry_after is not None

    vendor.during = meanwhile
    assert call(first, vendor).status == 202
    assert refused
    assert vendor.issued == 1


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


def test_old_and_new_credentials_side_by_side_have_a_token_each(aws: Aws) -> None:
    vendor = Vendor()

    def lenient(request: Request) -> Response:
        return vendor(request) if request.url.endswith("/token") else Response(202)

    process = tokens(aws, vendor)
    changed = AUTH.model_copy(update={"client_secret": SecretStr("new")})
    for _ in range(5):
        for auth in (AUTH, changed):
            process.authorised("integration", "esp", auth, lenient)(CALL)
    assert vendor.issued == 2


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


def test_threads_of_a_process_wait_for_the_one_that_fetches(aws: Aws) -> None:
    vendor = Vendor()
    vendor.during = lambda: time.sleep(0.3)
    process = tokens(aws, vendor)
    aws.table("state")
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: call(process, vendor).status, range(32)))
    assert answers == [202] * 32
    assert vendor.issued == 1


def test_one_refresh_among_threads_and_processes_when_a_token_is_revoked_in_the_middle(aws: Aws) -> None:
    vendor = Vendor()
    processes = [tokens(aws, vendor) for _ in range(3)]
    for process in processes:
        call(process, vendor)
    vendor.revoked = True
    vendor.during = lambda: time.sleep(0.2)

    def patient(number: int) -> int:
        while True:
            try:
                return call(processes[number % 3], vendor).status
            except Busy:
                time.sleep(0.05)
                if not vendor.revoked:
                    aws.clock.forward(1)

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(patient, range(24)))
    assert answers == [202] * 24
    assert vendor.issued == 2


def test_a_wait_that_the_token_url_asks_for_is_kept_by_all(aws: Aws) -> None:
    vendor = Vendor()
    vendor.fail = Response(429, {"retry-after": "40"})
    asked = []
    vendor.during = lambda: asked.append(1)
    one, other = tokens(aws, vendor), tokens(aws, vendor)
    with pytest.raises(Transient) as waiting:
        call(one, vendor)
    assert waiting.value.retry_after == 40
    vendor.fail = None
    for seconds in (0, 2, 30):
        aws.clock.forward(seconds)
        for process in (one, other):
            with pytest.raises(Busy):
                call(process, vendor)
    assert len(asked) == 1
    aws.clock.forward(9)
    assert [call(process, vendor).status for process in (one, other)] == [202, 202]


def test_a_token_url_that_is_down_is_asked_by_one_at_a_time(aws: Aws) -> None:
    vendor = Vendor()
    vendor.fail = Response(503)
    asked = []
    vendor.during = lambda: asked.append(1)
    processes = [tokens(aws, vendor) for _ in range(4)]
    for _ in range(10):
        for process in processes:
            with pytest.raises(Transient):
                call(process, vendor)
        aws.clock.forward(1)
    assert len(asked) <= 4
    assert vendor.sent == []


def test_corrected_credentials_need_not_wait_for_what_the_wrong_ones_came_to(aws: Aws) -> None:
    vendor = Vendor()
    vendor.fail = Response(401)
    process = tokens(aws, vendor)
    with pytest.raises(Misconfigured):
        call(process, vendor)
    vendor.fail = None
    with pytest.raises(Misconfigured):
        call(process, vendor)
    corrected = AUTH.model_copy(update={"client_secret": SecretStr("right")})
    assert process.authorised("integration", "esp", corrected, vendor)(CALL).status == 202


def test_a_process_that_was_killed_while_renewing_holds_up_the_others_for_twelve_seconds(aws: Aws) -> None:
    vendor = Vendor()
    killed = Leases(aws.dynamodb, aws.table("state"), aws.clock)
    assert killed.take(lease_name("integration/esp", fingerprint(AUTH)), _LEASE)
    process = tokens(aws, vendor)
    for _ in range(11):
        with pytest.raises(Busy):
            call(process, vendor)
        aws.clock.forward(1)
    aws.clock.forward(1)
    assert call(process, vendor).status == 202
    assert token_request(AUTH).timeout < _LEASE


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


def test_a_token_that_cannot_be_shared_is_good_all_the_same(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    vendor = Vendor()

    class Down(Secrets):
        def write(self, name: str, value: object) -> None:
            raise OSError("throttled")

    leases = Leases(aws.dynamodb, aws.table("state"), aws.clock)
    process = Tokens(Down(aws.secretsmanager, aws.secret_prefix), leases, vendor, aws.clock)
    assert [call(process, vendor).status for _ in range(3)] == [202] * 3
    assert vendor.issued == 1


def test_a_changed_secret_is_used_within_a_minute(aws: Aws) -> None:
    secrets = Secrets(aws.secretsmanager, aws.secret_prefix)
    definitions = Definitions(aws.table("definitions"), aws.dynamodb, aws.clock, 30, secrets)
    integrations = definitions.catalogue(Integration)
    asked: list[str] = []
    vendor = Vendor()

    def define(version: int, secret: str) -> None:
        secrets.write("definition/integration/esp", {"/auth/client_secret": secret})
        auth = {"type": "oauth2", "token_url": AUTH.token_url, "client_id": "id", "client_secret": {"secret": True}}
        body = {"name": "esp", "url": CALL.url, "auth": auth, "body": {}}
        row = {"pk": {"S": "integration"}, "sk": {"S": "esp"}, "version": {"N": str(version)}, "body": {"S": json.dumps(body)}}
        aws.dynamodb.put_item(TableName=aws.table("definitions"), Item=row)

    def api(request: Request) -> Response:
        if request.url.endswith("/token"):
            asked.append(parse_qs(request.body.decode())["client_secret"][0])
        return vendor(request)

    process = Tokens(secrets, Leases(aws.dynamodb, aws.table("state"), aws.clock), api, aws.clock)

    def send() -> int:
        integration = integrations.require("esp").definition
        return process.authorised("integration", "esp", integration.auth, api)(CALL).status

    define(1, "old")
    assert send() == 202
    define(2, "new")
    aws.clock.forward(59)
    assert send() == 202
    assert asked == ["old", "new"]


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
