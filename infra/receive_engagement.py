"""`receive_engagement`: verifies what an ESP posts, and queues it."""

from __future__ import annotations

from infra import rights
from infra.foundation import Foundation
from infra.function import Function
from receive_engagement.settings import Settings


def receive_engagement(foundation: Foundation) -> Function:
    """Adds the function, its route and its rights."""
    environment, engagements = foundation.environment, foundation.engagements
    settings = Settings(
        environment=environment.name,
        definitions_table=foundation.tables.definitions.table_name,
        definitions_ttl=environment.definitions_ttl_seconds,
        secret_prefix=environment.prefix,
        engagements_queue_url=engagements.url,
        engagements_parked_url=engagements.parked.queue_url,
    )
    function = foundation.function("receive_engagement", settings)
    for method in ("POST", "GET", "HEAD"):  # some ESPs tell by GET, and some see by HEAD whether somebody answers
        foundation.api.public(method, "/v1/engagements/{integration}", function)
    rights.read_definitions(foundation, function)
    rights.read_secrets(foundation, function, "integration")
    rights.send(function, engagements)
    rights.park(function, engagements)
    return function
