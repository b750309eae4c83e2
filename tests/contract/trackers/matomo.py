"""The sample of Matomo. Its `token_auth` is in the body: with that as the proof it is tried in its own tests."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import JsonValue

from shared.trackers import Tracker
from tests.contract.sample import KEYS, Inbound, Sample, taking


def sample() -> Sample:
    """A page view and a cart update, and one whose cart is no JSON."""
    definition = Tracker.model_validate({"name": "shop", "format": "matomo", "proof": "header", "secrets": KEYS[:2]})
    known: dict[str, JsonValue] = {"idsite": "1", "rec": "1", "_id": "0123456789abcdef", "cdt": "2026-11-21 11:59:00"}
    items = '[["lamp", "Desk lamp", "Lighting", 49.5, 1]]'
    cart = {**known, "idgoal": "0", "revenue": "49.5", "ec_items": items}
    return Sample(
        definition,
        KEYS[:2],
        Inbound(
            sign=lambda secret, at, body: {"x-api-key": secret},
            headers=("x-api-key",),
            post=_together,
            good=({**known, "url": "https://shop.example.com/lamp", "action_name": "Desk lamp"}, cart),
            bad={**cart, "ec_items": "lamp"},
            receive=taking(definition),
            dated=False,
            covers_body=False,
        ),
    )


def _together(requests: Sequence[JsonValue]) -> bytes:
    return json.dumps({"requests": list(requests)}).encode()
