"""The sandboxes' time: real, and movable forward so that a token's hour need not be waited for."""

import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Seconds since the epoch. `advance` moves the vendor's books; `real` never moves.

    What leaves the sandbox signed (webhooks) is stamped with `real`, because its receiver has a clock of its own.
    """

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self.real = source
        self.ahead = 0.0

    def __call__(self) -> float:
        return self.real() + self.ahead

    def advance(self, seconds: float) -> None:
        """Move the vendor's time forward by `seconds`."""
        self.ahead += seconds


def iso(seconds: float, timespec: str = "milliseconds") -> str:
    """Epoch seconds as ISO 8601 in UTC with a Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
