"""Vonage: SMS by its SMS API, which answers 200 whatever becomes of a message, with one part for each segment of it.

It has no idempotency key. Our id is the `client-ref`, which comes back with each delivery receipt. Numbers have no `+`.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.esps.base import Esp, Outcome, Preset, answer_of, bracketed
from connectors.esps.forms import FORM, form_of, query_of
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import BadRequest, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Response
from shared.mapping import at, text_at
from shared.signatures import check_timestamp
from shared.sms import is_gsm7

_TAKEN, _TOO_MANY = "0", "1"
# What depends on the recipient does not open the circuit: one number in another country must not stop the others.
_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    _TOO_MANY: (Transient, "too many messages in a second"),
    "2": (Permanent, "a parameter is missing"),
    "3": (Permanent, "a parameter is not valid"),
    "4": (Misconfigured, "the API key or secret is wrong, or disabled"),
    "5": (Transient, "an error of Vonage's own"),
    "6": (Permanent, "Vonage could not process the message"),
    "7": (Permanent, "the number is barred"),
    "8": (Misconfigured, "the account is suspended"),
    "9": (Misconfigured, "the account has no credit left"),
    "10": (Transient, "too many connections at once"),
    "11": (Misconfigured, "the account may not use this API"),
    "12": (Permanent, "the message is too long"),
    "14": (Misconfigured, "the signature is not valid"),
    "15": (Permanent, "the sender is not allowed in the recipient's country"),
    "22": (Permanent, "the network code is not valid"),
    "23": (Misconfigured, "the callback URL is not valid"),
    "29": (Permanent, "a demo account sends to numbers on its list only"),
    "32": (Misconfigured, "signature and secret were both given"),
    "33": (Permanent, "the number is not in service any more"),
}
_ALGORITHMS = {64: "sha256", 128: "sha512"}
"""By the length of a signature."""
_TOLERANCE = 86_400 + 300
"""Seconds that a receipt may be old. Vonage repeats one for 24 hours, and to be told twice does no harm."""
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z| ?\+00:?00)?")


class Vonage(Esp):
    """The connector `vonage`."""

    code_keys = ("error-code", "type")
    verdicts = _VERDICTS
    preset = Preset(
        title="Vonage SMS API",
        channel="sms",
        source="Vonage: SMS API definition, Delivery receipts, Signing messages (read 2026-11-21)",
        definition={
            "connector": "vonage",
            "channel": "sms",
            "url": "https://rest.nexmo.com/sms/json",
            "secret_values": {"api_key": {"env": "VONAGE_API_KEY"}, "api_secret": {"env": "VONAGE_API_SECRET"}},
            "identifier": "phone",
            "body": {
                "from": "${VONAGE_FROM}",
                "to": "{{ identifier | remove: '+' }}",
                "text": "{{ message.text }}",
                "client-ref": "{{ message.id }}",
                "callback": "${VONAGE_CALLBACK_URL}",
            },
            "message_id_path": "messages.0.message-id",
            "limit": {"messages": 30, "seconds": 1},
            "webhook": {
                "signature": "vendor",
                "secrets": [{"env": "VONAGE_SIGNATURE_SECRET"}],
                "id": "event_id",
                "type": "status",
                "types": {
                    "accepted": "sent",
                    "buffered": "deferred",
                    "delivered": "delivered",
                    "failed": "bounced",
                    "rejected": "bounced",
                    "expired": "failed",
                },
                "time": "message-timestamp",
                "message_id": "client-ref",
                "bounce_type": "err-code",
                "hard_bounces": ["3", "9"],
                "code": "err-code",
            },
        },
        notes=(
            "VONAGE_API_KEY, VONAGE_API_SECRET: in the dashboard's API settings. VONAGE_FROM: a number of the account without +, "
            "or up to 11 letters and digits where the country allows it.",
            "VONAGE_CALLBACK_URL: https://host/v1/engagements/NAME. Receipts may come by GET or POST, as a form or as JSON.",
            "Receipts are signed only if Vonage's support has switched it on for the account; choose SHA-256 or SHA-512 HMAC "
            "in the API settings, where VONAGE_SIGNATURE_SECRET is too. Without it no receipt is taken.",
            "30 messages a second is what new accounts have: `limit` is to be what yours has.",
        ),
    )

    def join(self, bodies: Sequence[JsonValue]) -> JsonValue:
        """The message, as Unicode if its text needs it: as `text`, other letters than those of GSM-7 would be lost."""
        [body] = bodies
        is_plain = not isinstance(body, dict) or "type" in body or is_gsm7(text_at(body, "text", limit=100_000))
        return body if is_plain or not isinstance(body, dict) else {**body, "type": "unicode"}

    def sent(self, integration: Integration, part: JsonValue, response: Response) -> Outcome:
        """Taken if each segment was. If only some were, it cannot be read, and must not be sent again."""
        states = _states(part)
        refused = [state for state in states if state != _TAKEN]
        if not states or "" in states:
            return Unknown(f"the ESP answered HTTP {response.status} without a status for the message")
        if not refused:
            return super().sent(integration, part, response)
        reason = f"the ESP refused the message{bracketed(refused, integration)}"
        if len(refused) < len(states):
            return Permanent(f"{reason}, but for {len(states) - len(refused)} of its {len(states)} segments")
        return self.verdict(refused, reason) or Permanent(reason)

    def pause(self, response: Response, clock: Clock) -> float | None:
        """A second, if there were too many messages in one."""
        return 1 if _TOO_MANY in _states(answer_of(response)) else super().pause(response, clock)

    def verify(self, integration: Integration, webhook: Webhook, post: Post, clock: Clock) -> None:
        """`sig` is the HMAC, in hex, of the other fields under the signature secret: sorted by name, each as `&name=value`, with
        `_` for each `&` and `=` in a value. Its time is the field `timestamp`."""
        fields = _fields(post)
        given = fields.pop("sig", "").lower()
        algorithm = _ALGORITHMS.get(len(given))
        if algorithm is None:
            raise BadRequest("expected a signature by SHA-256 HMAC or SHA-512 HMAC", field="sig", status=401)
        check_timestamp("timestamp", fields.get("timestamp", ""), clock, _TOLERANCE)
        signed = "".join(f"&{name}={re.sub('[&=]', '_', value)}" for name, value in sorted(fields.items()))
        keys = [secret.get_secret_value().encode() for secret in webhook.secrets]
        expected = [hmac.digest(key, signed.encode(errors="surrogatepass"), algorithm).hex().encode() for key in keys]
        matches = [hmac.compare_digest(ours, given.encode(errors="surrogatepass")) for ours in expected]
        if not any(matches):
            raise BadRequest("sig does not match the other fields", field="sig", status=401)

    def listed(self, webhook: Webhook, post: Post) -> list[JsonValue]:
        """One receipt. It has no id, but a segment of a message comes to each status once. Its time is UTC without saying so."""
        fields = _fields(post)
        time = _TIME.fullmatch(fields.get("message-timestamp", ""))
        stamp = {"message-timestamp": f"{time[1]}T{time[2]}Z"} if time else {}
        return [{**fields, **stamp, "event_id": f"{fields.get('messageId', '')}.{fields.get('status', '')}"}]


def _states(answer: JsonValue) -> list[str]:
    """The status of each segment."""
    found = at(answer, "messages")
    return [text_at(one, "status") for one in found] if isinstance(found, list) else []


def _fields(post: Post) -> dict[str, str]:
    """The fields of a receipt, whichever way it came. Raises BadRequest (401) if it came in none that can be signed."""
    if not post.body:
        return dict(query_of(post))
    if post.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM:
        return dict(form_of(post))
    try:
        body = parsed(post.body)
    except BadRequest as error:
        raise BadRequest("expected a signed receipt as a form or as JSON", field="body", status=401) from error
    return {name: text_at(body, name) for name in body if "." not in name} if isinstance(body, dict) else {}


CONNECTOR = Vonage()
