"""SparkPost (Bird): email by its Transmissions API, one message in a transmission.

It has an idempotency key, kept for 24 hours. It answers 200 also if it rejects a recipient, without saying which: so each
message goes alone. An account that has used up its quota gets 420.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.esps.base import Esp, Outcome, Preset, answer_of, bracketed
from connectors.esps.webhooks import listed_at
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Response
from shared.mapping import at, text_at

_QUOTA_SECONDS = 1800
"""How long to wait after a 420: the quota is of an hour, a day or a month, and the answer does not say when it ends."""

_BY_CLASS = {"60": "auto_reply", "80": "subscribe", "90": "list_unsubscribe", "100": "auto_reply"}
"""Bounces that are none, by their class."""
_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "1600": (Unknown, "this idempotency key was used before with another body"),
    "1601": (Unknown, "the first request with this idempotency key is still being worked on"),
    "1602": (Misconfigured, "the idempotency key has a form that SparkPost does not take"),
    "7001": (Misconfigured, "the sending domain is not set up"),
}


class SparkPost(Esp):
    """The connector `sparkpost`."""

    verdicts = _VERDICTS
    contents = ("content.html", "content.text")
    preset = Preset(
        title="SparkPost",
        channel="email",
        source="SparkPost: Transmissions, Idempotency, Event webhooks (August 2026); django-anymail 15; read 2026-11-21",
        definition={
            "connector": "sparkpost",
            "channel": "email",
            "url": "https://api.sparkpost.com/api/v1/transmissions",
            "secret_headers": {"Authorization": {"env": "SPARKPOST_API_KEY"}},
            "body": {
                "recipients": [{"address": {"email": "{{ identifier }}"}, "metadata": {"message_id": "{{ message.id }}"}}],
                "content": {
                    "from": {"email": "${FROM}"},
                    "subject": "{{ message.subject }}",
                    "html": "{{ message.html }}",
                    "text": "{{ message.text }}",
                    "headers": {
                        "List-Unsubscribe": "<{{ unsubscribe_url }}>",
                        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                    },
                },
            },
            "message_id_path": "results.id",
            "idempotency_header": "Idempotency-Key",
            "idempotency_seconds": 86_400,
            "timeout_seconds": 20,
            "webhook": {
                "signature": "basic",
                "secrets": [{"env": "SPARKPOST_WEBHOOK_LOGIN"}],
                "id": "event_id",
                "type": "type",
                "types": {
                    "delivery": "delivered",
                    "delay": "deferred",
                    "open": "opened",
                    "amp_open": "opened",
                    "click": "clicked",
                    "amp_click": "clicked",
                    "bounce": "bounced",
                    "out_of_band": "bounced",
                    "spam_complaint": "complained",
                    "list_unsubscribe": "unsubscribed",
                    "link_unsubscribe": "unsubscribed",
                    "policy_rejection": "failed",
                    "generation_failure": "failed",
                    "generation_rejection": "failed",
                },
                "time": "timestamp",
                "message_id": "rcpt_meta.message_id",
                "url": "target_link_url",
                "bounce_type": "bounce_class",
                "hard_bounces": ["10", "30"],
                "code": "error_code",
                "reason": "raw_reason",
            },
        },
        notes=(
            "SPARKPOST_API_KEY: API Keys, with Transmissions: Read/Write. FROM: an address of a verified sending domain.",
            "In the EU the host is api.eu.sparkpost.com.",
            'Messages that are transactional want "options": {"transactional": true} in the body: SparkPost then looks at '
            "another of its suppression lists.",
            "SparkPost has templates of its own, so {{ }} that is left in a message's HTML would be filled in by it.",
            "Webhooks: with the address https://host/v1/engagements/NAME and Basic authentication by SPARKPOST_WEBHOOK_LOGIN, "
            "which is user:password. SparkPost signs nothing: whoever knows the login can post.",
        ),
    )

    def refusal(self, integration: Integration, response: Response, clock: Clock) -> SendbridgeError | None:
        """420 means that a quota is used up: nothing was taken, and will be later."""
        if response.status != 420:
            return super().refusal(integration, response, clock)
        wait = response.retry_after(clock) or _QUOTA_SECONDS
        return Transient(f"the ESP answered HTTP 420{bracketed(self.codes(response), integration)}: quota", retry_after=wait)

    def codes(self, response: Response) -> list[str]:
        """The codes of all errors."""
        errors = at(answer_of(response), "errors")
        return [text_at(one, "code") for one in errors] if isinstance(errors, list) else []

    def result(self, integration: Integration, response: Response) -> Outcome:
        """A transmission whose only recipient was rejected is a refusal."""
        results = at(answer_of(response), "results")
        if text_at(results, "total_rejected_recipients") in ("", "0"):
            return super().result(integration, response)
        found = [text_at(results, "rcpt_to_errors.0.code"), *self.codes(response)]
        return Permanent(f"the ESP rejected the recipient{bracketed(found, integration)}")

    def listed(self, webhook: Webhook, post: Post) -> list[JsonValue] | None:
        """An event is wrapped twice; with nothing in it, SparkPost only tries whether somebody answers."""
        return [event for event in listed_at(webhook.events, parsed(post.body)) if at(event, "msys") != {}]

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """What is wrapped: `msys`, then the class of the event. Some classes of bounces are none."""
        wrapped = at(event, "msys")
        inner = next(iter(wrapped.values()), None) if isinstance(wrapped, dict) and len(wrapped) == 1 else None
        if not isinstance(inner, dict):
            return None
        kind = _BY_CLASS.get(text_at(inner, "bounce_class"))
        return {**inner, "type": kind} if kind else inner


CONNECTOR = SparkPost()
