"""The schedule: every minute, timers for what falls due before the next sweep, and for whatever was left behind."""

from __future__ import annotations

from match_triggers.bench import Bench
from shared.visits import SHARDS


def sweep(bench: Bench, limit: int) -> int:
    """Sends a timer for at most `limit` visits of each shard, those overdue longest first. Returns how many.

    What is worked off leaves the index, so the next sweep finds those that were beyond the limit.
    """
    until = bench.clock() + bench.horizon
    found = 0
    for shard in SHARDS:
        due = list(bench.visits.due(shard, until, limit))
        bench.remind(due)
        found += len(due)
    return found
