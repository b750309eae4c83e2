from __future__ import annotations

import json
from datetime import timedelta

import pytest

from cli.reporting import of_all
from shared.reports import Counts, Decision, Reports
from shared.visits import Fired
from tests.aws import Aws
from tests.cli.conftest import Sendbridge


def _message(number: int, aws: Aws) -> Fired:
    at = aws.clock() - timedelta(days=number % 2)
    return Fired(
        message_id=f"m_{number}",
        trigger="cart",
        visit_id=f"shop#a#{number}",
        profile_id=None,
        campaign="c",
        delivery="d",
        integration="i",
        decided_at=at,
        begins_at=at,
        valid_until=at,
    )


@pytest.fixture
def _counted(aws: Aws) -> None:
    counts = Counts()
    for number in range(4):
        counts.decided(Decision(_message(number, aws), "send", lateness=0.5))
        counts.ended(_message(number, aws), "sent" if number else "skipped", "no longer valid")
    counts.decided(Decision(_message(4, aws), "skip", "order placed", cancelled=True))
    counts.decided(Decision(_message(5, aws), "skip", "several profiles"))
    Reports(aws.dynamodb, aws.table("messages"), 86_400, 0).add(counts)


@pytest.mark.usefixtures("_counted")
def test_a_trigger_by_day(sendbridge: Sendbridge) -> None:
    run = sendbridge("report", "cart", "--days", "2")
    assert (run.code, run.err) == (0, "")
    assert run.out.splitlines()[:4] == [
        "cart          matched      fired       sent    skipped  cancelled     unsent     parked       late",
        "2026-11-21          3          2          1          0          1          1          0          0",
        "2026-11-20          3          2          2          1          0          0          0          0",
        "total               6          4          3          1          1          1          0          0",
    ]
    assert "Fired 0.5 s after the deadline on average." in run.out
    assert "not fired\n          1  several profiles\n" in run.out
    assert "fired and not sent\n          1  no longer valid\n" in run.out
    assert "  2026-11-21T12:00:00.000Z  skip  m_4  shop#a#4  order placed\n" in run.out


@pytest.mark.usefixtures("_counted")
def test_for_a_program(sendbridge: Sendbridge) -> None:
    report = json.loads(sendbridge("report", "cart", "--json").out)
    assert (report["trigger"], len(report["days"]), report["total"]["fired"]) == ("cart", 7, 4)
    assert len(report["recent"]) == 6


def test_all_triggers_of_a_day() -> None:
    counts = {"matched": 2, "fired": 1, "cancelled": 0, "sent": 1, "parked": 0, "late": 1}
    line = {**counts, "skipped": {"no profile": 1}, "unsent": {}, "lateness_mean": 7.0, "lateness_most": 7.0}
    report = {"day": "2026-11-21", "triggers": [{"trigger": "abandoned_cart", **line}], "total": line}
    assert list(of_all(report)) == [
        "2026-11-21        matched      fired       sent    skipped  cancelled     unsent     parked       late",
        "abandoned_cart          2          1          1          1          0          0          0          1",
        "total                   2          1          1          1          0          0          0          1",
        "Fired 7 s after the deadline on average, at most 7 s.",
        "",
        "not fired",
        "          1  no profile",
    ]


def test_all_triggers(sendbridge: Sendbridge) -> None:
    run = sendbridge("report", "--day", "2026-11-20")
    assert (run.code, run.out) == (0, "There is no trigger.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cart", "--day", "2026-11-20"], "--day is for all triggers"),
        (["--days", "3"], "--days is for one trigger"),
        (["--day", "yesterday"], "day must be a date"),
        (["cart"], "there is no trigger named 'cart'"),
        (["cart", "--days", "0"], "days must be a whole number"),
    ],
)
def test_bad_input_is_one_sentence(sendbridge: Sendbridge, arguments: list[str], said: str) -> None:
    run = sendbridge("report", *arguments)
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1
