"""Salesforce Marketing Cloud: email by its Transactional Messaging API, one request for each message.

Our message id is the message key in the address, which it takes once in two days: to send again under the same key is safe. What
the message says is written in Marketing Cloud; subject and HTML go along as attributes. It tells what became of a message by its
Event Notification Service, which signs what it posts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.esps.base import Esp, Outcome, Outgoing, Preset, Sent, answer_of, bracketed
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import BadRequest, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Exchange, Request, Response
from shared.mapping import at, text_at

_DUPLICATE = "109110"
_BLOCKED = "50200"
_BLOCKED_SECONDS = 60.0
_CODES = (
    "errorcode",
    "responses.0.errorcode",
    "responses.0.messageErrors.0.messageErrorCode",
    "additionalErrors.0.errorcode",
)
_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "50100": (Transient, "the rate limit is exceeded"),
    _BLOCKED: (Transient, "requests are blocked for a while"),
}
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_GREETING = 1000
"""Bytes of the post by which the Event Notification Service asks who answers: it holds two GUIDs."""


class Sfmc(Esp):
    """The connector `sfmc`."""

    verdicts = _VERDICTS
    preset = Preset(
        title="Salesforce Marketing Cloud Engagement, transactional email",
        channel="email",
        source="Salesforce: Transactional Messaging API, Event Notification Service, Server-to-server integrations "
        "(read 2026-11-21)",
        definition={
            "connector": "sfmc",
            "channel": "email",
            "url": "https://${SFMC_SUBDOMAIN}.rest.marketingcloudapis.com/messaging/v1/email/messages/{{ message.id }}",
            "auth": {
                "type": "oauth2",
                "token_url": "https://${SFMC_SUBDOMAIN}.auth.marketingcloudapis.com/v2/token",
                "client_id": "${SFMC_CLIENT_ID}",
                "client_secret": {"env": "SFMC_CLIENT_SECRET"},
                "parameters": {"account_id": "${SFMC_ACCOUNT_ID}"},
                "encoding": "json",
            },
            "body": {
                "definitionKey": "${SFMC_DEFINITION_KEY}",
                "recipient": {
                    "contactKey": "{{ identifier }}",
                    "to": "{{ to }}",
                    "attributes": {
                        "Subject": "{{ message.subject }}",
                        "Html": "{{ message.html }}",
                        "Text": "{{ message.text }}",
                        "MirrorUrl": "{{ mirror_url }}",
                        "UnsubscribeUrl": "{{ unsubscribe_url }}",
                    },
                },
            },
            "message_id_path": "responses.0.messageKey",
            "idempotency_url": True,
            "idempotency_seconds": 172_800,
            "timeout_seconds": 20,
            "webhook": {
                "signature": "hmac",
                "secrets": [{"env": "SFMC_SIGNATURE_KEY"}],
                "hmac": {"header": "x-sfmc-ens-signature", "algorithm": "sha256", "encoding": "base64"},
                "type": "eventCategoryType",
                "types": {
                    "TransactionalSendEvents.EmailSent": "sent",
                    "TransactionalSendEvents.EmailNotSent": "failed",
                    "TransactionalSendEvents.EmailBounced": "bounced",
                    "TransactionalSendEvents.SmsSent": "sent",
                    "TransactionalSendEvents.SmsDelivered": "delivered",
                    "TransactionalSendEvents.SmsTransient": "deferred",
                    "TransactionalSendEvents.SmsNotSent": "failed",
                    "TransactionalSendEvents.SmsBounced": "bounced",
                },
                "time": "timestampUTC",
                "message_id": "info.messageKey",
                "bounce_type": "info.bounceCode",
                "hard_bounces": ["HARD"],
                "code": "code",
                "reason": "reason",
            },
        },
        notes=(
            "SFMC_SUBDOMAIN, SFMC_CLIENT_ID, SFMC_CLIENT_SECRET: of an installed package with a server-to-server integration and "
            "the scopes email_read, email_write and email_send. SFMC_ACCOUNT_ID: the MID of the business unit.",
            "SFMC_DEFINITION_KEY: of a send definition whose data extension has a column for each attribute. The content shows "
            "them as %%=v(AttributeValue('Html'))=%% does.",
            "contactKey makes contacts, which Salesforce counts: set `identifier` to whatever is the key in your account.",
            "Events: create the callback https://host/v1/engagements/NAME with any SFMC_SIGNATURE_KEY in place. Salesforce "
            "greets it, and the log of receive_engagement has the callback id and verification key that ens-verify wants. Then "
            "put in the signature key that the creation answered.",
            "Subscribe to TransactionalSendEvents only: the others do not say which message they are about, and are parked.",
            "For text messages, take /messaging/v1/sms/messages/ in `url`, channel sms, and `to` without +.",
        ),
    )

    def refusal(self, integration: Integration, response: Response, clock: Clock) -> SendbridgeError | None:
        """A message key that was taken before means that the message was, so it is none."""
        return None if _DUPLICATE in self.codes(response) else super().refusal(integration, response, clock)

    def verdict(self, codes: Sequence[str], reason: str, wait: float | None = None) -> SendbridgeError | None:
        """Who is blocked is not told for how long: for a minute at least."""
        return super().verdict(codes, reason, max(wait or 0, _BLOCKED_SECONDS) if _BLOCKED in codes else wait)

    def codes(self, response: Response) -> list[str]:
        """Of the request, or of the only message in it."""
        answer = answer_of(response)
        return [text_at(answer, path) for path in _CODES]

    def sent(self, integration: Integration, part: JsonValue, response: Response) -> Outcome:
        """Taken, unless its part of the answer has an error: the status is 202 all the same."""
        codes = self.codes(response)
        failed = at(part, "responses.0.hasErrors") is True or bool({*codes} - {"", "0"})
        if not failed or _DUPLICATE in codes:
            return super().sent(integration, part, response)
        reason = f"the ESP refused the message{bracketed([one for one in codes if one != '0'], integration)}"
        return self.verdict(codes, reason) or Permanent(reason)

    def pause(self, response: Response, clock: Clock) -> float | None:
        """While requests are blocked, none are to be made."""
        return _BLOCKED_SECONDS if response.status == 429 and _BLOCKED in self.codes(response) else super().pause(response, clock)

    def look_up(self, integration: Integration, message: Outgoing, clock: Clock) -> Exchange[Sent | None] | None:
        """Asks by the message key, which is in the address."""
        return self._look_up(integration, message, clock)

    def _look_up(self, integration: Integration, message: Outgoing, clock: Clock) -> Exchange[Sent | None]:
        response = yield Request("GET", message.url, {"accept": "application/json"}, timeout=integration.timeout_seconds)
        if response.status == 404:
            return None
        refusal = super().refusal(integration, response, clock)
        if refusal is not None:
            raise refusal
        found = text_at(answer_of(response), "info.messageKey")
        if not found:
            raise Unknown(f"the ESP answered HTTP {response.status} without a message key")
        return Sent(found, response.status, response.seconds)

    def greeting(self, webhook: Webhook, post: Post) -> Mapping[str, str] | None:
        """Before a callback is verified, two GUIDs are posted to it, unsigned."""
        if webhook.hmac.header.lower() in post.headers or len(post.body) > _GREETING:
            return None
        try:
            body = parsed(post.body)
        except BadRequest:
            return None
        names = {"callback_id": "callbackId", "verification_key": "verificationKey"}
        found = {ours: text_at(body, theirs) for ours, theirs in names.items()}
        return found if all(_GUID.fullmatch(one) for one in found.values()) else None

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """Each kind of event has its code and reason in fields of its own."""
        if not isinstance(event, dict):
            return event
        code = text_at(event, "info.bounceCode") or text_at(event, "info.statusCode")
        reasons = (text_at(event, f"info.{name}") for name in ("smtpReason", "bounceMessage", "statusMessage", "reason"))
        return {**event, "code": code, "reason": next((one for one in reasons if one), "")}


CONNECTOR = Sfmc()
