"""Settings of `unsubscribe`."""

from __future__ import annotations

from dataclasses import dataclass

from shared.env import Settings as Base

AWS_SERVICES = ("dynamodb", "secretsmanager", "sqs")


@dataclass(frozen=True, kw_only=True)
class Settings(Base):
    """What the function needs to know of its deployment."""

    profiles_table: str
    messages_table: str
    retention_days: int
    secret_prefix: str
    base_url: str
    engagements_queue_url: str
