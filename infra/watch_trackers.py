"""`watch_trackers`: notices silence, and reads on in journals."""

from __future__ import annotations

from infra import rights
from infra.foundation import Foundation
from infra.function import Function
from watch_trackers.settings import Settings


def watch_trackers(foundation: Foundation) -> Function:
    """Adds the function, its schedule and its rights."""
    tables, environment, events = foundation.tables, foundation.environment, foundation.events
    settings = Settings(
        environment=environment.name,
        definitions_table=tables.definitions.table_name,
        state_table=tables.state.table_name,
        secret_prefix=environment.prefix,
        definitions_ttl=environment.definitions_ttl_seconds,
        events_queue_url=events.url,
        events_parked_url=events.parked.queue_url,
        timeout_seconds=environment.function_timeout_seconds,
        allowed_origins=tuple(environment.allowed_origins),
    )
    function = foundation.function("watch_trackers", settings)
    foundation.every_minute(function)
    rights.read_definitions(foundation, function)
    rights.read_secrets(foundation, function, "tracker")
    rights.use_tokens(foundation, function, "tracker")
    # Leases, places in journals, and when trackers were heard of.
    function.may("dynamodb:BatchGetItem", "dynamodb:PutItem", on=[tables.state.table_arn])
    rights.send(function, events)
    rights.park(function, events)
    return function
