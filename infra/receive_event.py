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
        state_table=foundation.tables.state.table_name,
        allowed_origins=tuple(environment.allowed_origins),
        stand_ins=tuple(f"{vendors}={ours}" for vendors, ours in environment.stand_ins.items()),
    )
    function = foundation.function("receive_event", settings)
    # Pixels and challenges, a look whether we are here, browsers; and whoever uses a wrong method is told the right one.
    foundation.api.public("ANY", "/v1/events/{tracker}", function)
    # Many a vendor's SDK puts a path of its own behind the address that it is given.
    foundation.api.public("ANY", "/v1/events/{tracker}/{proxy+}", function)
    rights.read_definitions(foundation, function)
    rights.read_secrets(foundation, function, "tracker")
    rights.use_limits(foundation, function)
    rights.send(function, events)
    rights.park(function, events)
    return function
