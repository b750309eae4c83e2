"""SendGrid (Twilio): email by Mail Send, which takes up to 1000 personalizations of one content.

It answers 202 without a body; its message id, one for the whole request, is in a header. Ours is a custom argument, which comes
back in each event. Webhooks are signed by ECDSA, of which `cryptography` knows more than we do.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Esp, Outcome, Outgoing, Preset, answer_of
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import BadRequest, Misconfigured, SendbridgeError
from shared.exchange import Response
from shared.mapping import at, text_at
from shared.signatures import check_timestamp

_SIGNATURE, _TIMESTAMP = "x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"
_TOLERANCE = 25 * 3600
"""Seconds. It posts again for 24 hours, and does not say whether it signs again; a repetition has the ids it had before."""

_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "from": (Misconfigured, "the From address is not valid or not a verified sender"),
    "from.email": (Misconfigured, "the From address is not valid or not a verified sender"),
    "template_id": (Misconfigured, "there is no such template"),
}


class SendGrid(Esp):
    """The connector `sendgrid`."""

    most = 1000
    together = "personalizations"
    remaining_header = "x-ratelimit-remaining"
    reset_header = "x-ratelimit-reset"
    verdicts = _VERDICTS
    preset = Preset(
        title="Twilio SendGrid",
        channel="email",
        source="Twilio SendGrid: Mail Send, Event Webhook reference and security features (read 2026-11-21)",
        definition={
            "connector": "sendgrid",
            "channel": "email",
            "url": "https://api.sendgrid.com/v3/mail/send",
            "auth": {"type": "bearer", "token": {"env": "SENDGRID_API_KEY"}},
            "body": {
                "personalizations": [
                    {
                        "to": [{"email": "{{ identifier }}"}],
                        "subject": "{{ message.subject }}",
                        "headers": {
                            "List-Unsubscribe": "<{{ unsubscribe_url }}>",
                            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                        },
                        "custom_args": {"message_id": "{{ message.id }}"},
                    }
                ],
                "from": {"email": "${FROM}"},
                "content": [
                    {"type": "text/plain", "value": "{{ message.text }}"},
                    {"type": "text/html", "value": "{{ message.html }}"},
                ],
            },
            "message_id_path": "x-message-id",
            "webhook": {
                "signature": "vendor",
                "secrets": [{"env": "SENDGRID_WEBHOOK_KEY"}],
                "id": "sg_event_id",
                "type": "type",
                "types": {
                    "delivered": "delivered",
                    "deferred": "deferred",
                    "open": "opened",
                    "click": "clicked",
                    "bounce": "bounced",
                    "bounce.blocked": "bounced",
                    "dropped": "failed",
                    "spamreport": "complained",
                    "unsubscribe": "unsubscribed",
                    "group_unsubscribe": "unsubscribed",
                },
                "time": "timestamp",
                "message_id": "message_id",
                "url": "url",
                "bounce_type": "type",
                "hard_bounces": ["bounce"],
                "code": "status",
                "reason": "reason",
            },
        },
        notes=(
            "SENDGRID_API_KEY: Settings, API Keys, with Mail Send. FROM: a verified sender, or of an authenticated domain.",
            "Subusers in the EU: the url is https://api.eu.sendgrid.com/v3/mail/send.",
            "SENDGRID_WEBHOOK_KEY: Settings, Mail Settings, Event Webhook: switch on the signature; it is the verification key.",
            "Messages of equal content go in one request. For that, put the content into a dynamic template: replace `content` "
            "by `template_id`, and add `dynamic_template_data` beside `to`.",
            "An opening by a machine (sg_machine_open), as Apple's Mail Privacy Protection makes, counts as other.",
        ),
    )

    def join(self, bodies: Sequence[JsonValue]) -> JsonValue:
        """As `together` says. Content without a value is left out: SendGrid refuses it."""
        body = super().join(bodies)
        content = at(body, "content")
        if not isinstance(body, dict) or not isinstance(content, list):
            return body
        return {**body, "content": [part for part in content if at(part, "value") != ""]}

    def codes(self, response: Response) -> list[str]:
        """The names of the fields that it finds wrong."""
        errors = at(answer_of(response), "errors")
        return [text_at(error, "field") for error in errors] if isinstance(errors, list) else []

    def results(self, integration: Integration, messages: Sequence[Outgoing], response: Response) -> list[Outcome]:
        """One id for all of them, in the header that `message_id_path` names."""
        name = integration.message_id_path
        return [self.sent(integration, {name: response.headers.get(name.lower(), "")}, response)] * len(messages)

    def verify(self, integration: Integration, webhook: Webhook, post: Post, clock: Clock) -> None:
        """`X-Twilio-Email-Event-Webhook-Signature` is the base64 of an ECDSA signature (P-256, SHA-256) of the header
        `X-Twilio-Email-Event-Webhook-Timestamp` followed by the body. Each secret is a verification key as SendGrid shows it."""
        stamp = post.headers.get(_TIMESTAMP, "")
        check_timestamp(_TIMESTAMP, stamp, clock, _TOLERANCE)
        signature = _unbase64(post.headers.get(_SIGNATURE, ""))
        keys = [secret.get_secret_value() for secret in webhook.secrets]
        if not any(_is_signed(key, signature, stamp.encode() + post.body) for key in keys):
            raise BadRequest(f"{_SIGNATURE} does not match the body", field=_SIGNATURE, status=401)

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """`type` becomes the event's, with what makes it another: a bounce may be a block, an opening a machine's."""
        if not isinstance(event, dict):
            return event
        kind = text_at(event, "event")
        blocked = kind == "bounce" and event.get("type") == "blocked"
        by_machine = kind == "open" and event.get("sg_machine_open") in (True, "true")
        return {**event, "type": kind + (".blocked" if blocked else ".machine" if by_machine else "")}


def _is_signed(key: str, signature: bytes, signed: bytes) -> bool:
    # Imported here, as only SendGrid's webhooks need it.
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    try:
        public = load_der_public_key(_unbase64(key))
    except (ValueError, UnsupportedAlgorithm):
        public = None
    if not isinstance(public, EllipticCurvePublicKey):
        raise Misconfigured("the webhook's secret must be SendGrid's verification key: the base64 of an EC public key")
    try:
        public.verify(signature, signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


CONNECTOR = SendGrid()
