"""MailerSend's sample."""

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
    return {"signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def _post(events: Sequence[JsonValue]) -> bytes:
    """MailerSend posts one event at a time; a list is read as well. It escapes slashes."""
    return json.dumps([*events]).replace("/", "\\/").encode()


def _event(**data: JsonValue) -> dict[str, JsonValue]:
    about: dict[str, JsonValue] = {"recipient": ADDRESS, "tags": ["m_1"], "meta": [], **data}
    return {"type": f"activity.{data['type']}", "created_at": "2026-11-21T11:59:00.865000Z", "data": about}


def sample() -> Sample:
    """One message, taken; and events, signed."""
    good = (_event(id="63fd1c1fcfbe46145d003a7b", type="delivered"), _event(type="opened"))
    bad = {**_event(type="opened"), "created_at": "yesterday"}
    webhook = keyed("mailersend")
    read = reading("mailersend", filled("mailersend", webhook=webhook))
    inbound = Inbound(_sign, ("signature",), _post, good, bad, read, dated=False)
    taken = Response(202, {"x-message-id": "63fd1c1d5f010335ed07066b"}, b"")
    return of_preset("mailersend", taken, body={"to": [{"email": ADDRESS}]}, inbound=inbound, reads=False, webhook=webhook)
