from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from tests.sandbox.standard_webhooks import headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVENT = {"id": "e1", "name": "Product Added", "time": "2026-11-21T11:59:00Z", "user_id": "u1", "properties": {"price": 5}}
DEFINITIONS = """
kind: tracker
name: shop
secrets: [{env: EXPLAINED_SECRET}]
limit: {messages: 1, seconds: 60}
---
kind: tracker
name: till
format: json
proof: header
secrets: [{env: EXPLAINED_SECRET}]
names: {sale: Order Completed}
mapping: {name: what, time: when, user_id: customer.id, properties: {total: sum}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPLAINED_SECRET", SECRET)
    (tmp_path / "trackers.yaml").write_text(DEFINITIONS)
    return tmp_path


def explained(folder: Path, requests: list[dict[str, Any]], tracker: str, *more: str) -> int:
    (folder / "requests.jsonl").write_text("".join(json.dumps(request) + "\n" for request in requests))
    return main(["explain", "event", str(folder / "requests.jsonl"), "--tracker", tracker, *more])


def signed(body: str, secret: str = SECRET, **more: Any) -> dict[str, Any]:
    at = {"at": AT.isoformat()}
    return {"headers": headers(secret, "msg_1", int(AT.timestamp()), body.encode()), "body": body, **at, **more}


def test_each_request_is_answered_as_the_function_would(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = "whsec_" + "b3Ro" * 8
    good = signed(json.dumps({"events": [EVENT, {"name": "x"}]}))
    requests = [
        good,
        good,
        signed(json.dumps(EVENT), other),
        signed(json.dumps({"name": "x"})),
        {"method": "PUT"},
        {"method": "HEAD"},
    ]
    assert explained(folder, requests, "shop", "-f", str(folder / "trackers.yaml")) == 0
    told = capsys.readouterr()
    taken = [
        "  2026-11-21T11:59:00.000Z Product Added (user_id u1), id e1",
        '    properties {"price": 5}',
        "  event 1 not taken: time: must be there",
    ]
    assert told.out.splitlines() == [
        "1: 202",
        *taken,
        "2: 202",
        *taken,
        "3: 401 webhook-signature: webhook-signature does not match the body",
        "4: 400 none of its events can be used",
        "  event 0 not taken: time: must be there",
        "5: 405 method: events come by POST",
        "6: 204",
    ]
    assert told.err == ""


def test_a_program_gets_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = {"what": "sale", "when": "2026-11-21T11:00:00Z", "customer": {"id": 7}, "sum": 9.5}
    packed = base64.b64encode(gzip.compress(json.dumps(body).encode())).decode()
    till = {"headers": {"X-Api-Key": SECRET, "Content-Encoding": "gzip"}, "body_base64": packed, "at": AT.isoformat()}
    files = ["-f", str(folder), "--json"]
    assert explained(folder, [till, {**till, "query": {"a": "b"}, "path": "/x"}, {"query": "a=b"}], "till", *files) == 0
    first, second, third = json.loads(capsys.readouterr().out)["requests"]
    (event,) = first["events"]
    assert (event["name"], event["user_id"], event["properties"]) == ("Order Completed", "7", {"total": 9.5})
    assert event["received_at"] == "2026-11-21T12:00:00.000Z"
    assert second == {**first, "request": 2}
    assert (third["status"], third["events"]) == (401, [])


def test_a_file_with_one_tracker_needs_no_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = folder / "alone.yaml"
    alone.write_text(DEFINITIONS.split("---", maxsplit=1)[0])
    assert explained(folder, [signed(json.dumps(EVENT))], str(alone)) == 0
    assert capsys.readouterr().out.startswith("1: 202\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "expected a JSON object"),
        ("7", "expected an object"),
        ('{"methud": "POST"}', "methud: expected no such field"),
        ('{"body": "a", "body_base64": "AAAA"}', "body or body_base64, not both"),
        ('{"body_base64": "!"}', "base64 as body_base64"),
        ('{"at": "2026-11-21T12:00:00"}', "at: "),
        ('{"headers": {"a": 7}}', "headers.a: "),
    ],
)
def test_a_bad_line_is_named(folder: Path, capsys: pytest.CaptureFixture[str], line: str, said: str) -> None:
    requests = folder / "requests.jsonl"
    requests.write_text(f"{{}}\n\n{line}\n")
    assert main(["explain", "event", str(requests), "--tracker", "shop", "-f", str(folder)]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"{requests}:3: ")
    assert said in told.err
    assert told.out == ""


def test_which_tracker_is_meant_must_be_clear(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(folder, [{}], "nobody", "-f", str(folder)) == 2
    assert "a tracker named nobody" in capsys.readouterr().err
    assert explained(folder, [{}], str(folder / "trackers.yaml")) == 2
    assert "if there are several" in capsys.readouterr().err
    capsys.readouterr()
    assert explained(folder, [{}], str(folder / "absent.yaml")) == 2
    assert "the name of one in the files of -f: there is no " in capsys.readouterr().err


def test_a_secret_that_only_the_deployment_knows_is_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = folder / "kept.yaml"
    kept.write_text("kind: tracker\nname: shop\nsecrets: [{secret: true}]\n")
    assert explained(folder, [{}], str(kept)) == 2
    assert "secrets.0: expected a value" in capsys.readouterr().err
