"""`sync_crm`: works off a queue for each CRM destination, so that the outage of one delays no other."""

from __future__ import annotations

from infra import rights
from infra.foundation import Foundation
from infra.function import Function
from sync_crm.settings import Settings


def sync_crm(foundation: Foundation) -> Function:
    """Adds the function, its queues and its rights."""
    environment, tables, queues = foundation.environment, foundation.tables, foundation.crm.values()
    settings = Settings(
        environment=environment.name,
        definitions_table=tables.definitions.table_name,
        definitions_ttl=environment.definitions_ttl_seconds,
        profiles_table=tables.profiles.table_name,
        messages_table=tables.messages.table_name,
        retention_days=environment.message_retention_days,
        state_table=tables.state.table_name,
        secret_prefix=environment.prefix,
        crm_queue_urls=foundation.crm_queue_urls(),
        crm_parked_urls=foundation.crm_parked_urls(),
        allowed_origins=tuple(environment.allowed_origins),
    )
    function = foundation.function("sync_crm", settings)
    for queue in queues:
        queue.feed(function, batch_size=100, window_seconds=1)
    rights.read_definitions(foundation, function)
    rights.read_secrets(foundation, function, "destination")
    rights.use_tokens(foundation, function, "destination")
    rights.use_circuits(foundation, function)
    function.may("dynamodb:BatchGetItem", "dynamodb:UpdateItem", on=[tables.profiles.table_arn])
    function.may("dynamodb:UpdateItem", on=[tables.messages.table_arn])
    rights.work_off(function, *queues)
    return function
