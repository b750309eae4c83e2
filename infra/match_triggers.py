"""`match_triggers`: keeps the visits, fires their timers, and decides on messages."""

from __future__ import annotations

from infra import rights
from infra.foundation import Foundation
from infra.function import Function
from match_triggers.settings import Settings


def match_triggers(foundation: Foundation) -> Function:
    """Adds the function, its queues, its schedule and its rights."""
    environment, tables = foundation.environment, foundation.tables
    events, timers = foundation.events, foundation.timers
    settings = Settings(
        environment=environment.name,
        definitions_table=tables.definitions.table_name,
        definitions_ttl=environment.definitions_ttl_seconds,
        profiles_table=tables.profiles.table_name,
        visits_table=tables.visits.table_name,
        messages_table=tables.messages.table_name,
        events_bucket=tables.events.bucket_name if tables.events else "",
        retention_days=environment.message_retention_days,
        profile_days=environment.profile_retention_days,
        visit_days=environment.visit_retention_days,
        events_queue_url=events.url,
        events_parked_url=events.parked.queue_url,
        timers_queue_url=timers.url,
        timers_parked_url=timers.parked.queue_url,
        messages_queue_url=foundation.messages.url,
    )
    function = foundation.function("match_triggers", settings)
    # A second later costs nothing: deadlines count from the events' own times. Full batches cost a tenth.
    events.feed(function, batch_size=100, window_seconds=1)
    timers.feed(function)
    foundation.every_minute(function)
    rights.read_definitions(foundation, function)
    function.may("dynamodb:BatchGetItem", "dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate", on=[tables.visits.table_arn])
    function.may("dynamodb:Query", on=[f"{tables.visits.table_arn}/index/due"])
    function.may("dynamodb:BatchGetItem", "dynamodb:UpdateItem", on=[tables.profiles.table_arn])
    function.may("dynamodb:UpdateItem", on=[tables.messages.table_arn])
    rights.keep_recordings(foundation, function)
    rights.work_off(function, events, timers)
    rights.send(function, timers, foundation.messages)
    return function
