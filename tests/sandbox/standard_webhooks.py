"""Standard Webhooks 1.0.0, the sender's side: what is signed, and the headers that carry it.

Source: the specification at standardwebhooks.com. Signed content is `{id}.{timestamp}.{raw body}`, the key is the
base64 after `whsec_`, the signature is `v1,` and the base64 of an HMAC-SHA256.
"""

import base64
import hashlib
import hmac

PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The signing key inside `whsec_…`. Raises `ValueError` when it is not 24 to 64 bytes of base64."""
    if not secret.startswith(PREFIX):
        raise ValueError("secret: expected whsec_ and base64")
    try:
        key = base64.b64decode(secret[len(PREFIX) :], validate=True)
    except ValueError:  # binascii.Error, or not ASCII at all
        raise ValueError("secret: expected base64 after whsec_") from None
    if not 24 <= len(key) <= 64:
        raise ValueError("secret: expected 24 to 64 bytes")
    return key


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,<base64>` over id, timestamp (unix seconds) and the body's exact bytes."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


def headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one attempt."""
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, message_id, timestamp, body),
    }


def broken(signed: dict[str, str]) -> dict[str, str]:
    """The same headers with a signature of the right form that does not verify."""
    version, _, value = signed["webhook-signature"].partition(",")
    flipped = bytes(byte ^ 1 for byte in base64.b64decode(value))
    return {**signed, "webhook-signature": f"{version},{base64.b64encode(flipped).decode()}"}
