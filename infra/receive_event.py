"""`receive_event`: verifies what a tracker posts, and queues it."""

from __future__ import annotations

from infra import rights
from infra.foundation import Foundation
from infra.function import Function
from receive_event.settings import Settings


def receive_event(foundation: Foundation) -> Function:
    """Adds the function, its route and its rights."""
    environment, events = foundation.environment, foundation.events
    settings = Settings(
        environment=environment.name,
        definitions_table=foundation.tables.definitions.table_name,
        definitions_ttl=environment.definitions_ttl_seconds,
        secret_prefix=environment.prefix,
        events_queue_url=events.url,
        events_parked_url=events.parked.queue_url,
    )
    function = foundation.function("receive_event", settings)
    foundation.api.public("POST", "/v1/events/{tracker}", function)
    rights.read_definitions(foundation, function)
    rights.read_secrets(foundation, function, "tracker")
    rights.send(function, events)
    rights.park(function, events)
    return function
