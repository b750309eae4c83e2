"""What Adobe signs with, and what a trigger of Experience Cloud puts into an event. Written from Adobe's documentation (read
2026-11-21)."""

import base64
import uuid
from collections.abc import Mapping, Sequence
from functools import cache

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MESSAGE, TRIGGER = "com.adobe.mcloud.pipeline.pipelineMessage", "com.adobe.mcloud.protocol.trigger"


@cache
def signing_key(number: int) -> RSAPrivateKey:
    """One of the keys that Adobe signs with; made once for all sandboxes of a process, as it takes a while."""
    assert number > 0
    return generate_private_key(65537, 2048)


def pem(number: int) -> bytes:
    """Its public half."""
    return signing_key(number).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def key_path(number: int) -> str:
    """Where a key is served."""
    return f"/prod/keys/pub-key-{number}.pem"


def signed(body: bytes, *, keys: Sequence[int] = (1, 2)) -> dict[str, str]:
    """The headers of a signed post."""
    headers = {}
    for index, number in enumerate(keys, start=1):
        signature = signing_key(number).sign(body, PKCS1v15(), SHA256())
        headers[f"x-adobe-digital-signature-{index}"] = base64.b64encode(signature).decode()
        headers[f"x-adobe-public-key{index}-path"] = key_path(number)
    return headers


def trigger(
    trigger_id: str, ecid: str, at: float, dimensions: Mapping[str, Sequence[str]], organization: str
) -> dict[str, object]:
    """What a trigger of Experience Cloud puts into an event."""
    stamp = int(at * 1000)
    hits = {
        name: {"type": "string", "data": [*data], "name": name, "source": "session summary"} for name, data in dimensions.items()
    }
    header = {"messageType": "TRIGGER", "source": "triggers", "sentTime": stamp + 123, "imsOrg": organization}
    said = {
        "triggerId": trigger_id,
        "triggerTimestamp": stamp,
        "mcId": ecid,
        "enrichments": {"analyticsHitSummary": {"dimensions": hits, "products": {}}},
        "triggerPath": [{"timestamp": stamp - 1000, "stateId": "init", "transition": "conditional"}],
    }
    message = {**header, "properties": {"trace": "false"}, "messageId": str(uuid.uuid4())}
    return {"event": {MESSAGE: {"header": message, TRIGGER: said}}}
