"""The sample of PostHog: batches of captures, with a bearer token."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue

from shared.trackers import Tracker
from tests.contract.sample import ADDRESS, KEYS, Inbound, Sample, taking


def sample() -> Sample:
    """Two events, one without an id."""
    definition = Tracker.model_validate({"name": "site", "format": "posthog", "proof": "bearer", "secrets": KEYS[:2]})
    event: dict[str, JsonValue] = {
        "event": "Product Added",
        "timestamp": "2026-11-21T11:59:00.000Z",
        "distinct_id": "a1",
        "properties": {"$device_id": "a1", "$set": {"email": ADDRESS}, "product_id": "lamp"},
    }
    good: tuple[JsonValue, ...] = ({**event, "uuid": "0190-1"}, {**event, "event": "$pageview"})
    bad: JsonValue = {**event, "timestamp": "yesterday"}
    receive = taking(definition)
    return Sample(
        definition, KEYS[:2], Inbound(_bearing, ("authorization",), _together, good, bad, receive, dated=False, covers_body=False)
    )


def _bearing(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def _together(events: Sequence[JsonValue]) -> bytes:
    return json.dumps({"api_key": "phc_key", "batch": list(events)}).encode()
