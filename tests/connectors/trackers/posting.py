"""What the sandboxes' senders post, as the formats read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
from pydantic import JsonValue

from connectors.base import Post, Read, Rejected
from connectors.registry import TRACKERS
from connectors.trackers.proving import prove
from shared.errors import BadRequest
from shared.jobs import TrackerEvent
from shared.trackers import Tracker
from tests.sandbox.clock import Clock
from tests.sandbox.trackers.sending import through

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class Site:
    """A tracker at an address, that keeps what it was posted and what became of it."""

    tracker: Tracker
    read: list[Read | None] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    clock: Clock = field(default_factory=lambda: Clock(NOW.timestamp))
    answer: Callable[[int], httpx.Response] | None = None
    """What is answered instead, by how many posts there were."""

    @property
    def client(self) -> httpx.Client:
        """What senders post with."""
        return through(self._answer)

    @property
    def events(self) -> list[TrackerEvent]:
        """The events that were taken."""
        return [one for one in self.read if isinstance(one, TrackerEvent)]

    @property
    def event(self) -> TrackerEvent:
        """The only one."""
        [one] = self.events
        return one

    @property
    def rejected(self) -> list[tuple[str, str]]:
        """What was wrong with the others."""
        return [(one.field, one.reason) for one in self.read if isinstance(one, Rejected)]

    def take(self, post: Post) -> list[Read | None]:
        """What becomes of one post. Raises BadRequest."""
        connector = TRACKERS.load(self.tracker.format)
        prove(connector, self.tracker, post, lambda: NOW)
        return connector.events(self.tracker, post, lambda: NOW)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.posts.append(Post(dict(request.headers), request.content))
        if self.answer is not None:
            return self.answer(len(self.posts))
        try:
            self.read += self.take(self.posts[-1])
        except BadRequest as error:
            return httpx.Response(error.status, text=error.reason)
        return httpx.Response(202)


def site(**definition: JsonValue) -> Site:
    """A tracker with this definition."""
    return Site(Tracker.model_validate({"name": "site", **definition}))


@contextmanager
def failing(where: Site, times: int, status: int = 503) -> Iterator[None]:
    """The site is down for so many posts."""
    began = len(where.posts)

    def answer(posts: int) -> httpx.Response:
        if posts - began > times:
            where.read += where.take(where.posts[-1])
            return httpx.Response(202)
        return httpx.Response(status)

    where.answer = answer
    yield
    where.answer = None
