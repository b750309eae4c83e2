"""What the tests of a trigger's life have in common."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.admin_api.conftest import Ask, Vendors

TRIGGER, TEMPLATE, INTEGRATION = (f"/definitions/{one}" for one in ("trigger/reminder", "template/cart", "integration/postbird"))
TO = "colleague@example.com"
BY = "arn:aws:iam::000000000000:user/ci"
NOON = "2026-11-21T12:00:00.000Z"
ADA = {"first_name": "Ada"}


def done(answer: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    """What was answered, if it succeeded."""
    assert answer[0] == 200, answer
    return answer[1]


def faults(answer: tuple[int, dict[str, Any]]) -> dict[str, str]:
    """What was refused, by field."""
    status, problem = answer
    assert status == 422, problem
    return {fault["field"]: fault["expected"] for fault in problem["errors"]}


def prove(ask: Ask, **proof: Any) -> dict[str, Any]:
    """Sends a proof; what was answered."""
    return done(ask("POST", f"{TRIGGER}/proof", {"to": [TO], "profile": ADA, **proof}))


def bodies(vendors: Vendors) -> list[dict[str, Any]]:
    """What the vendor was posted."""
    return [json.loads(request.body) for request in vendors.asked if "token" not in request.url]


def standing(ask: Ask, path: str) -> tuple[int, int | None, bool]:
    """The newest version, what is in force, and whether the newest was tested or proven."""
    found = done(ask("GET", path))
    return found["version"], found["published"], "tested_at" in found


def cut_off(*_: object) -> None:
    """In place of what is not to succeed."""
    raise ConnectionError
