"""Resend: email by its batch endpoint, 100 messages to a request, each once per `Idempotency-Key`.

Its batches are asked to be permissive: a message that is not valid is told of by its position, and the others are taken.
Webhooks are signed as Standard Webhooks are, in headers that begin with `svix-`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from connectors.esps.base import Esp, Outcome, Outgoing, Preset, answer_of, parts
from shared.definitions import Integration, Webhook
from shared.errors import Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Response
from shared.mapping import at

_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "missing_api_key": (Misconfigured, "the API key is missing"),
    "invalid_api_key": (Misconfigured, "the API key is wrong"),
    "restricted_api_key": (Misconfigured, "the API key may not send"),
    "invalid_from_address": (Misconfigured, "the From address is not valid"),
    "concurrent_idempotent_requests": (Unknown, "the first request under this key is still being worked on"),
    "invalid_idempotent_request": (Permanent, "another request was sent under this key"),
    "rate_limit_exceeded": (Transient, "too many requests in a second"),
    "daily_quota_exceeded": (Transient, "the daily quota is used up"),
    "monthly_quota_exceeded": (Transient, "the monthly quota is used up"),
}


class Resend(Esp):
    """The connector `resend`."""

    most = 100
    contents = ("html", "text")
    verdicts = _VERDICTS
    preset = Preset(
        title="Resend",
        channel="email",
        source="Resend: OpenAPI description, Batch Validation Modes, Idempotency Keys (read 2026-11-21)",
        definition={
            "connector": "resend",
            "channel": "email",
            "url": "https://api.resend.com/emails/batch",
            "headers": {"x-batch-validation": "permissive"},
            "auth": {"type": "bearer", "token": {"env": "RESEND_API_KEY"}},
            "body": {
                "from": "${FROM}",
                "to": ["{{ identifier }}"],
                "subject": "{{ message.subject }}",
                "html": "{{ message.html }}",
                "text": "{{ message.text }}",
                "headers": {
                    "List-Unsubscribe": "<{{ unsubscribe_url }}>",
                    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                },
                "tags": [{"name": "message_id", "value": "{{ message.id }}"}],
            },
            "message_id_path": "id",
            "idempotency_header": "Idempotency-Key",
            "idempotency_seconds": 86_400,
            "limit": {"messages": 100, "seconds": 1},
            "timeout_seconds": 15,
            "webhook": {
                "signature": "standard_webhooks",
                "secrets": [{"env": "RESEND_WEBHOOK_SECRET"}],
                "types": {
                    "email.sent": "sent",
                    "email.delivered": "delivered",
                    "email.delivery_delayed": "deferred",
                    "email.opened": "opened",
                    "email.clicked": "clicked",
                    "email.bounced": "bounced",
                    "email.complained": "complained",
                    "email.failed": "failed",
                    "email.suppressed": "failed",
                },
                "time": "created_at",
                "message_id": "data.tags.message_id",
                "url": "data.click.link",
                "bounce_type": "data.bounce.type",
                "hard_bounces": ["Permanent"],
                "code": "data.bounce.subType",
                "reason": "data.bounce.message",
            },
        },
        notes=(
            "RESEND_API_KEY: API Keys, with sending access. FROM: `Shop <shop@example.com>` of a domain that is verified.",
            "RESEND_WEBHOOK_SECRET: Webhooks, your endpoint, Signing Secret; it begins with whsec_.",
            "A team may make 2 requests a second unless Resend raised it. The limit counts messages, of which a request holds "
            "up to 100; what is too fast all the same is told to wait, and waits.",
            "Open and click tracking are switched on per domain.",
        ),
    )

    def alike(self, message: Outgoing) -> str:
        """Any go together."""
        return ""

    def join(self, bodies: Sequence[JsonValue]) -> JsonValue:
        """A list, also of one."""
        return [*bodies]

    def results(self, integration: Integration, messages: Sequence[Outgoing], response: Response) -> list[Outcome]:
        """`errors` tells of the messages that were not taken, by their position; `data` of the others, in their order."""
        refused = _refused(response, len(messages))
        taken = iter(parts(response, "data", len(messages) - len(refused)))
        reason = "the ESP refused the message: a field of it is not valid"
        return [
            Permanent(reason) if index in refused else self.sent(integration, next(taken), response)
            for index in range(len(messages))
        ]

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """Tags may be a list of names and values."""
        data = at(event, "data")
        tags = at(data, "tags")
        if not isinstance(event, dict) or not isinstance(data, dict) or not isinstance(tags, list):
            return event
        named = {str(at(tag, "name")): at(tag, "value") for tag in tags}
        return {**event, "data": {**data, "tags": named}}


def _refused(response: Response, count: int) -> set[int]:
    errors = at(answer_of(response), "errors")
    indices = [at(error, "index") for error in errors] if isinstance(errors, list) else []
    return {index for index in indices if type(index) is int and 0 <= index < count}


CONNECTOR = Resend()
