"""The schedule: every minute, timers for what falls due before the next sweep, and for whatever was left behind."""

from __future__ import annotations

from match_triggers.desk import Desk
from shared.visits import SHARDS


def sweep(desk: Desk, limit: int) -> int:
    """Sends timers for at most `limit` visits of each shard, those overdue longest first. Returns for how many visits.

    What is worked off leaves the index, so the next sweep finds those that were beyond the limit.
    """
    until = desk.clock() + desk.horizon
    # All shards together: what falls due in the same second shares its timers, and the first to fall due get theirs first.
    due = [one for shard in SHARDS for one in desk.visits.due(shard, until, limit)]
    desk.remind(due)
    return len(due)
