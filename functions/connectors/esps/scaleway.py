"""Scaleway Transactional Email: its API v1alpha1, one message in a request.

It has no idempotency key. Its events come through Scaleway's Topics and Events, wrapped as Amazon SNS wraps them; our id
travels in a header of the message, as there is no metadata.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from connectors.esps.base import Esp, Outcome, Preset, answer_of, bracketed
from connectors.esps.sns import notified
from shared.definitions import Integration, Webhook
from shared.errors import Misconfigured, Permanent, SendbridgeError, Transient
from shared.exchange import Response
from shared.mapping import at, text_at

_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "denied_authentication": (Misconfigured, "the secret key is wrong"),
    "permissions_denied": (Misconfigured, "the secret key may not send emails of this project"),
    "quotas_exceeded": (Transient, "the quota is used up"),
}


class Scaleway(Esp):
    """The connector `scaleway`."""

    verdicts = _VERDICTS
    contents = ("html", "text")
    preset = Preset(
        title="Scaleway Transactional Email",
        channel="email",
        source="Scaleway: Transactional Email API, Webhook event payloads (October 2025); django-anymail 15; read 2026-11-21",
        definition={
            "connector": "scaleway",
            "channel": "email",
            "url": "https://api.scaleway.com/transactional-email/v1alpha1/regions/${SCALEWAY_REGION}/emails",
            "secret_headers": {"X-Auth-Token": {"env": "SCALEWAY_SECRET_KEY"}},
            "body": {
                "project_id": "${SCALEWAY_PROJECT_ID}",
                "from": {"email": "${FROM}"},
                "to": [{"email": "{{ identifier }}"}],
                "subject": "{{ message.subject }}",
                "html": "{{ message.html }}",
                "text": "{{ message.text }}",
                "additional_headers": [
                    {"key": "List-Unsubscribe", "value": "<{{ unsubscribe_url }}>"},
                    {"key": "List-Unsubscribe-Post", "value": "List-Unsubscribe=One-Click"},
                    {"key": "X-Sendbridge-Message", "value": "{{ message.id }}"},
                ],
            },
            "message_id_path": "emails.0.id",
            "webhook": {
                "signature": "basic",
                "secrets": [{"env": "SCALEWAY_WEBHOOK_LOGIN"}],
                "type": "type",
                "types": {
                    "email_delivered": "delivered",
                    "email_deferred": "deferred",
                    "email_dropped": "bounced",
                    "email_mailbox_not_found": "bounced",
                    "email_blocklisted": "failed",
                    "email_spam": "failed",
                },
                "time": "created_at",
                "message_id": "email_headers.x-sendbridge-message",
                "bounce_type": "type",
                "hard_bounces": ["email_dropped", "email_mailbox_not_found"],
                "code": "email_response_code",
                "reason": "email_response_message",
            },
        },
        notes=(
            "SCALEWAY_REGION: fr-par. SCALEWAY_PROJECT_ID, SCALEWAY_SECRET_KEY: of an IAM application that may use "
            "Transactional Email. FROM: an address of a checked domain.",
            "Webhooks: make a topic in Topics and Events, subscribe https://LOGIN@host/v1/engagements/NAME to it, where LOGIN is "
            "the user:password of SCALEWAY_WEBHOOK_LOGIN, and make a webhook for the topic. A confirmation is posted first: it "
            "is parked with the engagements that cannot be used; open its SubscribeURL.",
            "Scaleway tells of no opens and clicks.",
        ),
    )

    def result(self, integration: Integration, response: Response) -> Outcome:
        """A message that failed at once is a refusal."""
        status = text_at(answer_of(response), "emails.0.status")
        if status in ("failed", "canceled"):
            return Permanent(f"the ESP refused the message{bracketed([status], integration)}")
        return super().result(integration, response)

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """What Scaleway says, out of its topic's envelope; with the message's headers by their names in small letters."""
        told = notified(event)
        listed = at(told, "email_headers")
        if not isinstance(told, dict) or not isinstance(listed, list):
            return told
        return {**told, "email_headers": {text_at(one, "key").lower(): at(one, "value") for one in listed}}


CONNECTOR = Scaleway()
