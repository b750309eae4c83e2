"""What the three invocations share: the stores, the queues, and how a visit's next look is announced."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from match_triggers.matching import listening
from match_triggers.versions import Versions
from shared.catalogue import Catalogue, Versioned
from shared.clock import Clock
from shared.jobs import TimerJob
from shared.ledger import Ledger
from shared.profiles import Profiles
from shared.queues import Queue
from shared.triggers import Trigger
from shared.visits import Visits

TRIES = 5
"""How often a visit is read again after somebody else changed it, before the job goes back to its queue."""


@dataclass(frozen=True)
class Desk:
    """What matching needs."""

    visits: Visits
    profiles: Profiles
    ledger: Ledger
    versions: Versions
    triggers: Catalogue[Trigger]
    timers: Queue
    messages: Queue
    clock: Clock
    horizon: timedelta
    """What falls due within this time gets its timer at once, the rest is left to the sweep."""

    def listening(self, tracker: str) -> list[Versioned[Trigger]]:
        """The enabled triggers that look at visits of this tracker."""
        return listening(self.triggers.all().values(), tracker)

    def remind(self, due: Iterable[tuple[str, datetime | None]]) -> None:
        """Sends a timer for each of these visits that is due within the horizon, with its exact delay. Twice does no harm."""
        now = self.clock()
        soon = [(visit_id, at) for visit_id, at in due if at is not None and at <= now + self.horizon]
        self.timers.send_all(
            (TimerJob(visit_id=visit_id), max(0, math.ceil((at - now).total_seconds()))) for visit_id, at in soon
        )
