"""The sample of Adobe I/O Events. Its secrets are Adobe's own keys, so each of the suite's secrets stands for a pair of keys."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from pydantic import JsonValue

from connectors.trackers.adobe_io import KEYS as HOST
from shared.exchange import Request, Response
from shared.trackers import Tracker
from tests.contract.sample import ADDRESS, KEYS, Inbound, Sample, taking
from tests.sandbox.trackers.adobe_signed import MESSAGE, TRIGGER, key_path, pem, signing_key

_CLIENT, _SECRET = "adobe-client-id", "secret-of-adobe-client-0123"
_NUMBERS = {key: number for number, key in enumerate(KEYS, start=1)}
_PATHS = {key: key_path(number) for key, number in _NUMBERS.items()}


def sample() -> Sample:
    """A cloud event, and a trigger of Experience Cloud, which needs no id of its own."""
    journal = {
        "url": "https://events-va6.adobe.io/events/organizations/1/integrations/2/3",
        "organization": "0123456789ABCDEF@AdobeOrg",
        "auth": {
            "type": "oauth2",
            "token_url": "https://ims-na1.adobelogin.com/ims/token/v3",
            "client_id": _CLIENT,
            "client_secret": _SECRET,
        },
    }
    identifiers = {"anonymous_id": "visitor", "email": "mail", "user_id": "eVar3"}
    definition = Tracker.model_validate(
        {"name": "adobe", "format": "adobe_io", "client_id": _CLIENT, "identifiers": identifiers, "journal": journal}
    )
    event: dict[str, JsonValue] = {
        "specversion": "1.0",
        "id": "0f3c7d2e-2c0c-4d0b-9f53-5c3d0c1f6d55",
        "source": "urn:uuid:0a6a6ac4-2c6b-4d8c-b4bd-7a6a1c9d0a11",
        "type": "com.acme.cart.updated",
        "datacontenttype": "application/json",
        "time": "2026-11-21T11:59:00Z",
        "recipientclientid": _CLIENT,
        "data": {"visitor": "v1", "mail": ADDRESS},
    }
    said: JsonValue = {
        "triggerId": "7d1f7a51-0c1b-4c25-8d6a-6a2f8f2f9f00",
        "triggerTimestamp": 1795262340000,
        "mcId": "12345678901234567890123456789012345678",
        "enrichments": {"analyticsHitSummary": {"dimensions": {"eVar3": {"data": ["crm-7"]}}, "products": {}}},
    }
    trigger: JsonValue = {"recipient_client_id": _CLIENT, "event": {MESSAGE: {"header": {}, TRIGGER: said}}}
    headers = ("x-adobe-digital-signature-1", "x-adobe-public-key1-path")
    bad: JsonValue = {**event, "time": "yesterday"}
    receive = taking(definition, served)
    inbound = Inbound(sign, headers, post, (event, trigger), bad, receive, dated=False, compares=False, fetch=served)
    return Sample(definition, (_SECRET,), inbound)


def sign(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of a post. Each of the keys is Adobe's, but the stranger's is not to be had from Adobe."""
    assert at.tzinfo
    signature = base64.b64encode(signing_key(_NUMBERS[secret]).sign(body, PKCS1v15(), SHA256())).decode()
    return {"x-adobe-digital-signature-1": signature, "x-adobe-public-key1-path": _PATHS[secret]}


def served(request: Request) -> Response:
    """What Adobe's host of keys answers."""
    for key in KEYS[:2]:
        if request.url == HOST + _PATHS[key]:
            return Response(200, {}, pem(_NUMBERS[key]))
    return Response(404, {}, b"Not Found")


def post(events: Sequence[JsonValue]) -> bytes:
    """A batch."""
    return json.dumps([*events]).encode()
