"""The sample of GA4's Measurement Protocol."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import JsonValue

from shared.trackers import Tracker
from tests.contract.sample import ADDRESS, KEYS, Inbound, Sample, taking


def sample() -> Sample:
    """Something is added to the cart, then bought; and an event whose items are no list."""
    definition = Tracker.model_validate({"name": "shop", "format": "ga4", "proof": "header", "secrets": KEYS[:2]})
    item: JsonValue = {"item_id": "lamp", "item_name": "Desk lamp", "price": 49.5, "quantity": 1}
    added: dict[str, JsonValue] = {
        "name": "add_to_cart",
        "timestamp_micros": 1795262340000000,
        "params": {"currency": "EUR", "value": 49.5, "items": [item]},
    }
    bought: dict[str, JsonValue] = {
        **added,
        "name": "purchase",
        "params": {"transaction_id": "T1", "value": 49.5, "items": [item]},
    }
    return Sample(
        definition,
        KEYS[:2],
        Inbound(
            sign=lambda secret, at, body: {"x-api-key": secret},
            headers=("x-api-key",),
            post=_together,
            good=(added, bought),
            bad={**added, "params": {"items": "lamp"}},
            receive=taking(definition),
            dated=False,
            covers_body=False,
        ),
    )


def _together(events: Sequence[JsonValue]) -> bytes:
    user_data: JsonValue = {"email_address": ADDRESS}
    return json.dumps({"client_id": "1987654321.1795262000", "user_data": user_data, "events": list(events)}).encode()
