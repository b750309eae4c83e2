"""What has to be fetched before a post can be verified: a public key, say.

Answers are kept in memory for a day and failures for a minute, and only so many different things are fetched in a minute: what is
fetched is named by a post that nobody has verified yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypeVar
from urllib.parse import urlsplit

from shared.clock import Clock
from shared.errors import SendbridgeError, Transient
from shared.exchange import Exchange, Request, Response, run

T = TypeVar("T")

_GOOD = timedelta(hours=24)
_FAILED = timedelta(minutes=1)
_MOST = 50
"""Answers kept."""
_A_MINUTE = 20
"""Fetched in a minute, at most."""


def elsewhere(send: Callable[[Request], Response], stand_ins: Iterable[str]) -> Callable[[Request], Response]:
    """A `send` that asks another origin for what a vendor has at a fixed one: `https://vendor.example=https://mirror.example`."""
    others = dict(one.split("=", 1) for one in stand_ins)

    def sent(request: Request) -> Response:
        parts = urlsplit(request.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        return send(replace(request, url=others.get(origin, origin) + request.url[len(origin) :]))

    return sent if others else send


@dataclass(frozen=True)
class _Kept:
    until: datetime
    answer: Response | None
    reason: str = ""
    """Why there is no answer."""


class Fetcher:
    """Runs what formats ask for, over a memory of what was answered."""

    def __init__(self, sender: Callable[[], Callable[[Request], Response]], clock: Clock) -> None:
        self._sender, self._clock = cache(sender), clock  # made when something is fetched
        self._kept: dict[str, _Kept] = {}
        self._minute = (datetime.min.replace(tzinfo=UTC), 0)

    def run(self, exchange: Exchange[T]) -> T:
        """Drives an exchange to its end. Raises what the exchange raises, Transient if something cannot be fetched now."""
        return run(exchange, self._answer)

    def _answer(self, request: Request) -> Response:
        now = self._clock()
        kept = self._kept.pop(request.url, None)
        if kept is None or kept.until <= now:
            kept = self._fetched(request, now)
        self._kept[request.url] = kept  # the newest last
        while len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]
        if kept.answer is None:
            raise Transient(kept.reason)
        return kept.answer

    def _fetched(self, request: Request, now: datetime) -> _Kept:
        self._count(now)
        try:
            answer = self._sender()(request)
        except SendbridgeError as error:
            return _Kept(now + _FAILED, None, error.reason)
        return _Kept(now + (_GOOD if answer.status == 200 else _FAILED), answer)

    def _count(self, now: datetime) -> None:
        began, count = self._minute
        if now - began >= timedelta(minutes=1):
            began, count = now, 0
        if count >= _A_MINUTE:
            raise Transient("too much had to be fetched to verify posts in the last minute")
        self._minute = began, count + 1
