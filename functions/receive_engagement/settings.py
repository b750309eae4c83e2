"""Settings of `receive_engagement`."""

from __future__ import annotations

from dataclasses import dataclass

from shared.env import Settings as Base

AWS_SERVICES = ("dynamodb", "secretsmanager", "sqs")


@dataclass(frozen=True, kw_only=True)
class Settings(Base):
    """What the function needs to know of its deployment."""

    definitions_table: str
    definitions_ttl: float
    secret_prefix: str
    engagements_queue_url: str
    engagements_parked_url: str
