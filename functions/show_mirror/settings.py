"""Settings of `show_mirror`."""

from __future__ import annotations

from dataclasses import dataclass

from shared.env import Settings as Base

AWS_SERVICES = ("dynamodb", "s3", "secretsmanager")


@dataclass(frozen=True, kw_only=True)
class Settings(Base):
    """What the function needs to know of its deployment."""

    messages_table: str
    retention_days: int
    mirror_bucket: str
    mirror_days: int
    """How long after it was sent a message can be looked at."""
    secret_prefix: str
    base_url: str
