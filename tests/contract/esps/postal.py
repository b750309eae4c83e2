"""Postal's sample. Its secrets are public keys, so each of the suite's secrets stands for a pair of keys."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import JsonValue

from shared.exchange import Response
from tests.contract.sample import ADDRESS, KEYS, Inbound, Sample, filled, keyed, of_preset, reading


@cache
def _pair(secret: str) -> RSAPrivateKey:
    assert secret
    return generate_private_key(65537, 2048)


def public(secret: str) -> str:
    """The public key, as PEM."""
    return _pair(secret).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def sign(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    """The header of a post."""
    return {"x-postal-signature": base64.b64encode(_pair(secret).sign(body, PKCS1v15(), SHA1())).decode()}  # noqa: S303  # as Postal does


def post(events: Sequence[JsonValue]) -> bytes:
    """Postal posts one event at a time; a list is read as well."""
    return json.dumps([*events]).encode()


def event(payload: Mapping[str, JsonValue], **changes: JsonValue) -> dict[str, JsonValue]:
    """One event about message `m_1`."""
    about: JsonValue = {"id": 7, "direction": "outgoing", "to": ADDRESS, "tag": "m_1"}
    return {"event": "MessageSent", "timestamp": 1795262340.354368, "payload": {"message": about, **payload}, **changes}


def sample() -> Sample:
    """One message, taken; and events, signed."""
    good = (event({"status": "Sent"}, uuid="58e8d7ee-2cd5-4db2-9af3-3f436105795a"), event({"status": "HardFail"}))
    bad = event({"status": "Sent"}, timestamp="yesterday")
    webhook = keyed("postal", [public(key) for key in KEYS[:2]])
    read = reading("postal", filled("postal", webhook=webhook))
    inbound = Inbound(sign, ("x-postal-signature",), post, good, bad, read, dated=False, compares=False)
    taken = b'{"status": "success", "time": 0.1, "data": {"message_id": "0a@rp.example.com", "messages": {"x": {"id": 7}}}}'
    return of_preset("postal", Response(200, {}, taken), body={"to": [ADDRESS]}, inbound=inbound, webhook=webhook)
