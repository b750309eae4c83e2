"""Bad input at every border of the deployed stack: a clear 4xx problem document, or a parked item with its reason."""

from __future__ import annotations

import json

import httpx
import pytest

from cli.local.world import World
from tests.deployed.shop import Shop, until

pytestmark = pytest.mark.deployed

GOOD = {"id": "x", "name": "Product Added", "anonymous_id": "b", "time": "2026-11-21T12:00:00Z"}


def nested(depth: int) -> bytes:
    return b'{"events":' * depth + b"1" + b"}" * depth


def event(**changes: object) -> bytes:
    return json.dumps({"events": [GOOD | changes]}).encode()


BAD = {
    "empty": b"",
    "not utf-8": b'{"events": "\xff\xfe"}',
    "not json": b"events=1",
    "half": b'{"events": [',
    "number": b"7",
    "null": b"null",
    "string": b'"events"',
    "no events": b"{}",
    "empty list": b'{"events": []}',
    "events no list": b'{"events": {"a": 1}}',
    "event no object": b'{"events": [7]}',
    "nested 10,000 deep": nested(10_000),
    "list 10,000 deep": b"[" * 10_000 + b"]" * 10_000,
    "deep properties": event(properties=json.loads("[" * 200 + "]" * 200)),
    "NaN": b'{"events": [{"id": NaN}]}',
    "unknown field": event(surprise=1),
    "name of wrong type": event(name=7),
    "name missing": json.dumps({"events": [{"anonymous_id": "b"}]}).encode(),
    "name too long": event(name="x" * 1_000_000),
    "id too long": event(id="x" * 10_000),
    "no identity": event(anonymous_id=None),
    "naive time": event(time="2026-11-21T12:00:00"),
    "no time": event(time="yesterday"),
    "far past": event(time="0001-01-01T00:00:00Z"),
    "far future": event(time="9999-12-31T23:59:59Z"),
    "out of range": event(time="2026-13-41T99:00:00Z"),
    "oversized": event(properties={"x": "y" * 2_000_000}),
    "nul": event(anonymous_id="a\0b", time="x"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_post_of_a_tracker_is_answered_with_what_is_wrong(shop: Shop, case: str) -> None:
    answer = shop.post(BAD[case])
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    assert len(answer.content) < 10_000


def test_half_a_surrogate_pair_does_not_cost_the_post(shop: Shop) -> None:
    answer = shop.post(b'{"events": [{"id": "\\ud800", "name": "a", "anonymous_id": "b", "time": "' + _now().encode() + b'"}]}')
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1), answer.text


def test_one_bad_event_costs_its_neighbours_nothing(shop: Shop) -> None:
    events = [*shop.events(1), {"id": "bad", "name": 7, "anonymous_id": "b"}]
    answer = shop.post(json.dumps({"events": [{"time": _now(), **e} for e in events]}).encode())
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 2
    assert [rejected["index"] for rejected in answer.json()["rejected"]] == [2]
    assert until(shop.inbox, bool, 40)[shop.email(1)] == 1
    parked = until(shop.parked, lambda items: any("bad" in item["body"] for item in items), 20)
    assert any("name" in item["reason"] for item in parked if "bad" in item["body"])


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/events/nobody", 404),
        ("/v1/events/" + "x" * 5000, 404),
        ("/v1/events/%00", 404),
        ("/v1/engagements/nobody", 404),
        ("/v1/mirror/m_0/forged", 404),
        ("/v1/mirror/" + "m" * 3000 + "/" + "s" * 3000, 404),
    ],
)
def test_what_is_not_there_is_not_found(deployed: World, path: str, status: int) -> None:
    method = "GET" if "mirror" in path else "POST"
    answer = httpx.request(method, deployed.deployment.url + path, content=b"{}" if method == "POST" else None, timeout=30)
    assert answer.status_code == status, answer.text


RAW = [
    "",
    "null",
    "7",
    '{"events": 7}',
    '{"events": [7, null, "x", {}]}',
    "[" * 10_000,
    '{"events": [{"type": "message.opened"}]}',
    "\u0000",
]


@pytest.mark.parametrize("raw", RAW)
def test_a_signed_post_of_the_esp_is_never_answered_with_5xx(shop: Shop, raw: str) -> None:
    shop.esp.command("emit", raw=raw)
    deliveries = until(lambda: shop.esp.ask("deliveries"), lambda found: _statuses(found) != [], 20)
    assert all(status < 500 for status in _statuses(deliveries)), deliveries


def _statuses(deliveries: object) -> list[int]:
    assert isinstance(deliveries, list)
    return [attempt["status"] for delivery in deliveries for attempt in delivery["attempts"] if attempt.get("status")]


@pytest.mark.parametrize("case", ["not json", "not utf-8", "nested 10,000 deep", "number", "empty", "oversized"])
def test_a_bad_body_for_the_admin_api_is_a_problem_document(admin: httpx.Client, case: str) -> None:
    answer = admin.put("/definitions/template/x", content=BAD[case])
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_definition_is_refused_by_the_names_of_its_fields(admin: httpx.Client) -> None:
    answer = admin.put("/definitions/trigger/x", json={"wait_seconds": -1, "surprise": True})
    assert answer.status_code == 422
    assert "wait_seconds" in answer.text
    assert "surprise" in answer.text


def test_without_a_signature_the_admin_api_says_no(deployed: World) -> None:
    answer = httpx.get(f"{deployed.deployment.url}/v1/admin/definitions", timeout=30)
    assert answer.status_code in (401, 403)
