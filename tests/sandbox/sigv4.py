"""AWS Signature Version 4, the verifier's side. Written from AWS's "Create a signed AWS API request" (read
2026-11-21), with nothing of an SDK.
"""

import hashlib
import hmac
import re
from calendar import timegm
from collections.abc import Mapping
from time import strptime
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)
_SKEW = 300
"""Seconds by which a request's time may be off."""


class Signer(BaseModel):
    """Who may sign, and for what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    access_key_id: str = "AKIDEXAMPLE0123456"
    secret_access_key: str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    region: str = "eu-west-1"
    service: str = "ses"


def wrong_with(signer: Signer, request: Request, body: bytes, now: float) -> tuple[str, str] | None:
    """The exception and the words with which a request is refused; None if it is signed as it should be."""
    headers = request.headers
    found = _HEADER.fullmatch(headers.get("authorization", ""))
    if found is None:
        return "MissingAuthenticationTokenException", "Missing Authentication Token"
    key_id, day, region, service, names, signature = found.groups()
    if key_id != signer.access_key_id:
        return "UnrecognizedClientException", "The security token included in the request is invalid."
    stamp, signed = headers.get("x-amz-date", ""), names.split(";")
    if not re.fullmatch(day + r"T\d{6}Z", stamp) or (region, service) != (signer.region, signer.service):
        return _refused(f"Credential should be scoped to a valid region, {signer.region}, and service, {signer.service}.")
    if abs(timegm(strptime(stamp, "%Y%m%dT%H%M%SZ")) - now) > _SKEW:
        return _refused(f"Signature expired, or not yet current: {stamp}")
    needed = {"host", "x-amz-date", *({"content-type"} & {*headers})}
    if signed != sorted(signed) or not needed <= {*signed} <= {*headers}:
        return _refused("'Host', 'X-Amz-Date' and 'Content-Type' must be signed, and what is signed be there.")
    where = (request.method, request.scope["raw_path"].decode(), request.scope["query_string"].decode())
    right = _signature(signer, where, {name: headers[name] for name in signed}, body, stamp)
    return None if hmac.compare_digest(right, signature) else _refused("The request signature we calculated does not match.")


def _refused(why: str) -> tuple[str, str]:
    return "InvalidSignatureException", why


def _signature(signer: Signer, where: tuple[str, str, str], headers: Mapping[str, str], body: bytes, stamp: str) -> str:
    method, path, query = where
    lines = "".join(f"{name}:{' '.join(value.split())}\n" for name, value in headers.items())
    pairs = sorted(part.partition("=")[::2] for part in query.split("&") if part)
    canonical = "\n".join(
        (
            method,
            quote(path, safe="/-_.~"),  # once more than it came: for all services but S3
            "&".join(f"{name}={value}" for name, value in pairs),
            lines,
            ";".join(headers),
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{stamp[:8]}/{signer.region}/{signer.service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{signer.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
