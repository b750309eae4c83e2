from __future__ import annotations

from pydantic import SecretStr

from refresh_tokens.renewal import renew_all
from shared.exchange import Response
from shared.tokens import fingerprint
from tests.aws import Aws
from tests.shared.test_tokens import AUTH, CALL, Vendor, call, tokens


def renewed(aws: Aws, vendor: Vendor) -> list[tuple[str, float, str]]:
    """One run of the schedule in a process of its own; what it reported."""
    reports: list[tuple[str, float, str]] = []
    renew_all([("integration/esp", AUTH)], tokens(aws, vendor), aws.clock(), lambda *report: reports.append(report))
    return reports


def test_a_token_nobody_used_yet_is_left_alone(aws: Aws) -> None:
    vendor = Vendor()
    assert renewed(aws, vendor) == []
    assert vendor.issued == 0


def test_a_token_is_renewed_ahead_of_its_end_so_that_nobody_waits(aws: Aws) -> None:
    vendor = Vendor()
    call(tokens(aws, vendor), vendor)
    aws.clock.forward(1800)
    assert renewed(aws, vendor) == [("integration/esp", 1800, "")]
    aws.clock.forward(1200)
    assert renewed(aws, vendor) == [("integration/esp", 3600, "")]
    assert vendor.issued == 2
    vendor.fail = Response(503)
    assert call(tokens(aws, vendor), vendor).status == 202


def test_a_token_url_that_is_down_is_reported_with_what_is_left(aws: Aws) -> None:
    vendor = Vendor()
    call(tokens(aws, vendor), vendor)
    aws.clock.forward(3500)
    vendor.fail = Response(503)
    [(name, left, problem)] = renewed(aws, vendor)
    assert (name, left) == ("integration/esp", 100)
    assert "503" in problem


def test_while_it_renews_nobody_waits_and_nobody_fetches_for_himself(aws: Aws) -> None:
    vendor = Vendor()
    sender = tokens(aws, vendor)
    call(sender, vendor)
    for _ in range(120):
        aws.clock.forward(60)
        renewed(aws, vendor)
        issued = vendor.issued
        assert call(sender, vendor).status == 202
        assert call(tokens(aws, vendor), vendor).status == 202
        assert vendor.issued == issued
    assert 3 <= vendor.issued <= 4


def test_a_token_of_credentials_that_were_changed_is_replaced(aws: Aws) -> None:
    vendor = Vendor()
    call(tokens(aws, vendor), vendor)
    changed = AUTH.model_copy(update={"client_secret": SecretStr("new")})
    process = tokens(aws, vendor)
    renew_all([("integration/esp", changed)], process, aws.clock(), lambda *report: None)
    stored = process.stored("integration/esp")
    assert stored is not None
    assert stored.fingerprint == fingerprint(changed)
    assert process.authorised("integration", "esp", changed, vendor)(CALL).status == 202
    assert vendor.issued == 2


def test_a_token_url_that_asks_to_wait_is_not_asked_by_the_schedule(aws: Aws) -> None:
    vendor = Vendor()
    call(tokens(aws, vendor), vendor)
    aws.clock.forward(3400)
    vendor.fail = Response(429, {"retry-after": "100"})
    renewed(aws, vendor)
    vendor.fail = None
    aws.clock.forward(60)
    assert [(left, "renewed" in problem) for _, left, problem in renewed(aws, vendor)] == [(140, True)]
    assert vendor.issued == 1
    aws.clock.forward(60)
    assert [left for _, left, _ in renewed(aws, vendor)] == [3600]
