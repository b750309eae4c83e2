"""`unsubscribe`: writes the opt-out, and has the ledger and the CRMs know."""

from __future__ import annotations

from infra import rights
from infra.foundation import Foundation
from infra.function import Function
from unsubscribe.settings import Settings


def unsubscribe(foundation: Foundation) -> Function:
    """Adds the function, its routes and its rights."""
    environment, tables = foundation.environment, foundation.tables
    settings = Settings(
        environment=environment.name,
        profiles_table=tables.profiles.table_name,
        messages_table=tables.messages.table_name,
        retention_days=environment.message_retention_days,
        secret_prefix=environment.prefix,
        base_url=foundation.api.url,
        engagements_queue_url=foundation.engagements.url,
    )
    function = foundation.function("unsubscribe", settings)
    for method in ("GET", "POST"):
        foundation.api.public(method, "/v1/unsubscribe/{message_id}/{profile_id}/{channel}/{signature}", function)
    rights.read_links_key(foundation, function)
    function.may("dynamodb:BatchGetItem", on=[tables.messages.table_arn])
    function.may("dynamodb:BatchGetItem", "dynamodb:UpdateItem", on=[tables.profiles.table_arn])
    rights.send(function, foundation.engagements)
    return function
