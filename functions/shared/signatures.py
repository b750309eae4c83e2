"""Signatures of webhooks. Compared in constant time, with a replay window.

Standard Webhooks 1.0.0: headers `webhook-id`, `webhook-timestamp` (Unix seconds) and `webhook-signature` (a list of
`v1,<base64>` apart by spaces, so that keys can rotate); HMAC-SHA256 of `id.timestamp.body` under the key that follows `whsec_`.
Who posts through Svix calls them `svix-id`, `svix-timestamp` and `svix-signature`. A `v1a,<base64>` is an Ed25519 signature of
the same, for which the definition's secret is the sender's public key: `whpk_` and its base64.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
from collections.abc import Iterable, Mapping, Sequence

from shared.clock import Clock
from shared.errors import BadRequest, Misconfigured
from shared.fields import Hmac

_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_SVIX = ("svix-id", "svix-timestamp", "svix-signature")
_MAX_SIGNATURES = 10
_PUBLIC = "whpk_"


def standard_webhook_key(secret: str) -> bytes:
    """The key of a `whsec_…` secret, or of a `whpk_…` public key.

    Raises Misconfigured if it is not base64 of at least 16 bytes, or not that of an Ed25519 key.
    """
    if secret.startswith(_PUBLIC):
        public = _unbase64(secret.removeprefix(_PUBLIC).encode(errors="surrogatepass"))
        if len(public) != 32:
            raise Misconfigured("the public key must be `whpk_` and base64 of 32 bytes")
        return public
    key = _unbase64(secret.removeprefix("whsec_").encode(errors="surrogatepass"))
    if len(key) < 16:
        raise Misconfigured("the signing secret must be `whsec_` and base64 of 16 bytes or more")
    return key


def verify_standard_webhook(
    headers: Mapping[str, str], body: bytes, secrets: Iterable[str], clock: Clock, *, tolerance: int = 300
) -> str:
    """Verifies a signed webhook and returns its `webhook-id`. Raises BadRequest (401) that says why it is refused."""
    names = _SVIX if "svix-signature" in headers else _HEADERS
    message_id, timestamp, signatures = (headers.get(name, "") for name in names)
    for name in names:
        if not headers.get(name):
            raise BadRequest(f"the header {name} is missing", field=name, status=401)
    check_timestamp(names[1], timestamp, clock, tolerance)
    signed = f"{message_id}.{timestamp}.".encode(errors="surrogatepass") + body
    given = signatures.split(" ")[:_MAX_SIGNATURES]
    shared, public = _parted(secrets)
    if not (_signed_by_secret(signed, given, shared) or (public and _signed_by_key(signed, given, public))):
        raise BadRequest(f"{names[2]} does not match the body", field=names[2], status=401)
    return message_id


def _parted(secrets: Iterable[str]) -> tuple[list[bytes], list[bytes]]:
    """The keys of shared secrets, and public keys. Raises Misconfigured."""
    shared: list[bytes] = []
    public: list[bytes] = []
    for secret in secrets:
        (public if secret.startswith(_PUBLIC) else shared).append(standard_webhook_key(secret))
    return shared, public


def _signed_by_secret(signed: bytes, given: Sequence[str], keys: Sequence[bytes]) -> bool:
    theirs = [part[3:].encode(errors="surrogatepass") for part in given if part.startswith("v1,")]
    # Once per secret, however many signatures a stranger lists; and each is compared, so that no match shows in the time.
    expected = [base64.b64encode(hmac.digest(key, signed, "sha256")) for key in keys]
    matches = [hmac.compare_digest(ours, one) for ours in expected for one in theirs]
    return any(matches)


def _signed_by_key(signed: bytes, given: Sequence[str], keys: Sequence[bytes]) -> bool:
    # Only where posts are verified is the library in the bundle, and few of them need it.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    theirs = [_unbase64(part[4:].encode(errors="surrogatepass")) for part in given if part.startswith("v1a,")]
    for key in keys:
        public = Ed25519PublicKey.from_public_bytes(key)
        for one in theirs:
            with contextlib.suppress(InvalidSignature):
                public.verify(one, signed)
                return True
    return False


def verify_hmac(
    headers: Mapping[str, str], body: bytes, secrets: Iterable[str], how: Hmac, clock: Clock, *, tolerance: int = 300
) -> None:
    """Verifies a body's signature by a shared secret. Raises BadRequest (401) that says why it is refused."""
    header, stamp = how.header.lower(), how.timestamp_header.lower()
    given = headers.get(header, "")
    if not given:
        raise BadRequest(f"the header {header} is missing", field=header, status=401)
    if not given.startswith(how.prefix):
        raise BadRequest(f"{header} must begin with {how.prefix}", field=header, status=401)
    signed = body
    if stamp:
        check_timestamp(stamp, headers.get(stamp, ""), clock, tolerance)
        signed = f"{headers[stamp]}{how.separator}".encode() + body
    theirs = given.removeprefix(how.prefix).encode(errors="surrogatepass")
    if how.encoding == "hex":
        theirs = theirs.lower()
    digests = [hmac.digest(secret.encode(), signed, how.algorithm) for secret in secrets]
    expected = [one.hex().encode() if how.encoding == "hex" else base64.b64encode(one) for one in digests]
    matches = [hmac.compare_digest(ours, theirs) for ours in expected]
    if not any(matches):
        raise BadRequest(f"{header} does not match the body", field=header, status=401)


def verify_authorization(headers: Mapping[str, str], scheme: str, secrets: Iterable[str]) -> None:
    """Verifies the header `Authorization`: `basic` with `user:password`, or `bearer` with a token. Raises BadRequest (401)."""
    given_scheme, _, credentials = headers.get("authorization", "").partition(" ")
    given = credentials.strip().encode(errors="surrogatepass")
    if scheme == "basic":
        given = _unbase64(given)
    if not is_one_of(given, secrets) or given_scheme.lower() != scheme:
        raise BadRequest(f"expected the header authorization with {scheme} credentials", field="authorization", status=401)


def basic_user(headers: Mapping[str, str]) -> str:
    """The user whom the header `Authorization` names; empty if there is none."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    return _unbase64(credentials.strip().encode(errors="surrogatepass")).partition(b":")[0].decode(errors="replace")


def is_one_of(given: bytes, secrets: Iterable[str]) -> bool:
    """Whether this is one of the secrets, none of which is empty. Each is compared, so that no match shows in the time."""
    same = [hmac.compare_digest(given, secret.encode()) for secret in secrets]
    return any(same) and bool(given)


def _unbase64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def check_timestamp(header: str, text: str, clock: Clock, tolerance: int = 300) -> None:
    """Raises BadRequest (401) unless a header's text is a time in Unix seconds, at most `tolerance` seconds off."""
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise BadRequest(f"{header} must be Unix seconds", field=header, status=401)
    if abs(clock().timestamp() - int(text)) > tolerance:
        raise BadRequest(f"{header} is more than {tolerance} s off", field=header, status=401)
