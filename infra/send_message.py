"""`send_message`: makes the content, keeps it for the mirror page, writes the ledger, and logs in at the ESP."""

from __future__ import annotations

from infra import rights
from infra.foundation import Foundation
from infra.function import Function
from send_message.settings import Settings

# Beyond the timeout, so that a lease never ends while its holder is still at work.
_LONGER = 5


_TOGETHER = 100


def send_message(foundation: Foundation) -> Function:
    """Adds the function, its queue and its rights."""
    tables, messages = foundation.tables, foundation.messages
    function = foundation.function("send_message", _settings(foundation), memory_mb=1024)
    window = foundation.environment.messages_window_seconds
    messages.feed(function, batch_size=_TOGETHER if window else 10, window_seconds=window)
    rights.read_definitions(foundation, function)
    rights.read_secrets(foundation, function, "integration")
    rights.use_tokens(foundation, function, "integration")
    rights.use_circuits(foundation, function)
    rights.use_limits(foundation, function)
    rights.read_links_key(foundation, function)
    rights.read_mirrors(foundation, function)
    rights.keep_mirrors(foundation, function)
    function.may("dynamodb:BatchGetItem", "dynamodb:PartiQLUpdate", on=[tables.profiles.table_arn])
    ledger = ("BatchGetItem", "PartiQLInsert", "PartiQLUpdate", "UpdateItem")
    function.may(*(f"dynamodb:{action}" for action in ledger), on=[tables.messages.table_arn])
    rights.work_off(function, messages)
    rights.send(function, foundation.engagements)
    return function


def _settings(foundation: Foundation) -> Settings:
    environment, tables = foundation.environment, foundation.tables
    return Settings(
        environment=environment.name,
        definitions_table=tables.definitions.table_name,
        definitions_ttl=environment.definitions_ttl_seconds,
        profiles_table=tables.profiles.table_name,
        messages_table=tables.messages.table_name,
        retention_days=environment.message_retention_days,
        state_table=tables.state.table_name,
        mirror_bucket=tables.mirror.bucket_name,
        secret_prefix=environment.prefix,
        base_url=foundation.api.url,
        allowed_origins=tuple(environment.allowed_origins),
        messages_queue_url=foundation.messages.url,
        messages_parked_url=foundation.messages.parked.queue_url,
        engagements_queue_url=foundation.engagements.url,
        lease_seconds=environment.function_timeout_seconds + _LONGER,
    )
