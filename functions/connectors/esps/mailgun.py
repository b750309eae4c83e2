"""Mailgun: email by its messages endpoint, which takes a form, and up to 1000 recipients of one content.

Messages of equal content go together by recipient variables, each with its own headers and variables; other content goes alone.
Its webhooks are signed in the body, and the signature does not cover the event.
"""

from __future__ import annotations

import hmac
import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.esps.base import Answered, Esp, Outgoing, Preset, answer_of
from connectors.esps.forms import form
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import BadRequest, Misconfigured, SendbridgeError, Transient
from shared.exchange import Exchange, Response
from shared.ids import digest
from shared.mapping import at, text_at
from shared.signatures import check_timestamp

_TOLERANCE = 9 * 3600
"""Seconds. It posts again for 8 hours, and does not say whether it signs again."""
_TOKENS = 10_000
_AFTER = re.compile(r"try again after (\w{3}, \d{2} \w{3} \d{4} [\d:]{8} (?:UTC|GMT))")
_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "from": (Misconfigured, "the From address is not valid"),
    "domain": (Misconfigured, "the domain may not send"),
    "payment": (Misconfigured, "the account has to pay first"),
}
_SENTENCES = (
    (re.compile(r"'?from'? parameter"), "from"),
    (re.compile(r"domain .*is (unverified|not allowed to send: (?!request|recipient|bytes))", re.IGNORECASE), "domain"),
)
_OURS = ("v:", "h:")
"""What the names of fields begin with that each recipient may have a value of its own for."""


