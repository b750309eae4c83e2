"""MailerSend: email by its API v1, one message in a request.

It answers with no body and the message id in a header. Its bulk endpoint is not used: that answers only with the id of the
bulk, so that nobody could say which message was taken. It has no idempotency key and no metadata: our id travels as a tag.
"""

from __future__ import annotations

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.esps.base import Esp, Outcome, Preset, Sent, answer_of, bracketed
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import Misconfigured, Permanent, SendbridgeError, Unknown
from shared.exchange import Response
from shared.mapping import at, text_at


class MailerSend(Esp):
    """The connector `mailersend`."""

    remaining_header = "x-ratelimit-remaining"
    reset_header = "retry-after"
    contents = ("html", "text")
    preset = Preset(
        title="MailerSend",
        channel="email",
        source="MailerSend: Email API, Webhooks; django-anymail 15 (July 2026); read 2026-11-21",
        definition={
            "connector": "mailersend",
            "channel": "email",
            "url": "https://api.mailersend.com/v1/email",
            "auth": {"type": "bearer", "token": {"env": "MAILERSEND_API_TOKEN"}},
            "body": {
                "from": {"email": "${FROM}"},
                "to": [{"email": "{{ identifier }}"}],
                "subject": "{{ message.subject }}",
                "html": "{{ message.html }}",
                "text": "{{ message.text }}",
                "tags": ["{{ message.id }}"],
            },
            "message_id_path": "X-Message-Id",
            "limit": {"messages": 120, "seconds": 60},
            "webhook": {
                "signature": "hmac",
                "secrets": [{"env": "MAILERSEND_SIGNING_SECRET"}],
                "hmac": {"header": "Signature"},
                "id": "data.id",
                "type": "data.type",
                "types": {
                    "sent": "sent",
                    "delivered": "delivered",
                    "deferred": "deferred",
                    "opened": "opened",
                    "clicked": "clicked",
                    "hard_bounced": "bounced",
                    "soft_bounced": "bounced",
                    "spam_complaint": "complained",
                    "spam_complaints": "complained",
                    "unsubscribed": "unsubscribed",
                    "suppressed": "failed",
                },
                "time": "created_at",
                "message_id": "data.tags.0",
                "url": "data.meta.url",
                "bounce_type": "data.type",
                "hard_bounces": ["hard_bounced"],
                "code": "data.meta.bounce_code",
                "reason": "data.meta.bounce_reason",
            },
        },
        notes=(
            "MAILERSEND_API_TOKEN: Domains, API tokens, with full access to Email. FROM: an address of a verified domain.",
            "Our id must stay the first tag: MailerSend has no metadata.",
            "Only Enterprise accounts may set headers: they add to the body "
            '"headers": [{"name": "List-Unsubscribe", "value": "<{{ unsubscribe_url }}>"}, '
            '{"name": "List-Unsubscribe-Post", "value": "List-Unsubscribe=One-Click"}]. Others put the link into the template.',
            "Webhooks: Domains, Webhooks, with the address https://host/v1/engagements/NAME; the signing secret shown there is "
            "MAILERSEND_SIGNING_SECRET. It waits 3 seconds for an answer.",
        ),
    )

    def refusal(self, integration: Integration, response: Response, clock: Clock) -> SendbridgeError | None:
        """An invalid field of the sender is no fault of the message."""
        refused = super().refusal(integration, response, clock)
        by_sender = any(name.split(".")[0] == "from" for name in _fields(response))
        return Misconfigured(f"{refused.reason}: the sender") if isinstance(refused, Permanent) and by_sender else refused

    def codes(self, response: Response) -> list[str]:
        """The names of the fields that are not valid."""
        return super().codes(response) + _fields(response)

    def result(self, integration: Integration, response: Response) -> Outcome:
        """The message id is in a header, and its name at `message_id_path`. Without it, the recipient may be suppressed."""
        found = response.headers.get(integration.message_id_path.lower(), "")
        if found:
            return Sent(found[:200], response.status, response.seconds)
        warning = text_at(answer_of(response), "warnings.0.type")
        if warning == "ALL_SUPPRESSED":
            return Permanent(f"the ESP refused the message{bracketed([warning], integration)}: the recipient is suppressed")
        return Unknown(f"the ESP answered HTTP {response.status} without a header {integration.message_id_path!r}")

    def listed(self, webhook: Webhook, post: Post) -> list[JsonValue] | None:
        """Nothing, if MailerSend only tries whether somebody answers."""
        return [] if text_at(parsed(post.body), "type") == "webhook.test" else None

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """Webhooks of the first version, which MailerSend drops at the end of 2026, as those of the second."""
        data, email = at(event, "data"), at(event, "data.email")
        if not isinstance(event, dict) or not isinstance(data, dict) or not isinstance(email, dict):
            return event
        reason = text_at(data, "morph.readable_reason") or text_at(data, "morph.reason")
        meta: dict[str, JsonValue] = {"url": at(data, "morph.url"), "bounce_reason": reason}
        inner: dict[str, JsonValue] = {**data, "tags": email.get("tags"), "meta": meta}
        return {**event, "created_at": data.get("created_at") or event.get("created_at"), "data": inner}


def _fields(response: Response) -> list[str]:
    errors = at(answer_of(response), "errors") if response.status == 422 else None
    return list(errors) if isinstance(errors, dict) else []


CONNECTOR = MailerSend()
