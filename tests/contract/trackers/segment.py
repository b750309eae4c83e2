"""The sample of Segment: single calls, signed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue

from shared.trackers import Tracker
from tests.contract.sample import ADDRESS, KEYS, Inbound, Sample, taking
from tests.sandbox.trackers.segment import Segment
from tests.sandbox.trackers.sending import stringified


def sample() -> Sample:
    """Two calls, one without an id. Of a batch only the first call would be signed, so a post has one."""
    definition = Tracker.model_validate({"name": "site", "format": "segment", "secrets": KEYS[:2]})
    call: dict[str, JsonValue] = {
        "type": "track",
        "event": "Product Added",
        "timestamp": "2026-11-21T11:59:00.000Z",
        "anonymousId": "a1",
        "userId": "u1",
        "properties": {"product_id": "lamp"},
        "context": {"traits": {"email": ADDRESS}, "page": {"url": "https://shop.example/lamp"}},
    }
    identify: dict[str, JsonValue] = {**call, "type": "identify", "traits": {"email": ADDRESS, "firstName": "Ada"}}
    good: tuple[JsonValue, ...] = ({**call, "messageId": "m-1"}, identify)
    bad: JsonValue = {**call, "timestamp": "yesterday"}
    receive = taking(definition)
    return Sample(
        definition, KEYS[:2], Inbound(_signed, ("x-signature",), _single, good, bad, receive, dated=False, batches=False)
    )


def _signed(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    return Segment("https://example.com", secret).signed(body)


def _single(calls: Sequence[JsonValue]) -> bytes:
    return stringified(calls[0]).encode()
