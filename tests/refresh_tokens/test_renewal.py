from __future__ import annotations

from refresh_tokens.renewal import renew_all
from shared.exchange import Response
from tests.aws import Aws
from tests.shared.test_tokens import AUTH, Vendor, call, tokens


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
