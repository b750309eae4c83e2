"""The sample of RudderStack: batches, with a header of the customer's own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue

from shared.trackers import Tracker
from tests.contract.sample import ADDRESS, KEYS, Inbound, Sample, taking


def sample() -> Sample:
    """Two calls, one without an id."""
    definition = Tracker.model_validate(
        {"name": "site", "format": "rudderstack", "proof": "header", "header": "X-Sendbridge-Key", "secrets": KEYS[:2]}
    )
    call: dict[str, JsonValue] = {
        "type": "track",
        "event": "Product Added",
        "originalTimestamp": "2026-11-21T11:59:00.000Z",
        "anonymousId": "a1",
        "properties": {"product_id": "lamp"},
        "context": {"traits": {"email": ADDRESS}},
    }
    good: tuple[JsonValue, ...] = ({**call, "messageId": "m-1"}, {**call, "event": "Cart Viewed"})
    headers = ("x-sendbridge-key",)
    bad: JsonValue = {**call, "originalTimestamp": "yesterday"}
    receive = taking(definition)
    return Sample(definition, KEYS[:2], Inbound(_keyed, headers, _together, good, bad, receive, dated=False, covers_body=False))


def _keyed(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    return {"x-sendbridge-key": secret}


def _together(calls: Sequence[JsonValue]) -> bytes:
    return json.dumps(list(calls)).encode()
