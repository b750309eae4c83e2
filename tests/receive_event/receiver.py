"""One tracker's receiver in memory: the function but for AWS, and requests to it as API Gateway hands them over."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cli.explaining import Kept, desk_of
from receive_event.fetching import Fetcher
from receive_event.handler import answered
from receive_event.posting import Desk
from shared.exchange import Request, Response
from shared.jobs import TrackerEvent
from shared.trackers import Tracker
from tests.contract.sample import NOW


@dataclass
class Receiver:
    """What a tracker's posts are answered, and what came of them."""

    tracker: Tracker
    now: datetime = NOW
    kept: Kept = field(default_factory=Kept)
    fetch: Callable[[Request], Response] | None = None
    """Answers what is fetched."""

    def __post_init__(self) -> None:
        fetcher = Fetcher(lambda: self._fetched, lambda: self.now)
        self.desk: Desk = desk_of(self.tracker, self.kept, lambda: self.now, fetcher)

    def _fetched(self, request: Request) -> Response:
        assert self.fetch is not None, "nothing is to be fetched"
        return self.fetch(request)

    def ask(
        self, body: bytes = b"", headers: Mapping[str, str] | None = None, *, method: str = "POST", query: str = ""
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and body of the answer; the body's JSON, if it is that."""
        event: dict[str, object] = {
            "rawPath": f"/v1/events/{self.tracker.name}",
            "rawQueryString": query,
            "headers": dict(headers or {}),
            "pathParameters": {"tracker": self.tracker.name},
            "requestContext": {"domainName": "hooks.example.com", "http": {"method": method}},
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
        answer: Any = answered(event, self.desk)
        said = answer["body"]
        return answer["statusCode"], answer["headers"], json.loads(said) if said.startswith("{") else said

    def taken(self) -> list[TrackerEvent]:
        """Takes what is queued."""
        events, self.kept.texts = list(self.kept.events), []
        return events
