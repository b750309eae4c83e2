"""Bird: SMS by the MessageBird REST API, one request for each message.

It has no idempotency key. Our id is the `reference`, without which it tells nothing of a message. Numbers have no `+`. What
became of a message it tells by GET, signed by a JWT (RFC 7519) that holds the hash of the address.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping

from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Esp, Outcome, Preset, answer_of, bracketed
from connectors.esps.forms import query_of
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError
from shared.exchange import Response
from shared.mapping import at, text_at

_SIGNATURE = "messagebird-signature-jwt"
_ALGORITHMS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_LEEWAY = 60
"""Seconds by which clocks may differ."""
_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "2": (Misconfigured, "the access key is wrong, or may not do this"),
    "9": (Permanent, "a parameter is missing"),
    "10": (Permanent, "a parameter is not valid"),
    "25": (Misconfigured, "the account's balance does not cover this"),
}


class Bird(Esp):
    """The connector `bird`."""

    verdicts = _VERDICTS
    preset = Preset(
        title="Bird (MessageBird REST API)",
        channel="sms",
        source="MessageBird: SMS messaging, Verify HTTP requests; Bird: Receiving delivery reports, SMS platform error codes "
        "(read 2026-11-21)",
        definition={
            "connector": "bird",
            "channel": "sms",
            "url": "https://rest.messagebird.com/messages",
            "auth": {"type": "bearer", "scheme": "AccessKey", "token": {"env": "BIRD_ACCESS_KEY"}},
            "identifier": "phone",
            "body": {
                "originator": "${BIRD_ORIGINATOR}",
                "recipients": "{{ identifier | remove: '+' }}",
                "body": "{{ message.text }}",
                "reference": "{{ message.id }}",
                "datacoding": "auto",
                "reportUrl": "${BIRD_CALLBACK_URL}",
            },
            "message_id_path": "id",
            "webhook": {
                "signature": "vendor",
                "secrets": [{"env": "BIRD_SIGNING_KEY"}],
                "id": "event_id",
                "type": "status",
                "types": {
                    "sent": "sent",
                    "buffered": "deferred",
                    "delivered": "delivered",
                    "delivery_failed": "bounced",
                    "expired": "failed",
                },
                "time": "statusDatetime",
                "message_id": "reference",
                "bounce_type": "statusErrorCode",
                "hard_bounces": ["1"],
                "code": "statusErrorCode",
                "reason": "statusReason",
            },
        },
        notes=(
            "BIRD_ACCESS_KEY: a live key, from the dashboard under Developers. BIRD_ORIGINATOR: a number of the account "
            "without +, or up to 11 letters and digits where the country allows it.",
            "BIRD_CALLBACK_URL: https://host/v1/engagements/NAME, exactly as Bird has to call it: its address is signed.",
            "BIRD_SIGNING_KEY: in the dashboard's Developer settings. It is not the access key.",
            "This is the API that MessageBird had; the newer API of Bird's platform is another one.",
        ),
    )

    def codes(self, response: Response) -> list[str]:
        """Each of `errors` has a `code`."""
        found = at(answer_of(response), "errors")
        return [text_at(one, "code") for one in found] if isinstance(found, list) else []

    def sent(self, integration: Integration, part: JsonValue, response: Response) -> Outcome:
        """Taken, unless the only recipient's status says already that it failed."""
        status = text_at(part, "recipients.items.0.status")
        if status in ("delivery_failed", "expired"):
            return Permanent(f"the ESP took the message, but its recipient's status is{bracketed([status], integration)}")
        return super().sent(integration, part, response)

    def verify(self, integration: Integration, webhook: Webhook, post: Post, clock: Clock) -> None:
        """`MessageBird-Signature-JWT` is a JWT under the signing key (HS256, HS384 or HS512): from MessageBird, for now, with the
        SHA-256 of the address in `url_hash` and, if there is a body, of the body in `payload_hash`."""
        given = post.headers.get(_SIGNATURE, "")
        content, _, signature = given.rpartition(".")
        head, _, claims = content.partition(".")
        algorithm = _ALGORITHMS.get(text_at(_part(head), "alg"), "sha256")
        keys = [secret.get_secret_value().encode() for secret in webhook.secrets]
        expected = [hmac.digest(key, content.encode(errors="surrogatepass"), algorithm) for key in keys]
        matches = [hmac.compare_digest(ours, _bytes(signature)) for ours in expected]
        wrong = "is not signed by the signing key" if not any(matches) else _wrong(_part(claims), post, clock().timestamp())
        if wrong:
            raise BadRequest(f"{_SIGNATURE} {wrong}", field=_SIGNATURE, status=401)

    def listed(self, webhook: Webhook, post: Post) -> list[JsonValue]:
        """One report: the fields of the address. It has no id, but a message comes to each status once."""
        fields = dict(query_of(post))
        return [{**fields, "event_id": f"{fields.get('id', '')}.{fields.get('status', '')}"}]


def _wrong(claims: JsonValue, post: Post, now: float) -> str:
    """What is wrong with the claims of a JWT that MessageBird signed; empty if nothing is."""
    begins, ends = at(claims, "nbf"), at(claims, "exp")
    if text_at(claims, "iss") != "MessageBird" or not isinstance(begins, int | float) or not isinstance(ends, int | float):
        return "lacks a claim"
    if not begins - _LEEWAY <= now <= ends + _LEEWAY:
        return "is for another time"
    if text_at(claims, "url_hash") != hashlib.sha256(post.url.encode(errors="surrogatepass")).hexdigest():
        return "is for another address"
    of_body = hashlib.sha256(post.body).hexdigest() if post.body else ""
    return "" if text_at(claims, "payload_hash") == of_body else "is for another body"


def _bytes(text: str) -> bytes:
    """The bytes of a base64url text (RFC 7515, section 2); none if it is not one."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _part(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(_bytes(text))
    except (ValueError, RecursionError):
        return None
    return value


CONNECTOR = Bird()
