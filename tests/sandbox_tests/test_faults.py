"""Every failure mode does to the client what it says, and no more often than told."""

import time

import httpx
import pytest

from tests.sandbox.esp import EspSandbox
from tests.sandbox_tests.conftest import Client, until
from tests.sandbox_tests.test_esp import send


@pytest.mark.parametrize(("mode", "status"), [("down", 503), ("500", 500), ("429", 429), ("revoked", 401)])
def test_refusing_modes_process_nothing(esp: EspSandbox, sender: Client, mode: str, status: int) -> None:
    esp.control("fail", target="messages", mode=mode, times=2, retry_after=7)
    answers = [send(sender) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 202]
    assert answers[0].headers.get("retry-after") == ("7" if mode == "429" else None)
    assert len(esp.messages) == 1


def test_garbage_is_html_with_200(esp: EspSandbox, sender: Client) -> None:
    esp.control("fail", target="token", mode="garbage")
    answer = sender.http.post("/oauth/token", data={"grant_type": "client_credentials"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    esp.control("clear", target="token")
    assert sender.http.post("/oauth/token", data={"grant_type": "client_credentials"}).status_code == 401


def test_cut_before_takes_nothing_and_cut_after_takes_it(esp: EspSandbox, sender: Client) -> None:
    for mode, taken in (("cut_before", 0), ("cut_after", 1)):
        esp.control("fail", target="messages", mode=mode, times=1)
        with pytest.raises(httpx.TransportError):
            send(sender)
        assert len(esp.messages) == taken
    assert send(sender).status_code == 202
    assert [call.status for call in esp.faults.calls if call.target == "messages"] == [0, 0, 202]


def test_slow_holds_the_call_and_takes_it_even_when_nobody_waits(esp: EspSandbox, sender: Client) -> None:
    esp.control("fail", target="messages", mode="slow", seconds=0.4, times=2)
    before = time.monotonic()
    assert send(sender).status_code == 202
    assert time.monotonic() - before >= 0.4
    sender.http.timeout = httpx.Timeout(0.1)
    with pytest.raises(httpx.ReadTimeout):
        send(sender)
    until(lambda: len(esp.messages) == 2)


def test_after_lets_some_calls_through_first(esp: EspSandbox, sender: Client) -> None:
    esp.control("fail", target="messages", mode="down", after=2, times=1)
    assert [send(sender).status_code for _ in range(4)] == [202, 202, 503, 202]
    calls = esp.ask("calls", target="messages")
    assert [(call["status"], call["fault"]) for call in calls] == [(202, None), (202, None), (503, "down"), (202, None)]
