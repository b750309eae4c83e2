"""Killing a function at any of its calls: before the call is made, or after it was carried out and before its answer is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.exchange import Request, Response


class Killed(BaseException):
    """Not an Exception: like kill -9, nobody catches it."""


class Executioner:
    """Kills at call number `at` (two numbers a call: before and after it); never if `at` is None.

    The dead do nothing more: whatever is called after that, in a `finally` for instance, is not carried out.
    """

    def __init__(self, at: int | None = None) -> None:
        self.at, self.calls = at, 0

    def __call__(self, **_: object) -> None:
        """Counts one moment, and kills from the one on."""
        self.calls += 1
        if self.at is not None and self.calls > self.at:
            raise Killed

    def watch(self, client: Any) -> None:
        """Has every call of a boto3 client be two moments."""
        for moment in ("before-call.*", "after-call.*"):
            client.meta.events.register(moment, self)

    def unwatch(self, client: Any) -> None:
        """Lets a client be."""
        for moment in ("before-call.*", "after-call.*"):
            client.meta.events.unregister(moment, self)

    def sending(self, send: Callable[[Request], Response]) -> Callable[[Request], Response]:
        """The same `send`, with its two moments."""

        def watched(request: Request) -> Response:
            self()
            response = send(request)
            self()
            return response

        return watched
