"""RudderStack's webhook destination.

Sources (read 2026-11): the open source of its server and transformer. The whole event, Segment-like, with `rudderId`,
`request_ip` and `channel`; no signature, but headers that the customer adds; batches are JSON arrays. 5xx, 429 and timeouts are
repeated, other answers end it. A webhook source wraps whatever it is posted into a track call.
"""

import uuid
from collections.abc import Mapping, Sequence

import httpx

from tests.sandbox.clock import iso
from tests.sandbox.trackers.sending import Fields, Sender, stringified


class RudderStack(Sender):
    """One webhook destination with the headers that the customer added."""

    user_agent = "RudderLabs"
    waits = (30, 60, 120, 240, 480)

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, **named: object) -> None:
        super().__init__(url, **named)  # type: ignore[arg-type]
        self.headers = {"x-rudder-instance-id": "instance-1", **(headers or {})}

    def failed(self, answer: httpx.Response) -> bool:
        return answer.status_code >= 500 or answer.status_code == 429

    def call(self, kind: str, *, seconds_ago: float = 0.0, traits: Fields | None = None, **fields: object) -> dict[str, object]:
        """A call of the browser's SDK, which keeps the traits of whoever was identified in the context of every call."""
        now = self.clock() - seconds_ago
        return {
            "type": kind,
            "channel": "web",
            "messageId": str(uuid.uuid4()),
            "rudderId": str(uuid.uuid4()),
            "context": {"traits": dict(traits or {}), "sessionId": 1_769_849_000, "ip": "192.0.2.8", "locale": "en-GB"},
            "integrations": {"All": True},
            "originalTimestamp": iso(now),
            "sentAt": iso(now + 0.1),
            "receivedAt": iso(now + 0.3),
            "timestamp": iso(now + 0.2),
            "request_ip": "192.0.2.8",
            **fields,
        }

    def wrapped(self, body: Fields) -> dict[str, object]:
        """What a webhook source makes of a body."""
        return self.call("track", event="webhook_source_event", anonymousId=str(uuid.uuid4()), properties=dict(body))

    def post(self, calls: Sequence[Fields], batched: bool = False) -> list[httpx.Response]:
        """Each call in a post of its own, or all in one."""
        if batched:
            return self.deliver(self.headers, stringified(list(calls)).encode())
        return [answer for call in calls for answer in self.deliver(self.headers, stringified(call).encode())]
