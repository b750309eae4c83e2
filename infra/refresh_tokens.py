"""`refresh_tokens`: reads who logs in where, and keeps their tokens."""

from __future__ import annotations

from infra import rights
from infra.foundation import Foundation
from infra.function import Function
from refresh_tokens.settings import Settings

_KINDS = ("integration", "destination")


def refresh_tokens(foundation: Foundation) -> Function:
    """Adds the function, its schedule and its rights."""
    tables, environment = foundation.tables, foundation.environment
    settings = Settings(
        environment=environment.name,
        definitions_table=tables.definitions.table_name,
        state_table=tables.state.table_name,
        secret_prefix=environment.prefix,
        definitions_ttl=environment.definitions_ttl_seconds,
        allowed_origins=tuple(environment.allowed_origins),
    )
    function = foundation.function("refresh_tokens", settings)
    foundation.every_minute(function)
    rights.read_definitions(foundation, function)
    rights.read_secrets(foundation, function, *_KINDS)
    rights.renew_tokens(foundation, function, *_KINDS)
    return function