class Mailgun(Esp):
    """The connector `mailgun`."""

    most = 1000
    contents = ("html", "text")
    verdicts = _VERDICTS
    preset = Preset(
        title="Mailgun",
        channel="email",
        source="Mailgun: Messages API, batch sending, webhooks and their retries (read 2026-11-21)",
        definition={
            "connector": "mailgun",
            "channel": "email",
            "url": "https://api.mailgun.net/v3/${MAILGUN_DOMAIN}/messages",
            "auth": {"type": "basic", "username": "api", "password": {"env": "MAILGUN_API_KEY"}},
            "body": {
                "from": "${FROM}",
                "to": "{{ identifier }}",
                "subject": "{{ message.subject }}",
                "html": "{{ message.html }}",
                "text": "{{ message.text }}",
                "h:List-Unsubscribe": "<{{ unsubscribe_url }}>",
                "h:List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                "v:message_id": "{{ message.id }}",
            },
            "message_id_path": "id",
            "webhook": {
                "signature": "vendor",
                "secrets": [{"env": "MAILGUN_SIGNING_KEY"}],
                "id": "event-data.id",
                "type": "type",
                "types": {
                    "delivered": "delivered",
                    "failed.temporary": "deferred",
                    "failed.bounce": "bounced",
                    "failed.suppress-bounce": "bounced",
                    "failed.permanent": "bounced",
                    "failed.suppress-complaint": "failed",
                    "failed.suppress-unsubscribe": "failed",
                    "failed.old": "failed",
                    "rejected": "failed",
                    "opened": "opened",
                    "clicked": "clicked",
                    "complained": "complained",
                    "unsubscribed": "unsubscribed",
                },
                "time": "event-data.timestamp",
                "message_id": "event-data.user-variables.message_id",
                "url": "event-data.url",
                "bounce_type": "type",
                "hard_bounces": ["failed.bounce", "failed.suppress-bounce"],
                "code": "event-data.delivery-status.code",
                "reason": "event-data.delivery-status.message",
            },
        },
        notes=(
            "MAILGUN_API_KEY: a sending key of the domain. In the EU the url begins with https://api.eu.mailgun.net.",
            "MAILGUN_SIGNING_KEY: Sending, Webhooks, HTTP webhook signing key; webhooks of a parent account are taken as well.",
            "Mailgun signs a time and a token, not the event. A token that comes with another event is refused by the process "
            "that has seen it before; a signature is good for 9 hours, as Mailgun repeats for 8.",
            "Openings and clicks of machines (client-info.bot) count as other.",
        ),
    )

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, str] = OrderedDict()

    def send(self, integration: Integration, messages: Sequence[Outgoing], clock: Clock) -> Exchange[Answered]:
        """As ever, but for messages to an address that has one in this request already: those wait for the next."""
        firsts = {text_at(message.body, "to"): message for message in reversed(messages)}
        together = [message for message in messages if firsts[text_at(message.body, "to")] is message]
        answered = yield from super().send(integration, together, clock)
        outcomes = {message.id: outcome for message, outcome in zip(together, answered.outcomes, strict=True)}
        again = Transient("another message of the same request goes to the same address", retry_after=1)
        return Answered([outcomes.get(message.id, again) for message in messages], answered.pause)

    def alike(self, message: Outgoing) -> str:
        """The content, without what each recipient may have for itself. Alone, if it goes to more than a plain address."""
        body = message.body
        if not isinstance(body, dict) or "recipient-variables" in body or not _is_plain(body.get("to")):
            return message.id
        return json.dumps({**body, **dict.fromkeys(_own(body), ""), "to": ""}, sort_keys=True)

    def join(self, bodies: Sequence[JsonValue]) -> JsonValue:
        """Several by recipient variables, without which each would see the others' addresses."""
        every = [body for body in bodies if isinstance(body, dict)]
        if len(every) == 1:
            return every[0]
        own = _own(every[0])
        variables: JsonValue = {str(body["to"]): {name: body[name] for name in own} for body in every}
        holes = {name: f"%recipient.{name}%" for name in own}
        return {**every[0], **holes, "to": [body["to"] for body in every], "recipient-variables": variables}

    def encode(self, body: JsonValue) -> tuple[str, bytes]:
        """A form."""
        return form(body)

    def refusal(self, integration: Integration, response: Response, clock: Clock) -> SendbridgeError | None:
        """When to try again is in a sentence. A wrong address is answered with 200 and a sentence, too."""
        if response.status == 200 and response.body.startswith(b"Mailgun Magnificent API"):
            return Misconfigured("the ESP answered HTTP 200, but the url is not that of its messages endpoint")
        after = _AFTER.search(_sentence(response))
        if after is not None:
            response = replace(response, headers={**response.headers, "retry-after": after[1].replace("UTC", "GMT")})
        return super().refusal(integration, response, clock)

    def codes(self, response: Response) -> list[str]:
        """A word for a sentence that we know: Mailgun has no codes."""
        words = [word for pattern, word in _SENTENCES if pattern.search(_sentence(response))]
        return ["payment"] if response.status == 402 else words

    def verify(self, integration: Integration, webhook: Webhook, post: Post, clock: Clock) -> None:
        """`signature.signature` in the body (or `parent-signature.signature`) is the hex of an HMAC-SHA256 of `timestamp` and
        `token` beside it. The event is not signed: so a token is good for one event only."""
        body = parsed(post.body)
        keys = [secret.get_secret_value().encode() for secret in webhook.secrets]
        signed = [one for name in ("signature", "parent-signature") if _is_signed(one := at(body, name), keys)]
        if not signed:
            raise BadRequest("signature.signature does not match its timestamp and token", field="signature", status=401)
        check_timestamp("signature.timestamp", text_at(signed[0], "timestamp"), clock, _TOLERANCE)
        event = digest(json.dumps(at(body, "event-data"), sort_keys=True))
        if self._tokens.setdefault(text_at(signed[0], "token"), event) != event:
            raise BadRequest("signature.token was used for another event", field="signature.token", status=401)
        if len(self._tokens) > _TOKENS:
            self._tokens.popitem(last=False)

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """`type` says which kind of failure it is, and whether a machine opened or clicked."""
        if not isinstance(event, dict):
            return event
        data = event.get("event-data")
        return {**event, "type": text_at(data, "event") + _finer(data)}


def _own(body: Mapping[str, JsonValue]) -> list[str]:
    return [name for name, value in body.items() if name.startswith(_OURS) and isinstance(value, str)]


def _is_plain(to: JsonValue) -> bool:
    return isinstance(to, str) and not set(to) & set('<>," ')


def _sentence(response: Response) -> str:
    return text_at(answer_of(response), "message")


def _is_signed(signed: JsonValue, keys: Sequence[bytes]) -> bool:
    given = text_at(signed, "signature").lower().encode()
    content = (text_at(signed, "timestamp") + text_at(signed, "token")).encode()
    # Each is compared, so that no match shows in the time.
    matches = [hmac.compare_digest(hmac.digest(key, content, "sha256").hex().encode(), given) for key in keys]
    return any(matches) and bool(text_at(signed, "token"))


def _finer(data: JsonValue) -> str:
    kind = text_at(data, "event")
    if kind in ("opened", "clicked"):
        return ".bot" if text_at(data, "client-info.bot") else ""
    if kind != "failed":
        return ""
    if text_at(data, "severity") == "temporary":
        return ".temporary"
    reason = text_at(data, "reason")
    return f".{reason}" if reason in ("bounce", "old") or reason.startswith("suppress-") else ".permanent"


CONNECTOR = Mailgun()
