"""The sample of Shopify: one resource a post."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue

from shared.trackers import Tracker
from tests.contract.sample import ADDRESS, KEYS, Inbound, Sample, taking
from tests.sandbox.trackers.shopify import Shopify


def sample() -> Sample:
    """Two orders. An event's id is in a header, which is left out here: they are known by their content."""
    definition = Tracker.model_validate({"name": "shop", "format": "shopify", "secrets": KEYS[:2]})
    order: dict[str, JsonValue] = {
        "id": 820982911946154508,
        "email": ADDRESS,
        "cart_token": "c1",
        "total_price": "49.50",
        "updated_at": "2026-11-21T06:59:00-05:00",
        "customer": {"id": 7, "email": ADDRESS},
        "line_items": [{"product_id": 1, "title": "Lamp", "price": "49.50", "quantity": 1}],
    }
    good: tuple[JsonValue, ...] = (order, {**order, "id": 820982911946154509})
    bad: JsonValue = {**order, "updated_at": "yesterday"}
    receive = taking(definition)
    return Sample(
        definition,
        KEYS[:2],
        Inbound(_signed, ("x-shopify-hmac-sha256",), _single, good, bad, receive, dated=False, batches=False),
    )


def _signed(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    headers = Shopify("https://example.com", secret).headers("orders/create", body, "e-1")
    return {name: headers[name] for name in ("x-shopify-hmac-sha256", "x-shopify-topic")}


def _single(resources: Sequence[JsonValue]) -> bytes:
    return json.dumps(resources[0]).encode()
