"""Settings of `receive_event`."""

from __future__ import annotations

import dataclasses

from shared import env
from shared.bounds import MAX_AGE_SECONDS, MAX_AHEAD_SECONDS

AWS_SERVICES = ("dynamodb", "secretsmanager", "sqs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(env.Settings):
    """What the function needs to know of its deployment."""

    definitions_table: str
    secret_prefix: str
    definitions_ttl: float
    state_table: str
    events_queue_url: str
    events_parked_url: str
    allowed_origins: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()
    """`https://vendor.example=https://mirror.example`: what is asked instead of a host that a vendor has fixed."""
    max_ahead_seconds: int = MAX_AHEAD_SECONDS
    max_age_seconds: int = MAX_AGE_SECONDS
