"""What trackers told is kept for a while (`shared.recordings`).

It is kept when all else is done, and no message waits for it or comes again because of it: there is one attempt, of two
seconds. If that fails it is logged and counted, the events are missing there for good, and for a minute nothing is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from shared.clock import Clock
from shared.jobs import TrackerEvent
from shared.observe import logger
from shared.recordings import Recordings

_PAUSE = timedelta(minutes=1)


class Recorder:
    """Keeps events. `missing` is told how many could not be."""

    def __init__(self, recordings: Callable[[], Recordings], clock: Clock, missing: Callable[[int], None]) -> None:
        self._recordings, self._clock, self._missing = recordings, clock, missing
        self._paused_until: datetime | None = None

    def record(self, events: Sequence[TrackerEvent]) -> None:
        """Keeps these events, or does without."""
        if not events:
            return
        if (self._paused_until and self._clock() < self._paused_until) or not self._kept(events):
            self._missing(len(events))

    def _kept(self, events: Sequence[TrackerEvent]) -> bool:
        try:
            self._recordings().keep(events)
        except (BotoCoreError, ClientError) as error:
            logger.warning("not recorded", events=len(events), error=type(error).__name__)
            self._paused_until = self._clock() + _PAUSE
            return False
        return True
