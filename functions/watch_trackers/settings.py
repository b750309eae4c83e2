"""Settings of `watch_trackers`."""

from __future__ import annotations

import dataclasses

from shared import env
from shared.bounds import MAX_AGE_SECONDS, MAX_AHEAD_SECONDS

AWS_SERVICES = ("dynamodb", "secretsmanager", "sqs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(env.Settings):
    """What the function needs to know of its deployment."""

    definitions_table: str
    state_table: str
    secret_prefix: str
    definitions_ttl: float
    events_queue_url: str
    events_parked_url: str
    timeout_seconds: float
    """This function's timeout: half of it is for reading on, and a third for one request."""
    allowed_origins: tuple[str, ...] = ()
    max_ahead_seconds: int = MAX_AHEAD_SECONDS
    max_age_seconds: int = MAX_AGE_SECONDS
