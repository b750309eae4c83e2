"""The schedule: every minute, timers for what falls due before the next sweep, and for whatever was left behind."""

from __future__ import annotations

from match_triggers.desk import Desk
from shared.visits import SHARDS


def sweep(desk: Desk, limit: int) -> int:
    """Sends a timer for at most `limit` visits of each shard, those overdue longest first. Returns how many.

    What is worked off leaves the index, so the next sweep finds those that were beyond the limit.
    """
    until = desk.clock() + desk.horizon
    found = 0
    for shard in SHARDS:
        due = list(desk.visits.due(shard, until, limit))
        desk.remind(due)
        found += len(due)
    return found
