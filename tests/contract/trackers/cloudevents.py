"""The sample of CloudEvents: a batch, with a token."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from json import dumps

from pydantic import JsonValue

from shared.trackers import Tracker
from tests.contract.sample import ADDRESS, KEYS, Inbound, Sample, taking


def sample() -> Sample:
    """Two events, one of them without a time."""
    definition = Tracker.model_validate({"name": "grid", "format": "cloudevents", "proof": "bearer", "secrets": KEYS[:2]})
    event: dict[str, JsonValue] = {
        "specversion": "1.0",
        "type": "com.example.cart.filled",
        "source": "/shop",
        "data": {"user_id": "u1", "traits": {"email": ADDRESS}, "product_id": "lamp"},
    }
    good: tuple[JsonValue, ...] = ({"id": "1", "time": "2026-11-21T11:59:00Z", **event}, {"id": "2", **event})
    bad: JsonValue = {"id": "3", "time": "yesterday", **event}
    return Sample(
        definition,
        KEYS[:2],
        Inbound(_with_token, ("authorization",), _together, good, bad, taking(definition), dated=False, covers_body=False),
    )


def _with_token(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}", "content-type": "application/cloudevents-batch+json; charset=utf-8"}


def _together(events: Sequence[JsonValue]) -> bytes:
    return dumps(list(events)).encode()
