"""What connectors are: plain objects that build requests, read responses and verify signatures, without any I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.clock import Clock
from shared.definitions import Tracker
from shared.jobs import TrackerEvent


@dataclass(frozen=True)
class Post:
    """One HTTP request that somebody made to us. Header names are lower-case. A `repr` shows none of it."""

    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Rejected:
    """One event of a post that cannot be taken: where, what was expected, and the event as JSON text."""

    index: int
    where: str
    reason: str
    raw: str = field(repr=False)


class TrackerConnector(Protocol):
    """One format in which behaviour is posted to us."""

    def verify(self, tracker: Tracker, post: Post, clock: Clock) -> None:
        """Raises BadRequest (401) that says why the post is not from this tracker."""

    def events(self, tracker: Tracker, post: Post, clock: Clock) -> tuple[Sequence[tuple[int, TrackerEvent]], Sequence[Rejected]]:
        """The post's events, each with its position, and those that cannot be read.

        Raises BadRequest if the body as a whole cannot be read.
        """
