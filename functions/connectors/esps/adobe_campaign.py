"""Adobe Campaign Standard: transactional messages, each an event of a type that was set up there, one request for each.

It has no idempotency key, and finds an event only by the key that it answered. What the message says is written in Campaign;
subject and HTML go along in the event's context.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from connectors.esps.base import Esp, Outcome, Preset, bracketed
from shared.definitions import Integration
from shared.errors import Misconfigured, Permanent, SendbridgeError, Transient
from shared.exchange import Response
from shared.mapping import text_at

_NEVER_SENT = ("deliveryFailed", "ignored", "routingFailed", "targetingFailed", "tooOld")
_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "403000": (Misconfigured, "the X-Api-Key is not valid"),
    "403023": (Misconfigured, "the credentials are not for this organisation"),
    "429050": (Transient, "too many requests"),
}


class AdobeCampaign(Esp):
    """The connector `adobe_campaign`."""

    code_keys = ("error_code", "code")
    verdicts = _VERDICTS
    preset = Preset(
        title="Adobe Campaign Standard, transactional messages",
        channel="email",
        source="Adobe: Managing transactional messages, OAuth Server-to-Server credentials (read 2026-11-21)",
        definition={
            "connector": "adobe_campaign",
            "channel": "email",
            "url": "https://mc.adobe.io/${ADOBE_CAMPAIGN_ORG}/campaign/mc${ADOBE_CAMPAIGN_ORG}/${ADOBE_CAMPAIGN_EVENT}",
            "headers": {
                "X-Api-Key": "${ADOBE_CLIENT_ID}",
                "Cache-Control": "no-cache",
                "Content-Type": "application/json;charset=utf-8",
            },
            "auth": {
                "type": "oauth2",
                "token_url": "https://ims-na1.adobelogin.com/ims/token/v3",
                "client_id": "${ADOBE_CLIENT_ID}",
                "client_secret": {"env": "ADOBE_CLIENT_SECRET"},
                "scope": "openid,AdobeID,campaign_sdk,campaign_config_server_general,deliverability_service_general",
            },
            "body": {
                "email": "{{ identifier }}",
                "ctx": {
                    "messageId": "{{ message.id }}",
                    "subject": "{{ message.subject }}",
                    "html": "{{ message.html }}",
                    "text": "{{ message.text }}",
                    "mirrorUrl": "{{ mirror_url }}",
                    "unsubscribeUrl": "{{ unsubscribe_url }}",
                },
            },
            "message_id_path": "PKey",
            "timeout_seconds": 20,
            "webhook": {
                "signature": "bearer",
                "secrets": [{"env": "ADOBE_CAMPAIGN_WEBHOOK_TOKEN"}],
                "types": {
                    "sent": "sent",
                    "delivered": "delivered",
                    "opened": "opened",
                    "clicked": "clicked",
                    "bounced": "bounced",
                    "unsubscribed": "unsubscribed",
                },
                "message_id": "messageId",
                "bounce_type": "bounceType",
                "code": "code",
                "reason": "reason",
            },
        },
        notes=(
            "ADOBE_CLIENT_ID, ADOBE_CLIENT_SECRET: of an OAuth Server-to-Server credential in the Developer Console; copy "
            "`scope` from there, it differs by contract.",
            "ADOBE_CAMPAIGN_ORG: the organisation's id in the API's address. ADOBE_CAMPAIGN_EVENT: the event's id, as "
            "EVTcartAbandon, from its API preview. The fields of `ctx` are those that the event was set up with.",
            "Campaign posts nothing about transactional messages. A workflow with an External API activity can: a list of "
            "objects with id, messageId, type and time, under the bearer token ADOBE_CAMPAIGN_WEBHOOK_TOKEN.",
            "An outcome that nobody knows stays so, and is parked: the message may have gone out.",
        ),
    )

    def sent(self, integration: Integration, part: JsonValue, response: Response) -> Outcome:
        """Taken, unless the event's status says already that nothing will be sent."""
        status = text_at(part, "status")
        if status in _NEVER_SENT:
            return Permanent(f"the ESP took the event, but its status is{bracketed([status], integration)}")
        return super().sent(integration, part, response)


CONNECTOR = AdobeCampaign()
