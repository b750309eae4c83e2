"""The tracker signs by the specification, and breaks exactly what it is told to break."""

import json
import time
from pathlib import Path

import pytest

from tests.sandbox import tracker
from tests.sandbox.clock import Clock
from tests.sandbox.standard_webhooks import signature
from tests.sandbox_tests.conftest import Receiver
from tests.sandbox_tests.test_esp_webhooks import SECRET

VIEW = {"id": "e-1", "name": "Product Viewed", "time": "2026-11-21T10:00:00Z", "anonymous_id": "a-1"}


def verifies(headers: dict[str, str], body: bytes) -> bool:
    made = signature(SECRET, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    return headers["webhook-signature"] == made


def test_events_are_posted_signed_and_repeated(receiver: Receiver) -> None:
    with tracker.Tracker(receiver.url, SECRET, Clock(lambda: 1_790_000_000.0)) as site:
        answers = site.post([VIEW, {"id": "e-2", "name": "Cart Updated"}], repeat=2)
    assert [answer.status_code for answer in answers] == [200, 200]
    (first, body), (second, same) = receiver.received
    assert verifies(first, body)
    assert first["webhook-id"] == second["webhook-id"]
    assert body == same
    events = json.loads(body)["events"]
    assert events[0] == VIEW
    assert events[1]["time"] == "2026-09-21T14:13:20.000Z"


def test_each_way_to_break_it(receiver: Receiver) -> None:
    with tracker.Tracker(receiver.url, SECRET) as site:
        site.post([VIEW], spoil="signature")
        site.post([VIEW], spoil="altered")
        site.post([VIEW], spoil="body")
        site.post([VIEW], age_seconds=600)
        site.send(b"\xff", message_id="msg_1")
    assert [verifies(*got) for got in receiver.received] == [False, False, True, True, True]
    with pytest.raises(json.JSONDecodeError):
        json.loads(receiver.received[2][1])
    assert time.time() - int(receiver.received[3][0]["webhook-timestamp"]) >= 599
    assert receiver.received[4][0]["webhook-id"] == "msg_1"


def test_the_command(receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "events.json"
    file.write_text(json.dumps({"events": [VIEW]}))
    receiver.answers = [202, 401]
    command = ["--url", receiver.url, "--secret", SECRET, str(file)]
    assert tracker.main(command) == 0
    assert tracker.main([*command, "--spoil", "signature"]) == 1
    assert capsys.readouterr().out == "202 \n401 \n"
    file.write_text("{}")
    assert tracker.main(command) == 2
    assert "no events in it" in capsys.readouterr().err
