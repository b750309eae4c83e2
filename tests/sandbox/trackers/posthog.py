"""PostHog's webhook destination, and its libraries that post to the capture API.

Sources (read 2026-11): "Capture and batch API endpoints", and the open source of the webhook destination's template and of
posthog-js. The destination's default body is the event and its person; nothing is signed, but headers can be added. An answer of
300 or more is a failure and is repeated. In a browser `distinct_id` is the device's id until somebody is identified.
"""

import uuid
from collections.abc import Mapping, Sequence

import httpx

from tests.sandbox.clock import iso
from tests.sandbox.trackers.sending import Fields, Sender, stringified


class PostHog(Sender):
    """A destination with the headers that the customer added, and a browser with one device."""

    user_agent = "PostHog-Webhooks"
    waits = (30, 120, 600)

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, **named: object) -> None:
        super().__init__(url, **named)  # type: ignore[arg-type]
        self.headers = {"accept": "application/json", **(headers or {})}
        self.device = str(uuid.uuid4())
        self.person = ""
        self.known: dict[str, object] = {}

    def captured(self, event: str, properties: Fields | None = None, *, seconds_ago: float = 0.0) -> dict[str, object]:
        """An event as posthog-js captures it now."""
        return {
            "uuid": str(uuid.uuid4()),
            "event": event,
            "distinct_id": self.person or self.device,
            "properties": {
                "token": "phc_key",
                "$lib": "web",
                "$device_id": self.device,
                "$is_identified": bool(self.person),
                "$process_person_profile": bool(self.person),
                "$current_url": "https://shop.example/lamps?a=1",
                "$pathname": "/lamps",
                "$referrer": "$direct",
                **(properties or {}),
            },
            "timestamp": iso(self.clock() - seconds_ago),
        }

    def identified(self, person: str, **known: object) -> dict[str, object]:
        """`posthog.identify`: from now on the browser is this person's."""
        before = self.person or self.device
        self.person, self.known = person, {**self.known, **known}
        first = {"$initial_browser": "Firefox"}
        return self.captured("$identify", {"$anon_distinct_id": before, "$set": known, "$set_once": first})

    def aliased(self, person: str, alias: str) -> dict[str, object]:
        """`posthog.alias` from a server."""
        properties = {"distinct_id": person, "alias": alias, "$lib": "posthog-python"}
        return {"event": "$create_alias", "distinct_id": person, "properties": properties, "timestamp": iso(self.clock())}

    def delivered(self, event: Fields) -> list[httpx.Response]:
        """An event by the webhook destination."""
        fields = {**event, "elements_chain": "", "url": f"https://us.posthog.com/project/1/events/{event.get('uuid')}"}
        person = {
            "id": str(uuid.uuid4()),
            "name": self.person,
            "url": "",
            "properties": {**self.known, "$geoip_country_code": "DE"},
        }
        return self.deliver(self.headers, stringified({"event": fields, "person": person}).encode())

    def capture(self, event: Fields, api_key: str) -> list[httpx.Response]:
        """An event by `/capture/`."""
        return self.deliver({}, stringified({"api_key": api_key, **event}).encode())

    def batch(self, events: Sequence[Fields], api_key: str) -> list[httpx.Response]:
        """Events by `/batch/`."""
        body = {"api_key": api_key, "historical_migration": False, "batch": list(events)}
        return self.deliver({}, stringified(body).encode())
