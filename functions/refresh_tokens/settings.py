"""Settings of `refresh_tokens`."""

from __future__ import annotations

from dataclasses import dataclass

from shared.env import Settings as Base

AWS_SERVICES = ("dynamodb", "secretsmanager")


@dataclass(frozen=True, kw_only=True)
class Settings(Base):
    """What the function needs to know of its deployment."""

    definitions_table: str
    state_table: str
    secret_prefix: str
    definitions_ttl: float
    allowed_origins: tuple[str, ...] = ()
