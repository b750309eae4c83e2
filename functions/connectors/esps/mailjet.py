"""Mailjet: email by its Send API v3.1, which takes up to 50 messages and answers for each of them.

It answers 400 or 401 also if only some of the messages were refused: the others were taken. It has no idempotency key, but can
be asked for a message by our id, and signs no webhooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urljoin

from pydantic import JsonValue

from connectors.esps.base import Esp, Outcome, Outgoing, Preset, Sent, answer_of, bracketed, parts
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import Misconfigured, Permanent, SendbridgeError, Unauthorized, Unknown, outcome_of_status
from shared.exchange import Exchange, Request, Response
from shared.mapping import at, text_at

_LIST = "Messages"


class Mailjet(Esp):
    """The connector `mailjet`."""

    most = 50
    together = _LIST
    code_keys = ("ErrorCode",)
    contents = ("Messages.0.HTMLPart", "Messages.0.TextPart")
    preset = Preset(
        title="Mailjet",
        channel="email",
        source="Mailjet: Send API v3.1, Event API (September 2023); django-anymail 15 (July 2026); read 2026-11-21",
        definition={
            "connector": "mailjet",
            "channel": "email",
            "url": "https://api.mailjet.com/v3.1/send",
            "auth": {"type": "basic", "username": "${MAILJET_API_KEY}", "password": {"env": "MAILJET_SECRET_KEY"}},
            "body": {
                "Messages": [
                    {
                        "From": {"Email": "${FROM}"},
                        "To": [{"Email": "{{ identifier }}"}],
                        "Subject": "{{ message.subject }}",
                        "HTMLPart": "{{ message.html }}",
                        "TextPart": "{{ message.text }}",
                        "CustomID": "{{ message.id }}",
                        "Headers": {
                            "List-Unsubscribe": "<{{ unsubscribe_url }}>",
                            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                        },
                    }
                ]
            },
            "message_id_path": "To.0.MessageID",
            "timeout_seconds": 20,
            "webhook": {
                "signature": "basic",
                "secrets": [{"env": "MAILJET_WEBHOOK_LOGIN"}],
                "type": "event",
                "types": {
                    "sent": "delivered",
                    "open": "opened",
                    "click": "clicked",
                    "bounce": "bounced",
                    "greylisted": "deferred",
                    "blocked": "failed",
                    "spam": "complained",
                    "unsub": "unsubscribed",
                },
                "time": "time",
                "message_id": "CustomID",
                "url": "url",
                "bounce_type": "hard_bounce",
                "hard_bounces": ["hard"],
                "code": "error",
                "reason": "comment",
            },
        },
        notes=(
            "MAILJET_API_KEY and MAILJET_SECRET_KEY: Account settings, API Key Management. FROM: a validated sender or domain.",
            "Webhooks: Event notifications (triggers), with the address https://LOGIN@host/v1/engagements/NAME for each event, "
            "where LOGIN is the user:password of MAILJET_WEBHOOK_LOGIN; grouped events are taken too. Mailjet signs nothing: "
            "whoever knows the login can post.",
            "A message whose fate is unknown is looked up by its CustomID, so leave {{ message.id }} there.",
        ),
    )

    def refusal(self, integration: Integration, response: Response, clock: Clock) -> SendbridgeError | None:
        """None also for an error that says what became of each message."""
        by_message = response.status < 500 and isinstance(at(answer_of(response), _LIST), list)
        return None if by_message else super().refusal(integration, response, clock)

    def results(self, integration: Integration, messages: Sequence[Outgoing], response: Response) -> list[Outcome]:
        """One part of the answer for each message. Ids are beyond 2^53, so they are text from here on."""
        found = zip(messages, parts(response, _LIST, len(messages)), strict=True)
        return [self._outcome(integration, message, part, response) for message, part in found]

    def _outcome(self, integration: Integration, message: Outgoing, part: JsonValue, response: Response) -> Outcome:
        status = text_at(part, "Status")
        if status == "error":
            return _refused(integration, part)
        if status == "success" and text_at(part, "CustomID") in ("", _custom_id(message)):
            return self.sent(integration, part, response)
        return Unknown(f"the ESP answered HTTP {response.status}, but not for this message")

    def look_up(self, integration: Integration, message: Outgoing, clock: Clock) -> Exchange[Sent | None] | None:
        """Asks for a message by its CustomID (REST API v3, `message`)."""
        return self._look_up(integration, message, clock) if _custom_id(message) == message.id else None

    def _look_up(self, integration: Integration, message: Outgoing, clock: Clock) -> Exchange[Sent | None]:
        url = urljoin(message.url, f"/v3/REST/message?CustomID={quote(message.id, safe='')}")
        response = yield Request("GET", url, {"accept": "application/json"}, timeout=integration.timeout_seconds)
        refusal = super().refusal(integration, response, clock)
        if refusal is not None:
            raise refusal
        found = at(response.json(), "Data")
        if not isinstance(found, list):
            raise Unknown("the ESP's answer has no list of messages at 'Data'")
        return Sent(text_at(found, "0.ID"), response.status, response.seconds) if found else None

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """Whether a bounce is hard is no text at Mailjet; and a greylisted message is still on its way."""
        if not isinstance(event, dict):
            return event
        hard = event.get("hard_bounce") is True
        waits = event.get("error") == "greylisted" and not hard
        return {**event, "event": "greylisted" if waits else event.get("event"), "hard_bounce": "hard" if hard else "soft"}


def _custom_id(message: Outgoing) -> str:
    return text_at(message.body, f"{_LIST}.0.CustomID")


def _refused(integration: Integration, part: JsonValue) -> SendbridgeError:
    """Why one message was refused, by the HTTP status that Mailjet gives it."""
    codes = [text_at(part, f"Errors.0.{name}") for name in ("ErrorCode", "ErrorRelatedTo.0")]
    reason = f"the ESP refused the message{bracketed(codes, integration)}"
    status = at(part, "Errors.0.StatusCode")
    outcome = outcome_of_status(status, reason) if isinstance(status, int) and status >= 300 else None
    return Misconfigured(reason) if isinstance(outcome, Unauthorized) else outcome or Permanent(reason)


CONNECTOR = Mailjet()
