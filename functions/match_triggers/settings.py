"""Settings of `match_triggers`."""

from __future__ import annotations

import dataclasses

from shared import env

AWS_SERVICES = ("dynamodb", "s3", "sqs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(env.Settings):
    """What the function needs to know of its deployment."""

    definitions_table: str
    profiles_table: str
    visits_table: str
    messages_table: str
    retention_days: int
    """Days that a message's row is kept."""
    definitions_ttl: float
    events_queue_url: str
    events_parked_url: str
    timers_queue_url: str
    timers_parked_url: str
    messages_queue_url: str
    events_bucket: str = ""
    """Where what trackers told is kept; empty if it is not."""
    profile_days: int
    """Days that a person is kept after the last that was learnt of them."""
    visit_days: int
    """Days that a visit is kept after its last event or deadline."""
    horizon_seconds: int = 90
    """What falls due within this time gets its timer at once: more than the schedule's minute, less than SQS's 15."""
    sweep_limit: int = 10_000
    """Visits of one shard that one sweep sends timers for: what is left is found a minute later."""
