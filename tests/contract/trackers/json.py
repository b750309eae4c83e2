"""The sample of any JSON: a mapping with all that mappings have, and a signature of the sender's own making."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from json import dumps

from pydantic import JsonValue

from shared.trackers import Tracker
from tests.contract.sample import ADDRESS, KEYS, Inbound, Sample, taking


def sample() -> Sample:
    """Two events of a shop, signed with the time."""
    definition = Tracker.model_validate(
        {
            "name": "pos",
            "format": "json",
            "proof": "hmac",
            "secrets": KEYS[:2],
            "hmac": {"header": "X-Pos-Signature", "prefix": "sha256=", "timestamp_header": "X-Pos-Time"},
            "names": {"sale": "Order Completed"},
            "mapping": {
                "events": "batch",
                "id": "uuid",
                "name": "kind",
                "time": ["occurred.at", "occurred"],
                "anonymous_id": "visitor",
                "user_id": ["customer.number", "customer.id"],
                "identifiers": {"loyalty_id": "customer.card"},
                "properties": {
                    "order_id": "sale.number",
                    "currency": {"value": "EUR"},
                    "store": "body.store",
                    "products": {"over": "sale.lines", "fields": {"product_id": "sku", "price": ["net", "gross"]}},
                },
                "traits": {"email": "customer.email"},
            },
        }
    )
    event: dict[str, JsonValue] = {
        "kind": "sale",
        "occurred": {"at": "2026-11-21T11:59:00Z"},
        "visitor": "till-7",
        "customer": {"id": 7, "card": "L-9", "email": ADDRESS},
        "sale": {"number": "o-1", "lines": [{"sku": "lamp", "net": 49.5}]},
    }
    good: tuple[JsonValue, ...] = ({"uuid": "evt_1", **event}, {**event, "kind": "return"})
    bad: JsonValue = {**event, "occurred": "yesterday"}
    headers = ("x-pos-time", "x-pos-signature")
    return Sample(definition, KEYS[:2], Inbound(_signed, headers, _together, good, bad, taking(definition)))


def _signed(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    time = str(int(at.timestamp()))
    signature = hmac.new(secret.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    return {"x-pos-time": time, "x-pos-signature": f"sha256={signature}"}


def _together(events: Sequence[JsonValue]) -> bytes:
    return dumps({"store": "Berlin", "batch": list(events)}).encode()
