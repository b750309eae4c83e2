"""Service protection: requests, execution time and concurrency of one user over a sliding window."""

import math
from collections import deque

from tests.sandbox.dynamics_errors import ODataError


class ServiceProtection:
    """Counts what the application user did in the window, and refuses what is over the limits.

    `Retry-After` is when a request would pass again, and grows by a second with every refused one in between.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget the window."""
        self.done: deque[tuple[float, float]] = deque()
        self.running = self.started = self.refusals = 0
        self.busy = 0.0

    def admit(self, now: float, requests: int, busy_seconds: float, at_once: int, window: float) -> None:
        """Let a request in, or raise the `ODataError` 429 of the limit it is over."""
        self._slide(now - window)
        if len(self.done) + self.running >= requests:
            message = f"Number of requests exceeded the limit of {requests} over time window of {window:.0f} seconds."
            raise self._over("0x80072322", message, now, window)
        if self.busy >= busy_seconds:
            message = (
                f"Combined execution time of incoming requests exceeded limit of {busy_seconds * 1000:,.0f} milliseconds "
                f"over time window of {window:.0f} seconds. Decrease number of concurrent requests or reduce the "
                "duration of requests and try again later."
            )
            raise self._over("0x80072321", message, now, window)
        if self.running >= at_once:
            message = f"Number of concurrent requests exceeded the limit of {at_once}."
            raise self._over("0x80072326", message, now, 0)
        self.refusals = 0
        self.running += 1

    def leave(self, now: float, seconds: float) -> None:
        """A request that was let in has ended after `seconds`."""
        self.running -= 1
        self.done.append((now, seconds))
        self.busy += seconds

    def headers(self, requests: int, busy_seconds: float) -> dict[str, str]:
        """What is left, as every answer but a 429 says."""
        return {
            "x-ms-ratelimit-burst-remaining-xrm-requests": str(max(0, requests - len(self.done) - self.running)),
            "x-ms-ratelimit-time-remaining-xrm-requests": f"{max(0.0, busy_seconds - self.busy):,.2f}",
        }

    def _slide(self, start: float) -> None:
        while self.done and self.done[0][0] <= start:
            self.busy -= self.done.popleft()[1]

    def _over(self, code: str, message: str, now: float, window: float) -> ODataError:
        wait = self.done[0][0] + window - now if self.done and window else 1.0
        self.refusals += 1
        return ODataError(429, code, message, {"Retry-After": str(max(1, math.ceil(wait)) + self.refusals - 1)})
