"""What the three invocations share: the stores, the queues, and how a visit's next look is announced."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from match_triggers.listeners import Listeners, Listening
from match_triggers.versions import Versions
from shared.catalogue import Catalogue
from shared.clock import Clock
from shared.entities import Entities
from shared.jobs import TimerJob
from shared.ledger import Ledger
from shared.profiles import Profiles
from shared.queues import Queue
from shared.reports import Counts
from shared.triggers import Trigger
from shared.visits import Visits

TRIES = 5
"""How often a visit is read again after somebody else changed it, before the job goes back to its queue."""

TOGETHER = 10
"""Visits that fall due in the same second and share a timer: a tenth of the messages, and their work is batched."""


@dataclass(frozen=True)
class Desk:
    """What matching needs."""

    visits: Visits
    profiles: Profiles
    entities: Entities
    ledger: Ledger
    versions: Versions
    triggers: Catalogue[Trigger]
    timers: Queue
    messages: Queue
    clock: Clock
    horizon: timedelta
    """What falls due within this time gets its timer at once, the rest is left to the sweep."""
    counts: Counts = field(default_factory=Counts)
    """What has been decided and taken back since this was reported last."""
    _listeners: Listeners = field(default_factory=Listeners)

    def listening(self, tracker: str) -> Listening:
        """The triggers that look at visitors of this tracker."""
        return self._listeners.of(self.triggers.all(), tracker)

    def remind(self, due: Iterable[tuple[str, datetime | None]]) -> None:
        """Sends timers for those of these visits that are due within the horizon, with their exact delay. Twice does no harm."""
        now = self.clock()
        by_delay: dict[int, dict[str, None]] = {}
        for visit_id, at in due:
            if at is not None and at <= now + self.horizon:
                by_delay.setdefault(max(0, math.ceil((at - now).total_seconds())), {})[visit_id] = None
        self.timers.send_all(
            (TimerJob(visit_ids=tuple(ids[n : n + TOGETHER])), delay)
            for delay, ids in ((delay, list(those)) for delay, those in sorted(by_delay.items()))
            for n in range(0, len(ids), TOGETHER)
        )
