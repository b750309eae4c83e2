"""Settings of `sync_crm`."""

from __future__ import annotations

from dataclasses import dataclass

from shared.env import Settings as Base

AWS_SERVICES = ("dynamodb", "secretsmanager", "sqs")


@dataclass(frozen=True, kw_only=True)
class Settings(Base):
    """What the function needs to know of its deployment."""

    definitions_table: str
    definitions_ttl: float
    profiles_table: str
    messages_table: str
    retention_days: int
    state_table: str
    secret_prefix: str
    crm_queue_urls: tuple[str, ...]
    """`destination=url` each."""
    crm_parked_urls: tuple[str, ...]
    """`destination=url` each."""
    allowed_origins: tuple[str, ...] = ()
