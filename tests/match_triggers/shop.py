"""Visits of one shop, and the trigger that watches its carts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from match_triggers.desk import Desk
from match_triggers.listeners import Listener, Listening
from match_triggers.settings import Settings
from shared.catalogue import Versioned
from shared.jobs import EventsJob, TrackerEvent
from shared.triggers import Trigger
from tests.aws import Aws

START = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def tracker_event(name: str, second: float, **changes: object) -> TrackerEvent:
    """Something that a visitor did so many seconds after noon."""
    at = START + timedelta(seconds=second)
    values = {
        "id": f"{name}@{second:g}",
        "tracker": "shop",
        "name": name,
        "at": at,
        "received_at": at + timedelta(seconds=1),
        "anonymous_id": "browser-1",
    }
    return TrackerEvent.model_validate(values | changes)


def cart_trigger(**changes: object) -> Trigger:
    values: dict[str, object] = {
        "name": "cart",
        "must_include": ["Product Added"],
        "must_not_include": ["Order Completed"],
        "wait_seconds": 3600,
        "template": "cart",
        "integration": "esp",
        "campaign": "carts",
        "delivery": "first reminder",
    }
    return Trigger.model_validate(values | changes)


def versioned(**changes: object) -> Versioned[Trigger]:
    return Versioned(cart_trigger(**changes), 1)


def listener(**changes: object) -> Listener:
    """The cart trigger, changed, and ready."""
    return Listener(versioned(**changes))


def listening(*triggers: Listener) -> Listening:
    return Listening(triggers or (listener(),))


def people(desk: Desk, *identifiers: tuple[str, str]) -> list[str]:
    """The profiles that these identifiers lead to."""
    return sorted(set(desk.profiles.owners([identifiers]).values()))


def put_trigger(aws: Aws, trigger: Trigger) -> None:
    """Stores a trigger as the admin API does."""
    aws.dynamodb.put_item(
        TableName=aws.table("definitions"),
        Item={
            "pk": {"S": "trigger"},
            "sk": {"S": trigger.name},
            "version": {"N": "1"},
            "body": {"S": trigger.model_dump_json()},
        },
    )


def settings_of(aws: Aws) -> Settings:
    return Settings(
        environment="test",
        definitions_table=aws.table("definitions"),
        profiles_table=aws.table("profiles"),
        visits_table=aws.table("visits"),
        messages_table=aws.table("messages"),
        retention_days=400,
        definitions_ttl=30,
        events_queue_url=aws.queue("events"),
        events_parked_url=aws.queue("events-parked"),
        timers_queue_url=aws.queue("timers"),
        timers_parked_url=aws.queue("timers-parked"),
        messages_queue_url=aws.queue("messages"),
        profile_days=730,
        visit_days=30,
    )


def arrived(*events: TrackerEvent) -> EventsJob:
    return EventsJob(events=events)
