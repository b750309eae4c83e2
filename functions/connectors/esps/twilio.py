"""Twilio: SMS by its Messages resource, one form for each message.

It has no idempotency key and no place for a message id of ours, so the id stands in the address for its status callbacks, which
Twilio signs. A callback says no time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.esps.base import Esp, Outcome, Preset, bracketed
from connectors.esps.forms import form, form_of, query_of
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient
from shared.exchange import Response
from shared.mapping import text_at

_SIGNATURE = "x-twilio-signature"
_OPTED_OUT = "21610"
_NEVER_SENT = ("canceled", "failed", "undelivered")

# What depends on the recipient does not open the circuit: one number in a country that is not enabled must not stop the others.
_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "20003": (Misconfigured, "the account SID or the auth token is wrong"),
    "20429": (Transient, "too many requests, none of which was processed"),
    "21211": (Permanent, "the number is no valid phone number"),
    "21212": (Misconfigured, "the From number is not valid"),
    "21408": (Permanent, "the account may not send to this country"),
    "21603": (Misconfigured, "a From number or a messaging service is needed"),
    "21606": (Misconfigured, "the From number is not the account's, or cannot send SMS"),
    "21608": (Permanent, "a trial account sends to verified numbers only"),
    _OPTED_OUT: (Permanent, "the recipient has opted out by answering STOP"),
    "21614": (Permanent, "the number cannot receive SMS"),
    "21617": (Permanent, "the text has more than 1600 characters"),
}


class Twilio(Esp):
    """The connector `twilio`."""

    code_keys = ("code",)
    verdicts = _VERDICTS
    preset = Preset(
        title="Twilio Programmable Messaging",
        channel="sms",
        source="Twilio: Messages resource, Error and Warning Dictionary, Webhooks security (read 2026-11-21)",
        definition={
            "connector": "twilio",
            "channel": "sms",
            "url": "https://api.twilio.com/2010-04-01/Accounts/${TWILIO_ACCOUNT_SID}/Messages.json",
            "auth": {"type": "basic", "username": "${TWILIO_ACCOUNT_SID}", "password": {"env": "TWILIO_AUTH_TOKEN"}},
            "identifier": "phone",
            "body": {
                "To": "{{ identifier }}",
                "From": "${TWILIO_FROM}",
                "Body": "{{ message.text }}",
                "StatusCallback": "${TWILIO_CALLBACK_URL}?message_id={{ message.id }}",
            },
            "message_id_path": "sid",
            "webhook": {
                "signature": "vendor",
                "secrets": [{"env": "TWILIO_AUTH_TOKEN"}],
                "id": "event_id",
                "type": "MessageStatus",
                "types": {
                    "sent": "sent",
                    "delivered": "delivered",
                    "undelivered": "bounced",
                    "failed": "failed",
                    "canceled": "failed",
                    "read": "opened",
                    "opted_out": "unsubscribed",
                },
                "time": "",
                "message_id": "message_id",
                "bounce_type": "ErrorCode",
                "hard_bounces": ["30005", "30006"],
                "code": "ErrorCode",
            },
        },
        notes=(
            "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN: on the console's first page. TWILIO_FROM: a number of the account, as "
            "+15005550006, or use MessagingServiceSid in the body instead of From.",
            "TWILIO_CALLBACK_URL: https://host/v1/engagements/NAME, exactly as Twilio has to call it: its address is signed.",
            "Callbacks are signed with the account's auth token, also if requests are made with an API key.",
            "A message that Twilio refuses because its recipient answered STOP (21610) is parked with that reason.",
        ),
    )

    def encode(self, body: JsonValue) -> tuple[str, bytes]:
        """A form."""
        return form(body)

    def sent(self, integration: Integration, part: JsonValue, response: Response) -> Outcome:
        """Taken, unless its status says already that it will not be sent."""
        if text_at(part, "status") in _NEVER_SENT:
            code = text_at(part, "error_code")
            reason = f"the ESP will not send the message{bracketed([code], integration)}"
            return self.verdict([code], reason) or Permanent(reason)
        return super().sent(integration, part, response)

    def verify(self, integration: Integration, webhook: Webhook, post: Post, clock: Clock) -> None:
        """`X-Twilio-Signature` is the base64 of an HMAC-SHA1, under the auth token, of the address posted to and of the form's
        fields, sorted, each name followed by its value. A JSON body is in it by its SHA-256, the address's `bodySHA256`."""
        given = post.headers.get(_SIGNATURE, "").encode(errors="surrogatepass")
        body_hash = dict(query_of(post)).get("bodySHA256")
        signed = post.url
        if body_hash is None:
            signed += "".join(name + value for name, value in sorted(set(form_of(post))))
        elif not hmac.compare_digest(hashlib.sha256(post.body).hexdigest().encode(), body_hash.lower().encode()):
            raise BadRequest("bodySHA256 does not match the body", field="bodySHA256", status=401)
        keys = [secret.get_secret_value().encode() for secret in webhook.secrets]
        expected = [base64.b64encode(hmac.digest(key, signed.encode(errors="surrogatepass"), "sha1")) for key in keys]
        matches = [hmac.compare_digest(ours, given) for ours in expected]
        if not any(matches):
            raise BadRequest(f"{_SIGNATURE} does not match the address and the body", field=_SIGNATURE, status=401)

    def listed(self, webhook: Webhook, post: Post) -> list[JsonValue]:
        """One event: the fields of the address and of the body. It has no id, but a message comes to each status once."""
        query = dict(query_of(post))
        body = parsed(post.body) if "bodySHA256" in query else dict(form_of(post))
        event: dict[str, JsonValue] = {**(body if isinstance(body, dict) else {}), **query}
        if text_at(event, "ErrorCode") == _OPTED_OUT:
            event["MessageStatus"] = "opted_out"
        return [{**event, "event_id": f"{text_at(event, 'MessageSid')}.{text_at(event, 'MessageStatus')}"}]


CONNECTOR = Twilio()
