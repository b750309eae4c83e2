"""Mailchimp Transactional, formerly Mandrill: email by its API 1.0.

It answers 200 also if it refuses the recipient, and 500 for most mistakes: what counts are its statuses and names. It has no
idempotency key, but can be searched for a message. Each message goes alone: headers, and so the unsubscribe link, are the
same for all recipients of one call.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import urljoin

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.esps.base import Esp, Outcome, Outgoing, Preset, Sent, bracketed, parts
from connectors.esps.forms import form_of
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Exchange, Request, Response
from shared.mapping import at, text_at

_FIELD = "mandrill_events"
_SIGNATURE = "x-mandrill-signature"
_SYNC = ("whitelist", "blacklist")
_FOUND_AT_MOST = 1000
_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "Invalid_Key": (Misconfigured, "the API key is wrong"),
    "PaymentRequired": (Misconfigured, "the account's plan or balance does not cover this"),
    "Unknown_Subaccount": (Misconfigured, "there is no such subaccount"),
    "Unknown_Template": (Misconfigured, "there is no such template"),
    "ValidationError": (Permanent, "a field of the message is not valid"),
    "GeneralError": (Transient, "an error of Mandrill's own"),
    # Why a recipient is rejected, where it is not the recipient's fault.
    "invalid-sender": (Misconfigured, "the sender is not allowed"),
    "unsigned": (Misconfigured, "the sending domain is not verified"),
    "test-mode-limit": (Transient, "the limit of the test mode is reached"),
}


class Mandrill(Esp):
    """The connector `mandrill`."""

    code_keys = ("name",)
    verdicts = _VERDICTS
    contents = ("message.html", "message.text")
    preset = Preset(
        title="Mailchimp Transactional (Mandrill)",
        channel="email",
        source="Mailchimp Transactional: Messages, Webhooks; django-anymail 15 (July 2026); read 2026-11-21",
        definition={
            "connector": "mandrill",
            "channel": "email",
            "url": "https://mandrillapp.com/api/1.0/messages/send.json",
            "secret_values": {"key": {"env": "MANDRILL_API_KEY"}},
            "body": {
                "message": {
                    "from_email": "${FROM}",
                    "to": [{"email": "{{ identifier }}", "type": "to"}],
                    "subject": "{{ message.subject }}",
                    "html": "{{ message.html }}",
                    "text": "{{ message.text }}",
                    "headers": {
                        "List-Unsubscribe": "<{{ unsubscribe_url }}>",
                        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                    },
                    "metadata": {"message_id": "{{ message.id }}"},
                    "preserve_recipients": False,
                },
                "async": False,
            },
            "message_id_path": "_id",
            "timeout_seconds": 20,
            "webhook": {
                "signature": "vendor",
                "secrets": [{"env": "MANDRILL_WEBHOOK_KEY"}],
                "type": "event",
                "types": {
                    "send": "sent",
                    "deferral": "deferred",
                    "hard_bounce": "bounced",
                    "soft_bounce": "bounced",
                    "open": "opened",
                    "click": "clicked",
                    "spam": "complained",
                    "unsub": "unsubscribed",
                    "reject": "failed",
                    "delivered": "delivered",
                },
                "time": "ts",
                "message_id": "msg.metadata.message_id",
                "url": "url",
                "bounce_type": "event",
                "hard_bounces": ["hard_bounce"],
                "code": "msg.bounce_description",
                "reason": "msg.diag",
            },
        },
        notes=(
            "MANDRILL_API_KEY: Settings, SMTP & API Info. FROM: an address of a verified sending domain.",
            "Webhooks: Settings, Webhooks, with the address https://host/v1/engagements/NAME exactly as the deployment has it: "
            "Mandrill signs the address as well. The key shown there is MANDRILL_WEBHOOK_KEY.",
            "A message whose fate is unknown is searched for by its recipient and by message_id in its metadata.",
        ),
    )

    def results(self, integration: Integration, messages: Sequence[Outgoing], response: Response) -> list[Outcome]:
        """By the status of the only recipient."""
        return [self._outcome(integration, part, response) for part in parts(response, "", len(messages))]

    def _outcome(self, integration: Integration, part: JsonValue, response: Response) -> Outcome:
        status = text_at(part, "status")
        if status in ("sent", "queued", "scheduled"):
            return self.sent(integration, part, response)
        if status not in ("rejected", "invalid"):
            return Unknown(f"the ESP answered HTTP {response.status}, but not for the recipient")
        codes = [text_at(part, "reject_reason"), status]
        reason = f"the ESP refused the message{bracketed(codes, integration)}"
        known: SendbridgeError | None = self.verdict(codes, reason)
        return known or Permanent(reason)

    def look_up(self, integration: Integration, message: Outgoing, clock: Clock) -> Exchange[Sent | None] | None:
        """Searches the recipient's messages of the last days for the one with our id in its metadata (`messages/search`)."""
        to, ours = (text_at(message.body, f"message.{path}") for path in ("to.0.email", "metadata.message_id"))
        return self._look_up(integration, message, to, clock) if to and ours == message.id else None

    def _look_up(self, integration: Integration, message: Outgoing, to: str, clock: Clock) -> Exchange[Sent | None]:
        query: dict[str, JsonValue] = {"query": f"full_email:{to}", "limit": _FOUND_AT_MOST}
        content_type, body = self.encode(self.with_secrets(query, integration))
        url, headers = urljoin(message.url, "search.json"), {"content-type": content_type, "accept": "application/json"}
        response = yield Request("POST", url, headers, body, integration.timeout_seconds)
        refusal = self.refusal(integration, response, clock)
        if refusal is not None:
            raise refusal
        found = response.json()
        if not isinstance(found, list):
            raise Unknown("the ESP's answer is no list of messages")
        ids = [text_at(one, "_id") for one in found if at(one, "metadata.message_id") == message.id]
        if not ids and len(found) >= _FOUND_AT_MOST:
            raise Unknown("the ESP has more messages of this recipient than it lists")
        return Sent(ids[0], response.status, response.seconds) if ids else None

    def greeting(self, webhook: Webhook, post: Post) -> Mapping[str, str] | None:
        """By HEAD it only tries whether somebody answers."""
        return {} if post.method == "HEAD" else None

    def verify(self, integration: Integration, webhook: Webhook, post: Post, clock: Clock) -> None:
        """The header `x-mandrill-signature` is the base64 of an HMAC-SHA1 of the address and the form's fields by their names.

        Each field counts as its name and its value. There is no time in it, so an old post is not told from a new one; an
        event that comes twice counts once. Raises BadRequest (401).
        """
        given = post.headers.get(_SIGNATURE, "").encode(errors="surrogatepass")
        try:
            fields = sorted(form_of(post))
        except BadRequest as error:
            raise BadRequest(error.reason, field="body", status=401) from error
        signed = (post.url + "".join(name + value for name, value in fields)).encode(errors="surrogatepass")
        digests = [hmac.digest(secret.get_secret_value().encode(), signed, "sha1") for secret in webhook.secrets]
        matches = [hmac.compare_digest(base64.b64encode(one), given) for one in digests]
        if not any(matches):
            raise BadRequest(f"{_SIGNATURE} does not match the address and the body", field=_SIGNATURE, status=401)

    def listed(self, webhook: Webhook, post: Post) -> list[JsonValue] | None:
        """The form's field is a JSON array. What Mandrill tells of its own lists is about no message."""
        events = parsed(dict(form_of(post)).get(_FIELD, "").encode(errors="replace"))
        if not isinstance(events, list):
            raise BadRequest("expected a list of events", field=_FIELD)
        return [event for event in events if text_at(event, "type") not in _SYNC or text_at(event, "event")]


CONNECTOR = Mandrill()
