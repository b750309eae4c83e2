"""A request of several messages that is refused as a whole: who is to blame is found, within the time of one request."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from connectors.esps.base import Answered, Outgoing, Sent
from connectors.esps.sendgrid import CONNECTOR
from shared.errors import Misconfigured, Permanent, Transient, Unknown
from shared.exchange import Request, Response, run
from tests.connectors.esps.sending import NOW
from tests.contract.sample import filled

TAKEN = Response(202, {"x-message-id": "a"})
REFUSED = Response(400, {}, b'{"errors": [{"field": "personalizations.0.to.0.email"}]}')
Answer = Callable[[list[str]], Response]


class Vendor:
    """Answers by the ids of the messages of a request; each answer takes so many seconds."""

    def __init__(self, answer: Answer, seconds: float = 0) -> None:
        self.answer, self.seconds, self.now = answer, seconds, NOW
        self.asked: list[list[str]] = []
        self.timeouts: list[float] = []

    def clock(self) -> datetime:
        return self.now

    def __call__(self, request: Request) -> Response:
        self.asked.append([one["id"] for one in json.loads(request.body)["personalizations"]])
        self.timeouts.append(request.timeout)
        self.now += timedelta(seconds=self.seconds)
        return self.answer(self.asked[-1])


def send(vendor: Vendor, count: int) -> Answered:
    made = filled("sendgrid", timeout_seconds=10)
    messages = [Outgoing(str(n), made.url, {"personalizations": [{"id": str(n)}]}) for n in range(count)]
    return run(CONNECTOR.send(made, messages, vendor.clock), vendor)


def refusing(*bad: str) -> Answer:
    return lambda ids: REFUSED if set(bad) & set(ids) else TAKEN


def kinds(answered: Answered) -> str:
    letters: dict[type[object], str] = {Sent: "s", Permanent: "p", Transient: "t", Unknown: "u", Misconfigured: "m"}
    return "".join(letters[type(one)] for one in answered.outcomes)


def test_every_message_but_the_bad_ones_is_sent_once() -> None:
    vendor = Vendor(refusing("2", "13"))
    assert kinds(send(vendor, 16)) == "ssp" + "s" * 10 + "pss"
    taken = [one for ids in vendor.asked if not {"2", "13"} & set(ids) for one in ids]
    assert sorted(taken, key=int) == [str(n) for n in range(16) if n not in (2, 13)]
    assert len(vendor.asked) == 15


def test_a_message_alone_is_asked_for_once() -> None:
    vendor = Vendor(refusing("0"))
    assert kinds(send(vendor, 1)) == "p"
    assert len(vendor.asked) == 1


def test_what_is_left_when_the_time_is_over_waits() -> None:
    vendor = Vendor(refusing(*map(str, range(16))), seconds=3)
    outcomes = send(vendor, 16)
    assert kinds(outcomes) == "t" * 16
    assert vendor.timeouts == [10, 7, 4, 1]
    assert {getattr(one, "retry_after", None) for one in outcomes.outcomes} == {0}


def test_a_request_that_is_cut_off_costs_only_its_own() -> None:
    def answer(ids: list[str]) -> Response:
        if ids == ["0", "1"]:
            raise Unknown("cut")
        return refusing("3")(ids)

    assert kinds(send(Vendor(answer), 8)) == "uuspssss"


def test_nothing_else_is_sent_again() -> None:
    for response, letter in ((Response(429), "t"), (Response(500), "t"), (Response(403), "m")):
        vendor = Vendor(lambda _, response=response: response)  # type: ignore[misc]
        assert kinds(send(vendor, 4)) == letter * 4
        assert len(vendor.asked) == 1


def test_the_longest_wait_that_was_asked_for_is_kept() -> None:
    def answer(ids: list[str]) -> Response:
        left = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": ids[0]}
        return REFUSED if len(ids) > 2 else Response(202, {**TAKEN.headers, **left})

    assert send(Vendor(answer), 8).pause == 6


def test_what_the_network_raises_at_once_is_raised() -> None:
    def answer(_: list[str]) -> Response:
        raise Unknown("cut")

    with pytest.raises(Unknown, match="cut"):
        send(Vendor(answer), 4)
