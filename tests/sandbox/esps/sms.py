"""What the sandboxes of SMS vendors share: numbers, and the quota of messages a second."""

import re
from collections import deque

from tests.sandbox.clock import Clock

PLUS = re.compile(r"\+[1-9][0-9]{6,14}")
DIGITS = re.compile(r"[1-9][0-9]{6,14}")


class Rate:
    """At most so many messages in any second."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.at: deque[float] = deque()

    def takes(self, most: int) -> bool:
        """Whether one more fits; counts it."""
        now = self.clock()
        while self.at and self.at[0] <= now - 1:
            self.at.popleft()
        if len(self.at) >= most:
            return False
        self.at.append(now)
        return True
