"""Settings of `send_message`."""

from __future__ import annotations

from dataclasses import dataclass

from shared.env import Settings as Base

AWS_SERVICES = ("dynamodb", "s3", "secretsmanager", "sqs")


@dataclass(frozen=True, kw_only=True)
class Settings(Base):
    """What the function needs to know of its deployment."""

    definitions_table: str
    definitions_ttl: float
    profiles_table: str
    messages_table: str
    retention_days: int
    state_table: str
    mirror_bucket: str
    secret_prefix: str
    base_url: str
    allowed_origins: tuple[str, ...]
    messages_queue_url: str
    messages_parked_url: str
    engagements_queue_url: str
    lease_seconds: int
    """How long a claimed message is ours. Longer than an invocation can last."""
    concurrency: int = 32
    """Requests at a time to an ESP that needs long to answer. To one that answers at once they go one after the other."""
