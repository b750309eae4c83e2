"""Mailtrap's sample."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue

from shared.exchange import Response
from tests.contract.sample import ADDRESS, Inbound, Sample, filled, keyed, of_preset, reading


def _sign(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    return {"mailtrap-signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def _post(events: Sequence[JsonValue]) -> bytes:
    return json.dumps({"events": list(events)}).encode()


def sample() -> Sample:
    """One message, taken; and events, signed."""
    taken = b'{"success": true, "responses": [{"success": true, "message_ids": ["0c7fd939-02cf-11ed-88c2-0a58a9feac02"]}]}'
    event: dict[str, JsonValue] = {
        "event": "open",
        "timestamp": 1795262340,
        "email": ADDRESS,
        "custom_variables": {"message_id": "m_1"},
    }
    good: tuple[JsonValue, ...] = ({"event_id": "bede7236", **event}, {**event, "event": "bounce"})
    bad: JsonValue = {**event, "timestamp": "yesterday"}
    webhook = keyed("mailtrap")
    read = reading("mailtrap", filled("mailtrap", webhook=webhook))
    inbound = Inbound(_sign, ("mailtrap-signature",), _post, good, bad, read, dated=False)
    body: JsonValue = {"requests": [{"to": [{"email": ADDRESS}]}]}
    return of_preset("mailtrap", Response(200, {}, taken), body=body, inbound=inbound, webhook=webhook)
