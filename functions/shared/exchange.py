"""Requests and responses as values: what connectors build and read. `shared/http.py` sends them.

A connector's operation is a generator: it yields requests, is sent their responses, and returns its result or raises an
outcome. So several requests in a row (paging, a look-up and a write) need no I/O in the connector.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeVar

from pydantic import JsonValue

from shared.clock import Clock
from shared.errors import Transient

T = TypeVar("T")

Exchange = Generator["Request", "Response", T]
"""An operation of a connector."""


@dataclass(frozen=True)
class Request:
    """One HTTP request. Header values and the body may hold secrets, so a `repr` shows neither."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    timeout: float = 10
    """Seconds for the whole request."""


@dataclass(frozen=True)
class Response:
    """One HTTP response, read whole. Header names are lower-case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    seconds: float = 0

    def json(self) -> JsonValue:
        """The body as JSON. Raises Transient if it is not: a gateway's error page is not an answer."""
        try:
            value: JsonValue = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Transient(f"the answer (HTTP {self.status}) is not JSON") from error
        return value

    def retry_after(self, clock: Clock) -> float | None:
        """Seconds to wait as the `Retry-After` header says (RFC 9110, section 10.2.3), at most an hour; None without one."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return min(float(text), 3600)
        try:
            seconds = (parsedate_to_datetime(text) - clock()).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
        return min(max(seconds, 0), 3600)


def run(exchange: Exchange[T], send: Callable[[Request], Response]) -> T:
    """Drives an operation to its end, sending each request it yields; what `send` raises is raised in the operation."""
    try:
        request = next(exchange)
        while True:
            try:
                response = send(request)
            except Exception as error:  # handed to the operation, which may know better
                request = exchange.throw(error)
            else:
                request = exchange.send(response)
    except StopIteration as end:
        result: T = end.value
        return result
