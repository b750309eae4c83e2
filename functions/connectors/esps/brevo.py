"""Brevo: transactional email, up to 1000 versions of a message in one request, each once per `idempotencyKey`.

The key is a UUID among the headers in the body, and kept for 15 to 30 minutes only. It signs no webhooks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from connectors.esps.base import Esp, Outcome, Outgoing, Preset, answer_of, parts
from shared.definitions import Integration, Webhook
from shared.errors import Misconfigured, SendbridgeError, Transient, Unknown
from shared.exchange import Response
from shared.ids import record_uuid
from shared.mapping import at, put, text_at

_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "unauthorized": (Misconfigured, "the API key is missing or wrong"),
    "permission_denied": (Misconfigured, "the account may not send transactional email"),
    "account_under_validation": (Misconfigured, "the account is not validated yet"),
    "not_enough_credits": (Misconfigured, "the account has no credits left"),
    "document_not_found": (Misconfigured, "there is no such template"),
    "duplicate_request": (Unknown, "a request under this key was taken before"),
    "too_many_requests": (Transient, "too many requests"),
}
_OF_ONE = ("to", "cc", "bcc", "replyTo", "subject", "htmlContent", "textContent", "params", "headers")
"""What each version of a message has of its own; `tags`, `sender` and the rest are the same for all."""
_NO_DEFAULT = ("to", "cc", "bcc", "replyTo", "params", "headers")


class Brevo(Esp):
    """The connector `brevo`."""

    most = 1000
    contents = ("htmlContent", "textContent")
    remaining_header = "x-sib-ratelimit-remaining"
    reset_header = "x-sib-ratelimit-reset"
    verdicts = _VERDICTS
    preset = Preset(
        title="Brevo",
        channel="email",
        source="Brevo: Send a transactional email, Batch send, Idempotency, Webhooks (read 2026-11-21)",
        definition={
            "connector": "brevo",
            "channel": "email",
            "url": "https://api.brevo.com/v3/smtp/email",
            "secret_headers": {"api-key": {"env": "BREVO_API_KEY"}},
            "body": {
                "sender": {"email": "${FROM}"},
                "to": [{"email": "{{ identifier }}"}],
                "subject": "{{ message.subject }}",
                "htmlContent": "{{ message.html }}",
                "textContent": "{{ message.text }}",
                "headers": {
                    "List-Unsubscribe": "<{{ unsubscribe_url }}>",
                    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                    "X-Mailin-custom": "{{ message.id }}",
                },
            },
            "message_id_path": "messageId",
            "idempotency_path": "headers.idempotencyKey",
            "idempotency_seconds": 900,
            "limit": {"messages": 1000, "seconds": 1},
            "timeout_seconds": 15,
            "webhook": {
                "signature": "basic",
                "secrets": [{"env": "BREVO_WEBHOOK_LOGIN"}],
                "type": "event",
                "types": {
                    "delivered": "delivered",
                    "deferred": "deferred",
                    "opened": "opened",
                    "unique_opened": "opened",
                    "click": "clicked",
                    "hard_bounce": "bounced",
                    "soft_bounce": "bounced",
                    "invalid_email": "bounced",
                    "blocked": "failed",
                    "error": "failed",
                    "spam": "complained",
                    "complaint": "complained",
                    "unsubscribe": "unsubscribed",
                },
                "id": "event_id",
                "time": "time",
                "message_id": "X-Mailin-custom",
                "url": "link",
                "bounce_type": "event",
                "hard_bounces": ["hard_bounce", "invalid_email"],
                "code": "event",
                "reason": "reason",
            },
        },
        notes=(
            "BREVO_API_KEY: SMTP & API, API Keys. FROM: a sender that is verified in Senders, Domains & Dedicated IPs.",
            "Idempotency: Brevo's pages say 15 and 30 minutes; what is not settled after 15 is treated as if there were no key.",
            "Webhooks: Transactional, Settings, Webhook, with Basic authentication by the user:password of BREVO_WEBHOOK_LOGIN. "
            "Brevo signs nothing: whoever knows the login can post. Single events and batches are read.",
            "Choose one of opened and unique_opened there, or the first opening is told twice. Openings by a proxy "
            "(proxy_open, unique_proxy_open), as Apple's Mail Privacy Protection makes, count as other.",
        ),
    )

    def alike(self, message: Outgoing) -> str:
        """What is not a version's own, and what each version has: what one lacked, it would get from the first."""
        body = self.trimmed(message.body)
        if not isinstance(body, dict):
            return message.id
        shared = {name: value for name, value in body.items() if name not in _OF_ONE}
        return json.dumps([shared, sorted(set(body) & set(_OF_ONE))], sort_keys=True)

    def join(self, bodies: Sequence[JsonValue]) -> JsonValue:
        """`messageVersions`, if there are several; the first one's subject and content stay where Brevo wants a default."""
        every = [body for body in bodies if isinstance(body, dict)]
        if len(every) == 1:
            return every[0]
        versions: list[JsonValue] = [{name: body[name] for name in _OF_ONE if name in body} for body in every]
        return {**{name: value for name, value in every[0].items() if name not in _NO_DEFAULT}, "messageVersions": versions}

    def key(self, messages: Sequence[Outgoing]) -> str:
        """A UUID, as Brevo takes no other key."""
        return record_uuid("brevo", super().key(messages))

    def results(self, integration: Integration, messages: Sequence[Outgoing], response: Response) -> list[Outcome]:
        """`messageIds` in the order of the versions; `messageId` for one message."""
        if len(messages) == 1 and at(answer_of(response), integration.message_id_path) is not None:
            return [self.result(integration, response)]
        named = [put({}, integration.message_id_path, one) for one in parts(response, "messageIds", len(messages))]
        return [self.sent(integration, part, response) for part in named]

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """Names in either spelling (`hardBounce`, `hard_bounce`), and the time in milliseconds where Brevo gives it."""
        if not isinstance(event, dict):
            return event
        spelled = "".join(f"_{one.lower()}" if one.isupper() else one for one in text_at(event, "event"))
        kind = _OTHER_NAMES.get(spelled, spelled)
        time = next((event[name] for name in ("ts_epoch", "ts_event", "ts") if event.get(name)), None)
        return {**event, "event": kind, "time": time}


_OTHER_NAMES = {"unsubscribed": "unsubscribe", "clicked": "click", "unique_open": "unique_opened", "open": "opened"}


CONNECTOR = Brevo()
