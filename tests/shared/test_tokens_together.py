"""Tokens among threads and processes: one fetches, all have it; what a token URL says to one holds for all."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from shared.catalogue import Definitions
from shared.definitions import Integration
from shared.errors import Busy, Misconfigured, Transient
from shared.exchange import Request, Response
from shared.secrets import Secrets
from shared.state import Leases
from shared.tokens import _LEASE, Tokens, fingerprint, lease_name, token_request
from tests.aws import Aws
from tests.shared.test_tokens import AUTH, CALL, Vendor, call, tokens


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
