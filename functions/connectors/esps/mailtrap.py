"""Mailtrap: email by its batch endpoint, which takes up to 500 messages and answers for each of them.

The answer is a success also if some of the messages were refused. It has no idempotency key. It posts events as one object or
as JSON Lines, signed if a signing secret is set up there.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.esps.base import Esp, Outcome, Outgoing, Preset, answer_of, parts
from shared.definitions import Integration, Webhook
from shared.errors import BadRequest, Permanent, Unknown
from shared.exchange import Response
from shared.mapping import at


class Mailtrap(Esp):
    """The connector `mailtrap`."""

    most = 500
    together = "requests"
    contents = ("requests.0.html", "requests.0.text")
    preset = Preset(
        title="Mailtrap",
        channel="email",
        source="Mailtrap: Email API, Webhooks; django-anymail 15.2 (July 2026); read 2026-11-21",
        definition={
            "connector": "mailtrap",
            "channel": "email",
            "url": "https://send.api.mailtrap.io/api/batch",
            "secret_headers": {"Api-Token": {"env": "MAILTRAP_API_TOKEN"}},
            "body": {
                "requests": [
                    {
                        "from": {"email": "${FROM}"},
                        "to": [{"email": "{{ identifier }}"}],
                        "subject": "{{ message.subject }}",
                        "html": "{{ message.html }}",
                        "text": "{{ message.text }}",
                        "custom_variables": {"message_id": "{{ message.id }}"},
                        "headers": {
                            "List-Unsubscribe": "<{{ unsubscribe_url }}>",
                            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                        },
                    }
                ]
            },
            "message_id_path": "message_ids.0",
            "timeout_seconds": 20,
            "webhook": {
                "signature": "hmac",
                "secrets": [{"env": "MAILTRAP_SIGNING_SECRET"}],
                "hmac": {"header": "Mailtrap-Signature"},
                "events": "events",
                "id": "event_id",
                "type": "event",
                "types": {
                    "delivery": "delivered",
                    "open": "opened",
                    "click": "clicked",
                    "bounce": "bounced",
                    "soft bounce": "deferred",
                    "suspension": "deferred",
                    "reject": "failed",
                    "spam": "complained",
                    "unsubscribe": "unsubscribed",
                },
                "time": "timestamp",
                "message_id": "custom_variables.message_id",
                "url": "url",
                "bounce_type": "event",
                "hard_bounces": ["bounce"],
                "code": "response_code",
                "reason": "response",
            },
        },
        notes=(
            "MAILTRAP_API_TOKEN: Sending Domains, Integration. FROM: an address of a verified sending domain.",
            "Marketing belongs to the bulk stream: the same with https://bulk.api.mailtrap.io/api/batch.",
            "Webhooks: Settings, Webhooks, with the address https://host/v1/engagements/NAME; the signing secret shown there is "
            "MAILTRAP_SIGNING_SECRET. Both formats are taken, JSON and JSON Lines.",
        ),
    )

    def results(self, integration: Integration, messages: Sequence[Outgoing], response: Response) -> list[Outcome]:
        """One part of the answer for each message; a refused one has `success: false`. `/api/send` answers for its only one."""
        answer, count = answer_of(response), len(messages)
        whole = at(answer, "responses") is None and (count == 1 or at(answer, "success") is False)
        found = [answer] * count if whole else parts(response, "responses", count)
        return [self._outcome(integration, part, response) for part in found]

    def _outcome(self, integration: Integration, part: JsonValue, response: Response) -> Outcome:
        success = at(part, "success")
        if success is True:
            return self.sent(integration, part, response)
        if success is False:
            return _refused(response)
        return Unknown(f"the ESP answered HTTP {response.status}, but not for each message")

    def listed(self, webhook: Webhook, post: Post) -> list[JsonValue] | None:
        """The events of JSON Lines, one in each line. A line that is no JSON is one bad event, not a bad post."""
        try:
            whole = parsed(post.body)
        except BadRequest:
            lines = [_line(line) for line in post.body.splitlines() if line.strip()]
            if not any(isinstance(line, dict) for line in lines):
                raise
            return lines
        return [whole] if isinstance(whole, dict) and "event" in whole else None


def _refused(response: Response) -> Permanent:
    # Mailtrap gives reasons in sentences only, which repeat the address.
    return Permanent(f"the ESP answered HTTP {response.status}, but refused the message")


def _line(line: bytes) -> JsonValue:
    try:
        return parsed(line)
    except BadRequest:
        return line.decode(errors="replace")


CONNECTOR = Mailtrap()
