"""What has to be fetched to verify a post is fetched seldom, and never on and on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from receive_event.fetching import Fetcher
from shared.errors import BadRequest, SendbridgeError, Transient
from shared.exchange import Exchange, Request, Response


class World:
    """A clock, and servers that answer."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 12, tzinfo=UTC)
        self.asked: list[str] = []
        self.made = 0
        self.answer: Response | SendbridgeError = Response(200, {}, b"key")
        self.fetcher = Fetcher(self._sender, lambda: self.now)

    def _sender(self):  # type: ignore[no-untyped-def]
        self.made += 1
        return self._send

    def _send(self, request: Request) -> Response:
        self.asked.append(request.url)
        if isinstance(self.answer, SendbridgeError):
            raise self.answer
        return self.answer

    def fetch(self, url: str = "https://keys.example.com/1") -> bytes:
        return self.fetcher.run(_body_of(url))


def _body_of(url: str) -> Exchange[bytes]:
    response = yield Request("GET", url)
    if response.status != 200:
        raise BadRequest("no such key", status=401)
    return response.body


def test_an_answer_is_kept_for_a_day() -> None:
    world = World()
    assert world.made == 0  # nothing is made before something is fetched
    for hours in (0, 23.9):
        world.now += timedelta(hours=hours)
        assert world.fetch() == b"key"
    assert (len(world.asked), world.made) == (1, 1)
    world.now += timedelta(hours=0.2)
    world.fetch()
    assert (len(world.asked), world.made) == (2, 1)


def test_what_another_url_says_is_something_else() -> None:
    world = World()
    world.fetch()
    world.answer = Response(200, {}, b"other")
    assert (world.fetch("https://keys.example.com/2"), world.fetch()) == (b"other", b"key")


@pytest.mark.parametrize("answer", [Transient("down"), Response(404, {}, b""), Response(500, {}, b"")])
def test_a_failure_is_kept_for_a_minute(answer: Response | SendbridgeError) -> None:
    world = World()
    world.answer = answer
    for seconds in (0, 30, 29):
        world.now += timedelta(seconds=seconds)
        with pytest.raises(Transient if isinstance(answer, SendbridgeError) else BadRequest):
            world.fetch()
    assert len(world.asked) == 1
    world.now += timedelta(seconds=2)
    world.answer = Response(200, {}, b"key")
    assert world.fetch() == b"key"


def test_a_stranger_cannot_have_us_call_on_and_on() -> None:
    world = World()
    refused = 0
    for number in range(1_000):
        try:
            world.fetch(f"https://keys.example.com/{number}")
        except Transient:
            refused += 1
    assert (len(world.asked), refused) == (20, 980)
    assert world.fetch("https://keys.example.com/7") == b"key"  # what is known is not forgotten meanwhile
    world.now += timedelta(minutes=1)
    assert world.fetch("https://keys.example.com/500") == b"key"


def test_only_the_last_fifty_are_kept() -> None:
    world = World()
    for number in range(60):
        world.now += timedelta(seconds=10)
        world.fetch(f"https://keys.example.com/{number}")
    world.fetch("https://keys.example.com/59")
    assert len(world.asked) == 60
    world.fetch("https://keys.example.com/0")
    assert len(world.asked) == 61
