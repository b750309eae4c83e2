"""Resend's sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from pydantic import JsonValue

from shared.exchange import Response
from tests.contract.sample import ADDRESS, KEYS, Inbound, Sample, filled, of_preset, reading
from tests.sandbox import standard_webhooks

HEADERS = ("svix-id", "svix-timestamp", "svix-signature")


def sign(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    """Standard Webhooks, in Svix's names."""
    signed = standard_webhooks.headers(secret, "msg_1", int(at.timestamp()), body)
    return {name.replace("webhook-", "svix-"): value for name, value in signed.items()}


def event(kind: str, **data: JsonValue) -> dict[str, JsonValue]:
    """One event about message `m_1`."""
    about: dict[str, JsonValue] = {"email_id": "0a-1", "to": [ADDRESS], "tags": {"message_id": "m_1"}, **data}
    return {"type": f"email.{kind}", "created_at": "2026-11-21T11:59:00.000Z", "data": about}


def _post(events: Sequence[JsonValue]) -> bytes:
    """Resend posts one event at a time; a list is read as well."""
    return json.dumps([*events]).encode()


def sample() -> Sample:
    """One message, taken."""
    webhook = {**filled("resend").model_dump()["webhook"], "secrets": list(KEYS[:2])}
    definition = filled("resend", webhook=webhook)
    good = (event("delivered"), event("bounced", bounce={"type": "Permanent", "subType": "General"}))
    bad = {**event("opened"), "created_at": "yesterday"}
    inbound = Inbound(sign, HEADERS, _post, good, bad, reading("resend", definition))
    taken = Response(200, {}, b'{"data": [{"id": "0a-1"}]}')
    return of_preset("resend", taken, body={"to": [ADDRESS]}, inbound=inbound, webhook=webhook)
