"""`record_engagement`: writes the ledger and the profiles, and sends on to the CRMs' queues."""

from __future__ import annotations

from infra import rights
from infra.foundation import Foundation
from infra.function import Function
from record_engagement.settings import Settings


def record_engagement(foundation: Foundation) -> Function:
    """Adds the function, its queue and its rights."""
    environment, tables, engagements = foundation.environment, foundation.tables, foundation.engagements
    settings = Settings(
        environment=environment.name,
        definitions_table=tables.definitions.table_name,
        definitions_ttl=environment.definitions_ttl_seconds,
        profiles_table=tables.profiles.table_name,
        messages_table=tables.messages.table_name,
        retention_days=environment.message_retention_days,
        secret_prefix=environment.prefix,
        base_url=foundation.api.url,
        engagements_queue_url=engagements.url,
        engagements_parked_url=engagements.parked.queue_url,
        crm_queue_urls=foundation.crm_queue_urls(),
    )
    function = foundation.function("record_engagement", settings)
    engagements.feed(function, batch_size=50, window_seconds=1)
    rights.read_definitions(foundation, function)
    rights.read_links_key(foundation, function)
    function.may("dynamodb:BatchGetItem", "dynamodb:PartiQLUpdate", "dynamodb:UpdateItem", on=[tables.messages.table_arn])
    function.may("dynamodb:BatchGetItem", "dynamodb:UpdateItem", on=[tables.profiles.table_arn])
    rights.work_off(function, engagements)
    rights.send(function, *foundation.crm.values())
    return function
