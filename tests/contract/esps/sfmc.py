"""Marketing Cloud's sample."""

from __future__ import annotations

import json
from datetime import datetime
from typing import cast

from pydantic import JsonValue

from connectors.registry import ESPS
from shared.exchange import Response
from tests.contract.sample import ADDRESS, KEYS, Inbound, Sample, filled, of_preset, reading
from tests.sandbox.esps import sfmc


def sample() -> Sample:
    """One message, taken, and what is told of it. A signature says no time."""
    preset = ESPS.load("sfmc").preset
    assert preset is not None
    webhook: JsonValue = {**cast("dict[str, JsonValue]", preset.definition["webhook"]), "secrets": [*KEYS[:2]]}
    opened, bounced = (cast("JsonValue", sfmc.event(kind, "m_1", to=ADDRESS)) for kind in ("EmailSent", "EmailBounced"))
    inbound = Inbound(
        _signed,
        ("x-sfmc-ens-signature",),
        lambda events: json.dumps([*events]).encode(),
        (opened, bounced),
        {**cast("dict[str, JsonValue]", opened), "timestampUTC": "yesterday"},
        reading("sfmc", filled("sfmc", webhook=webhook)),
        dated=False,
    )
    taken = Response(202, {}, b'{"requestId": "r", "errorcode": 0, "responses": [{"messageKey": "m_1"}]}')
    return of_preset("sfmc", taken, body={"recipient": {"to": ADDRESS}}, inbound=inbound, webhook=webhook)


def _signed(key: str, _: datetime, body: bytes) -> dict[str, str]:
    return sfmc.signed(key, body)
