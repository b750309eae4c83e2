from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from shared.reports import Counts, Decision, Reports
from shared.visits import Fired
from tests.admin_api.conftest import Ask
from tests.admin_api.samples import integration, template, trigger
from tests.aws import Aws

NOTHING = {
    "matched": 0,
    "fired": 0,
    "cancelled": 0,
    "skipped": {},
    "sent": 0,
    "unsent": {},
    "parked": 0,
    "late": 0,
    "lateness_mean": None,
    "lateness_most": None,
}


def message(number: int, at: datetime) -> Fired:
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
    """Two days of a trigger."""
    now, counts = aws.clock(), Counts()
    yesterday = now - timedelta(days=1)
    for number in range(3):
        counts.decided(Decision(message(number, now + timedelta(seconds=number)), "send", lateness=2.0 * number**2))
    counts.decided(Decision(message(3, yesterday), "skip", "several profiles: p_1, p_2"))
    counts.decided(Decision(message(4, yesterday), "skip", "order placed", cancelled=True))
    counts.decided(Decision(message(5, yesterday), "send"))
    counts.ended(message(0, now), "sent")
    for number, reason in ((1, "suppressed: unsubscribed"), (2, "no longer valid"), (5, "no longer valid")):
        counts.ended(message(number, now), "skipped", reason)
    Reports(aws.dynamodb, aws.table("messages"), 86_400, 3).add(counts)


@pytest.mark.usefixtures("_counted")
def test_a_trigger_day_by_day(ask: Ask) -> None:
    status, report = ask("GET", "/reports/cart", None, days="3")
    assert status == 200
    today, yesterday, before = report["days"]
    assert today == {
        "day": "2026-11-21",
        "matched": 3,
        "fired": 3,
        "cancelled": 0,
        "skipped": {},
        "sent": 1,
        "unsent": {"no longer valid": 2, "suppressed": 1},
        "parked": 0,
        "late": 1,
        "lateness_mean": 3.333,
        "lateness_most": 8.0,
    }
    assert (yesterday["matched"], yesterday["skipped"], yesterday["cancelled"]) == (3, {"several profiles": 1}, 1)
    assert before == {"day": "2026-11-19", **NOTHING}
    assert (report["total"]["matched"], report["total"]["fired"], report["total"]["sent"]) == (6, 4, 1)
    assert [one["message_id"] for one in report["recent"]][:3] == ["m_2", "m_1", "m_0"]
    assert {one["message_id"] for one in report["recent"]} == {f"m_{number}" for number in range(6)}
    skipped = next(one for one in report["recent"] if one["message_id"] == "m_3")
    assert skipped == {
        "at": "2026-11-20T12:00:00.000Z",
        "decided": "skip",
        "reason": "several profiles: p_1, p_2",
        "message_id": "m_3",
        "visit_id": "shop#a#3",
    }


@pytest.mark.usefixtures("_counted")
def test_all_triggers_on_a_day(ask: Ask) -> None:
    for kind, name, body in (("template", "t", template()), ("integration", "i", integration())):
        ask("PUT", f"/definitions/{kind}/{name}", body)
    for name in ("cart", "other"):
        assert ask("PUT", f"/definitions/trigger/{name}", trigger(template="t", integration="i"))[0] == 200
    report = ask("GET", "/reports")[1]
    assert report["day"] == "2026-11-21"
    assert [(one["trigger"], one["fired"]) for one in report["triggers"]] == [("cart", 3), ("other", 0)]
    assert report["total"]["unsent"] == {"no longer valid": 2, "suppressed": 1}
    assert ask("GET", "/reports", None, day="2026-11-20")[1]["total"]["matched"] == 3


@pytest.mark.usefixtures("_counted")
def test_a_trigger_that_is_gone_has_its_reports_yet(ask: Ask) -> None:
    assert ask("GET", "/reports/cart")[0] == 200
    status, problem = ask("GET", "/reports/never-was")
    assert (status, problem["detail"]) == (404, "there is no trigger named 'never-was'")


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/reports", {"day": "yesterday"}, "day"),
        ("/reports", {"days": "3"}, "days"),
        ("/reports/cart", {"days": "0"}, "days"),
        ("/reports/cart", {"days": "91"}, "days"),
        ("/reports/cart", {"day": "2026-11-21"}, "day"),
    ],
)
def test_what_is_asked_wrongly_is_named(ask: Ask, path: str, query: dict[str, str], field: str) -> None:
    status, problem = ask("GET", path, None, **query)
    assert (status, problem["field"]) == (400, field)
