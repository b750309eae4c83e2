"""Segment's webhook destinations, and a library that posts to its HTTP tracking API.

Sources (read 2026-11): the specification of its calls, the pages of the classic and the Actions webhook, and the latter's open
source. `X-Signature` is the hexadecimal HMAC-SHA1 of `JSON.stringify` of one call: of a batch, of its first. `timestamp` is
`receivedAt - (sentAt - originalTimestamp)`. Timeouts and 5xx are repeated for up to four hours; nothing else is.
"""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Mapping, Sequence

import httpx

from tests.sandbox.clock import iso
from tests.sandbox.trackers.sending import Fields, Sender, stringified

BATCH_MOST = 4_000


class Segment(Sender):
    """One webhook destination. Without a secret nothing is signed; `headers` are what the customer added."""

    user_agent = "Segment.io/1.0"
    waits = (60, 600, 3_600, 9_000)

    def __init__(self, url: str, secret: str = "", headers: Mapping[str, str] | None = None, **named: object) -> None:
        super().__init__(url, **named)  # type: ignore[arg-type]
        self.secret, self.headers = secret, dict(headers or {})

    def failed(self, answer: httpx.Response) -> bool:
        return answer.status_code >= 500

    def call(self, kind: str, *, seconds_ago: float = 0.0, skew: float = 0.0, **fields: object) -> dict[str, object]:
        """A call as Segment passes it on; the device's clock is wrong by `skew` seconds."""
        now = self.clock() - seconds_ago
        return {
            "version": 2,
            "type": kind,
            "messageId": f"ajs-{uuid.uuid4().hex}",
            "context": {"library": {"name": "analytics.js", "version": "2.1.0"}, "ip": "192.0.2.8", "locale": "en-GB"},
            "integrations": {"All": True},
            "originalTimestamp": iso(now + skew),
            "sentAt": iso(now + skew + 0.1),
            "receivedAt": iso(now + 0.1),
            "timestamp": iso(now),
            **fields,
        }

    def single(self, call: Fields) -> list[httpx.Response]:
        """One call in a post of its own: the classic destination, and the Actions one without batching."""
        body = stringified(call).encode()
        return self.deliver(self.signed(body), body)

    def batch(self, calls: Sequence[Fields], forged: Sequence[Fields] = ()) -> list[httpx.Response]:
        """The Actions destination with batching. `forged` is what a stranger puts behind them under the same signature."""
        assert 0 < len(calls) <= BATCH_MOST
        texts = [stringified(call) for call in (*calls, *forged)]
        return self.deliver(self.signed(texts[0].encode()), f"[{','.join(texts)}]".encode())

    def altered(self, call: Fields) -> list[httpx.Response]:
        """A call that was changed after it was signed."""
        return self.deliver(self.signed(stringified(call).encode()), stringified({**call, "userId": "mallory"}).encode())

    def tracking(self, calls: Sequence[Fields], write_key: str) -> list[httpx.Response]:
        """As a library posts to `/v1/batch`: with the write key as the user of Basic, and times as the device has them."""
        raw = [{key: value for key, value in call.items() if key not in ("receivedAt", "originalTimestamp")} for call in calls]
        user = base64.b64encode(f"{write_key}:".encode()).decode()
        body = stringified({"batch": raw, "sentAt": iso(self.clock())})
        return self.deliver({"authorization": f"Basic {user}"}, body.encode())

    def delete(self, user: str) -> list[httpx.Response]:
        """A request to delete a person."""
        return self.single({"type": "delete", "userId": user, "timestamp": iso(self.clock())})

    def signed(self, text: bytes) -> dict[str, str]:
        """The headers of a post whose first, or only, call has this text."""
        if not self.secret:
            return self.headers
        return {**self.headers, "x-signature": hmac.new(self.secret.encode(), text, hashlib.sha1).hexdigest()}
