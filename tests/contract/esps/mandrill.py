"""Mandrill's sample."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import parse_qsl, urlencode

from pydantic import JsonValue

from shared.exchange import Response
from tests.contract.sample import ADDRESS, Inbound, Sample, filled, keyed, of_preset, reading

URL = "https://hooks.example.com/v1/engagements/mandrill"


def sign(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    """The header of a post to `URL`."""
    fields = sorted(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    signed = URL + "".join(name + value for name, value in fields)
    return {"x-mandrill-signature": base64.b64encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha1).digest()).decode()}


def post(events: Sequence[JsonValue]) -> bytes:
    """A form with one field."""
    return urlencode({"mandrill_events": json.dumps([*events])}).encode()


def sample() -> Sample:
    """One message, taken; and events, signed."""
    msg: JsonValue = {"email": ADDRESS, "metadata": {"message_id": "m_1"}}
    event: dict[str, JsonValue] = {"event": "open", "ts": 1795262340, "_id": "0a1", "msg": msg}
    good: tuple[JsonValue, ...] = (event, {**event, "event": "hard_bounce"})
    webhook = keyed("mandrill")
    read = reading("mandrill", filled("mandrill", webhook=webhook), URL)
    bad: JsonValue = {**event, "ts": "yesterday"}
    inbound = Inbound(sign, ("x-mandrill-signature",), post, good, bad, read, dated=False, is_json=False)
    taken = Response(200, {}, b'[{"email": "x", "status": "sent", "_id": "0a1", "reject_reason": null}]')
    body: JsonValue = {"message": {"to": [{"email": ADDRESS}]}}
    return of_preset("mandrill", taken, body=body, inbound=inbound, webhook=webhook)
