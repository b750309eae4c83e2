"""`show_mirror`: reads what was sent."""

from __future__ import annotations

from infra import rights
from infra.foundation import Foundation
from infra.function import Function
from show_mirror.settings import Settings


def show_mirror(foundation: Foundation) -> Function:
    """Adds the function, its route and its rights."""
    settings = Settings(
        environment=foundation.environment.name,
        messages_table=foundation.tables.messages.table_name,
        retention_days=foundation.environment.message_retention_days,
        mirror_bucket=foundation.tables.mirror.bucket_name,
        mirror_days=foundation.environment.mirror_retention_days,
        secret_prefix=foundation.environment.prefix,
        base_url=foundation.api.url,
    )
    function = foundation.function("show_mirror", settings)
    foundation.api.public("GET", "/v1/mirror/{message_id}/{signature}", function)
    rights.read_links_key(foundation, function)
    rights.read_mirrors(foundation, function)
    function.may("dynamodb:BatchGetItem", on=[foundation.tables.messages.table_arn])
    return function
