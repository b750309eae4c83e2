"""The sample of Standard Webhooks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue

from shared.trackers import Tracker
from tests.contract.sample import ADDRESS, KEYS, Inbound, Sample, taking
from tests.sandbox import standard_webhooks


def sample() -> Sample:
    """Two events in our own body."""
    definition = Tracker.model_validate({"name": "shop", "secrets": KEYS[:2]})
    event: dict[str, JsonValue] = {
        "name": "Product Added",
        "time": "2026-11-21T11:59:00Z",
        "anonymous_id": "a1",
        "traits": {"email": ADDRESS},
    }
    good: tuple[JsonValue, ...] = ({"id": "evt_1", **event}, {**event, "name": "Cart Viewed"})
    headers = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return Sample(
        definition, KEYS[:2], Inbound(_signed, headers, _together, good, {**event, "time": "yesterday"}, taking(definition))
    )


def _signed(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    return standard_webhooks.headers(secret, "msg_1", int(at.timestamp()), body)


def _together(events: Sequence[JsonValue]) -> bytes:
    return json.dumps({"events": list(events)}).encode()
