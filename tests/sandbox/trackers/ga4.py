"""What posts to Google Analytics: a server by the Measurement Protocol, and a tag of a server container. Written from Google's
pages (read 2026-11-22).

`POST /mp/collect?measurement_id=G-…&api_secret=…`. What Google would drop in silence is refused here before it is sent: more
than 25 events, more than 25 parameters, names that are longer than 40 or not of letters, digits and `_`, parameters that are
null, lists or objects (but `items`), more than 130 kB, and times older than 72 hours.
"""

import json
import re
from collections.abc import Mapping

from tests.sandbox.clock import Clock

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
LARGEST = 130_000
OLDEST = 72 * 3600

Parameters = Mapping[str, object]


class Ga4:
    """One visitor of one stream."""

    def __init__(self, client: str = "1987654321.1763712000", clock: Clock | None = None) -> None:
        self.client, self.clock = client, clock or Clock()
        self.user: str | None = None
        self.user_data: dict[str, object] = {}
        self.user_properties: dict[str, str] = {}
        self.waiting: list[dict[str, object]] = []

    def event(self, name: str, at: float | None = None, **params: object) -> dict[str, object]:
        """One event, which is kept for `body`."""
        assert NAME.fullmatch(name), name
        assert len(params) <= 25
        for key, value in params.items():
            assert NAME.fullmatch(key), key
            assert key == "items" or (value is not None and not isinstance(value, list | dict)), key
        made: dict[str, object] = {"name": name, "params": params}
        if at is not None:
            assert self.clock() - at < OLDEST
            made["timestamp_micros"] = int(at * 1_000_000)
        self.waiting.append(made)
        return made

    def body(self) -> bytes:
        """The post of what is waiting, which is then gone: nothing is ever repeated, as every answer is 204."""
        assert 0 < len(self.waiting) <= 25
        post: dict[str, object] = {"client_id": self.client, "events": self.waiting}
        post |= {"user_id": self.user} if self.user else {}
        post |= {"user_data": self.user_data} if self.user_data else {}
        post |= {"user_properties": {k: {"value": v} for k, v in self.user_properties.items()}} if self.user_properties else {}
        self.waiting = []
        made = json.dumps(post).encode()
        assert len(made) <= LARGEST
        return made


def event_data(name: str, client: str, hit: int, **more: object) -> dict[str, object]:
    """The event data of a hit of `gtag.js`, as a server container's tag sees them."""
    return {
        "event_name": name,
        "client_id": client,
        "page_location": "https://shop.example.com/lamp",
        "page_title": "Desk lamp",
        "page_hostname": "shop.example.com",
        "ga_session_id": "1763712000",
        "ip_override": "192.0.2.7",
        "user_agent": "Mozilla/5.0",
        "x-ga-protocol_version": "2",
        "x-ga-page_id": 1234567,
        "x-ga-request_count": hit,
        **more,
    }
