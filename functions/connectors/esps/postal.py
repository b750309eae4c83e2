"""Postal, the mail server one runs oneself: email by its API v1, one message in a request.

It answers 200 to everything: what counts is `status`. It has no idempotency key and no metadata: our id travels as the tag.
Its webhooks are signed with the installation's private key.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.esps.base import Esp, Preset, answer_of, bracketed
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError
from shared.exchange import Response
from shared.mapping import at, text_at

_SIGNATURE = "x-postal-signature"
_NOT_KEY = re.compile(r"-----[A-Z ]+-----|\s")
_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "InvalidServerAPIKey": (Misconfigured, "the API key is wrong"),
    "AccessDenied": (Misconfigured, "the API key is missing"),
    "ServerSuspended": (Misconfigured, "the mail server is suspended"),
    "UnauthenticatedFromAddress": (Misconfigured, "the From address is of no verified domain"),
    "FromAddressMissing": (Misconfigured, "there is no From address"),
}


class Postal(Esp):
    """The connector `postal`."""

    verdicts = _VERDICTS
    contents = ("html_body", "plain_body")
    preset = Preset(
        title="Postal",
        channel="email",
        source="Postal: API v1, Webhooks; django-anymail 15 (July 2026); read 2026-11-21",
        definition={
            "connector": "postal",
            "channel": "email",
            "url": "https://${POSTAL_HOST}/api/v1/send/message",
            "secret_headers": {"X-Server-API-Key": {"env": "POSTAL_API_KEY"}},
            "body": {
                "from": "${FROM}",
                "to": ["{{ identifier }}"],
                "subject": "{{ message.subject }}",
                "html_body": "{{ message.html }}",
                "plain_body": "{{ message.text }}",
                "tag": "{{ message.id }}",
                "headers": {
                    "List-Unsubscribe": "<{{ unsubscribe_url }}>",
                    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                },
            },
            "message_id_path": "data.message_id",
            "webhook": {
                "signature": "vendor",
                "secrets": [{"env": "POSTAL_PUBLIC_KEY"}],
                "id": "uuid",
                "type": "kind",
                "types": {
                    "Sent": "delivered",
                    "SoftFail": "deferred",
                    "HardFail": "bounced",
                    "Bounced": "bounced",
                    "Loaded": "opened",
                    "LinkClicked": "clicked",
                },
                "time": "timestamp",
                "message_id": "payload.message.tag",
                "url": "payload.url",
                "bounce_type": "kind",
                "hard_bounces": ["HardFail"],
                "code": "payload.status",
                "reason": "payload.output",
            },
        },
        notes=(
            "POSTAL_HOST: your installation's web host. POSTAL_API_KEY: the mail server's Credentials, of type API.",
            "Our id must stay the tag: Postal has no metadata.",
            "Webhooks: the mail server's Webhooks, with the address https://host/v1/engagements/NAME. POSTAL_PUBLIC_KEY is the "
            "public key of the installation's signing key, as PEM or as the p= of its default DKIM record.",
        ),
    )

    def refusal(self, integration: Integration, response: Response, clock: Clock) -> SendbridgeError | None:
        """By `status` where HTTP says that all is well."""
        status = text_at(answer_of(response), "status")
        if response.status >= 300 or status in ("", "success"):
            return super().refusal(integration, response, clock)
        codes = self.codes(response)
        reason = f"the ESP answered HTTP {response.status}{bracketed(codes, integration)}"
        return self.verdict(codes, reason) or Permanent(reason)

    def codes(self, response: Response) -> list[str]:
        """The code, and the status."""
        return [text_at(answer_of(response), path) for path in ("data.code", "status")]

    def verify(self, integration: Integration, webhook: Webhook, post: Post, clock: Clock) -> None:
        """The header `x-postal-signature` is the base64 of an RSA signature (PKCS #1 v1.5, SHA-1) of the body.

        There is no time in it, so an old post is not told from a new one; an event that comes twice counts once.
        Raises BadRequest (401).
        """
        signature = _unbase64(post.headers.get(_SIGNATURE, ""))
        matches = [_signed(secret.get_secret_value(), signature, post.body) for secret in webhook.secrets]
        if not any(matches):
            raise BadRequest(f"{_SIGNATURE} does not match the body", field=_SIGNATURE, status=401)

    def listed(self, webhook: Webhook, post: Post) -> list[JsonValue] | None:
        """Nothing, if it is about a domain, or about mail that the server received."""
        event = parsed(post.body)
        about_mail = at(event, "payload.message.direction") != "incoming" and at(event, "event") != "DomainDNSError"
        return None if about_mail else []

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """With its `kind`, by what it holds: its own name is missing in some, or of something else."""
        payload = at(event, "payload")
        if not isinstance(event, dict) or not isinstance(payload, dict):
            return event
        message = payload.get("message") or payload.get("original_message")
        return {**event, "kind": _kind(event, payload), "payload": {**payload, "message": message}}


def _kind(event: dict[str, JsonValue], payload: dict[str, JsonValue]) -> str:
    if "bounce" in payload:
        return "Bounced"
    if "url" in payload:
        return "LinkClicked"
    return text_at(payload, "status") or text_at(event, "event").removeprefix("Message") or "Loaded"


def _unbase64(text: str) -> bytes:
    """The bytes; empty if the text is not exactly how these bytes are written."""
    try:
        value = base64.b64decode(text.encode(errors="surrogatepass"), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return value if base64.b64encode(value).decode() == text else b""


def _signed(key: str, signature: bytes, body: bytes) -> bool:
    """Whether this public key says so. Raises Misconfigured if it is none."""
    # Only where posts are verified is the library in the bundle.
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA1  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    try:
        public = load_der_public_key(base64.b64decode(_NOT_KEY.sub("", key)))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Misconfigured("the webhook's secret must be the installation's public key") from error
    if not isinstance(public, RSAPublicKey):
        raise Misconfigured("the webhook's secret must be an RSA public key")
    try:
        public.verify(signature, body, PKCS1v15(), SHA1())  # noqa: S303  # what Postal signs with
    except InvalidSignature:
        return False
    return True


CONNECTOR = Postal()
