"""Postmark: email by its batch endpoint, which takes up to 500 messages and answers for each of them.

It answers 200 also for messages that it refuses: each part of the answer has an `ErrorCode` of its own. It has no idempotency
key and signs no webhooks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode, urljoin

from pydantic import JsonValue

from connectors.esps.base import Esp, Outcome, Outgoing, Preset, Sent, bracketed, parts
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Exchange, Request, Response
from shared.mapping import at, text_at

_OUR_KEY = "message_id"
_TIMES = ("DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt")

_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "10": (Misconfigured, "the server token is missing or wrong"),
    "100": (Transient, "Postmark is under maintenance"),
    "300": (Permanent, "an address or a field of the message is not valid"),
    "400": (Misconfigured, "there is no sender signature for the From address"),
    "401": (Misconfigured, "the sender signature is not confirmed"),
    "405": (Misconfigured, "the account has no credits left"),
    "406": (Permanent, "the recipient is inactive: a hard bounce, a complaint, or suppressed by hand"),
    "412": (Misconfigured, "the account is pending approval"),
    "413": (Misconfigured, "the account may not send"),
    "429": (Transient, "the rate limit is exceeded"),
    "1235": (Misconfigured, "there is no such message stream"),
}


class Postmark(Esp):
    """The connector `postmark`."""

    most = 500
    contents = ("HtmlBody", "TextBody")
    code_keys = ("ErrorCode",)
    verdicts = _VERDICTS
    preset = Preset(
        title="Postmark",
        channel="email",
        source="Postmark: Email API, Messages API, Webhooks, API error codes (read 2026-11-21)",
        definition={
            "connector": "postmark",
            "channel": "email",
            "url": "https://api.postmarkapp.com/email/batch",
            "secret_headers": {"X-Postmark-Server-Token": {"env": "POSTMARK_SERVER_TOKEN"}},
            "body": {
                "From": "${FROM}",
                "To": "{{ identifier }}",
                "Subject": "{{ message.subject }}",
                "HtmlBody": "{{ message.html }}",
                "TextBody": "{{ message.text }}",
                "Headers": [
                    {"Name": "List-Unsubscribe", "Value": "<{{ unsubscribe_url }}>"},
                    {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
                ],
                "Metadata": {"message_id": "{{ message.id }}"},
                "MessageStream": "outbound",
            },
            "message_id_path": "MessageID",
            "timeout_seconds": 20,
            "webhook": {
                "signature": "basic",
                "secrets": [{"env": "POSTMARK_WEBHOOK_LOGIN"}],
                "id": "ID",
                "type": "type",
                "types": {
                    "Delivery": "delivered",
                    "Open": "opened",
                    "Click": "clicked",
                    "SpamComplaint": "complained",
                    "SubscriptionChange.ManualSuppression": "unsubscribed",
                    "Bounce.HardBounce": "bounced",
                    "Bounce.SoftBounce": "bounced",
                    "Bounce.BadEmailAddress": "bounced",
                    "Bounce.VirusNotification": "bounced",
                    "Bounce.Blocked": "bounced",
                    "Bounce.Transient": "deferred",
                    "Bounce.DnsError": "deferred",
                    "Bounce.SpamNotification": "complained",
                    "Bounce.Unsubscribe": "unsubscribed",
                    "Bounce.ManuallyDeactivated": "failed",
                    "Bounce.Unconfirmed": "failed",
                    "Bounce.DMARCPolicy": "failed",
                    "Bounce.SMTPApiError": "failed",
                    "Bounce.TemplateRenderingFailed": "failed",
                },
                "time": "time",
                "message_id": "Metadata.message_id",
                "url": "OriginalLink",
                "bounce_type": "Type",
                "hard_bounces": ["HardBounce", "BadEmailAddress"],
                "code": "Type",
                "reason": "Details",
            },
        },
        notes=(
            "POSTMARK_SERVER_TOKEN: Servers, your server, API Tokens. FROM: an address whose signature or domain is confirmed.",
            "MessageStream: marketing belongs to a broadcast stream, which adds unsubscribe headers of its own.",
            "Webhooks: in the message stream, with the address https://LOGIN@host/v1/engagements/NAME, where LOGIN is the "
            "user:password of POSTMARK_WEBHOOK_LOGIN. Postmark signs nothing: whoever knows the login can post.",
            "Open and click tracking are switched on in the stream, or by TrackOpens and TrackLinks in the body.",
        ),
    )

    def alike(self, message: Outgoing) -> str:
        """Any go together."""
        return ""

    def join(self, bodies: Sequence[JsonValue]) -> JsonValue:
        """A list, also of one."""
        return [*bodies]

    def results(self, integration: Integration, messages: Sequence[Outgoing], response: Response) -> list[Outcome]:
        """One part of the answer for each message, by `ErrorCode`: 0 is a success."""
        return [self._outcome(integration, part, response) for part in parts(response, "", len(messages))]

    def _outcome(self, integration: Integration, part: JsonValue, response: Response) -> Outcome:
        error = text_at(part, "ErrorCode")
        if error in ("", "0"):
            return self.sent(integration, part, response)
        reason = f"the ESP refused the message{bracketed([error], integration)}"
        known: SendbridgeError | None = self.verdict([error], reason)
        return known or Permanent(reason)

    def look_up(self, integration: Integration, message: Outgoing, clock: Clock) -> Exchange[Sent | None] | None:
        """Searches the stream's messages for the one with our id in its metadata (Messages API)."""
        ours = text_at(message.body, f"Metadata.{_OUR_KEY}") == message.id
        return self._look_up(integration, message, clock) if ours else None

    def _look_up(self, integration: Integration, message: Outgoing, clock: Clock) -> Exchange[Sent | None]:
        stream = text_at(message.body, "MessageStream") or "outbound"
        query = {"count": 1, "offset": 0, "messagestream": stream, f"metadata_{_OUR_KEY}": message.id}
        headers = {name.lower(): value.get_secret_value() for name, value in integration.secret_headers.items()}
        url = urljoin(message.url, f"/messages/outbound?{urlencode(query)}")
        response = yield Request("GET", url, {"accept": "application/json", **headers}, timeout=integration.timeout_seconds)
        refusal = self.refusal(integration, response, clock)
        if refusal is not None:
            raise refusal
        found = at(response.json(), "Messages")
        if not isinstance(found, list) or (found and text_at(found, f"0.Metadata.{_OUR_KEY}") != message.id):
            raise Unknown("the ESP's answer is not about the message that it was asked for")
        return Sent(text_at(found, "0.MessageID"), response.status, response.seconds) if found else None

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """Each kind of event has its time in a field of its own, and what a bounce is worth is in its `Type`."""
        if not isinstance(event, dict):
            return event
        finer = {"Bounce": text_at(event, "Type"), "SubscriptionChange": text_at(event, "SuppressionReason")}
        record = text_at(event, "RecordType")
        kind = f"{record}.{finer[record]}" if finer.get(record) else record
        return {**event, "type": kind, "time": next((event[name] for name in _TIMES if event.get(name)), None)}


CONNECTOR = Postmark()
