"""The sample of Snowplow."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import JsonValue

from shared.trackers import Tracker
from tests.contract.sample import ADDRESS, KEYS, NOW, Inbound, Sample, taking
from tests.sandbox.clock import Clock
from tests.sandbox.trackers.snowplow import PAYLOAD, Described, Snowplow

_SHOP = "iglu:com.snowplowanalytics.snowplow.ecommerce"


def sample() -> Sample:
    """A product that is added to the cart, a page view without an id, and one whose context is no JSON."""
    definition = Tracker.model_validate({"name": "shop", "format": "snowplow", "proof": "header", "secrets": KEYS[:2]})
    site = Snowplow("https://hooks.example.com/v1/events/shop", Clock(NOW.timestamp))
    site.visitor = "8509d6f2-0c7c-4c27-9b1d-0f3c5a3f7a11"
    product = {"id": "lamp", "name": "Desk lamp", "category": "Lighting", "price": 49.5, "currency": "EUR", "quantity": 1}
    entities: list[Described] = [
        (f"{_SHOP}/product/jsonschema/1-0-0", product),
        (f"{_SHOP}/user/jsonschema/1-0-0", {"email": ADDRESS}),
    ]
    added = site.self_describing((f"{_SHOP}/snowplow_ecommerce_action/jsonschema/1-0-2", {"type": "add_to_cart"}), entities)
    viewed = site.page_view("https://shop.example.com/lamp", "Desk lamp")
    del viewed["eid"]
    return Sample(
        definition,
        KEYS[:2],
        Inbound(
            sign=lambda secret, at, body: {"x-api-key": secret},
            headers=("x-api-key",),
            post=_together,
            good=({**added}, {**viewed}),
            bad={**added, "cx": "no JSON"},
            receive=taking(definition),
            dated=False,
            covers_body=False,
        ),
    )


def _together(events: Sequence[JsonValue]) -> bytes:
    return json.dumps({"schema": PAYLOAD, "data": list(events)}).encode()
