"""Tracker events a second of CPU through `receive_event`, against a bare floor: the same body read and written as JSON.

`mapping` is what becomes of a body between the signature and the queue: parsed, checked, normalised, bounded.
Run with `python -m tests.bench.receive_event`.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.bench.cloud import Cloud, answered_by
from tests.bench.rate import Rate, compare
from tests.sandbox.standard_webhooks import headers

SECRET = "whsec_" + base64.b64encode(b"bench" * 6).decode()
TRACKER = {"name": "shop", "format": "standard_webhooks", "secrets": [{"secret": True}]}
EVENTS = 3000
"""In each round, however many a post has."""


@dataclass(frozen=True)
class Posts:
    """Of posts with this many events: events a second through the handler, and through the mapping alone."""

    events: int
    body_bytes: int
    handler: Rate
    mapping: Rate


@dataclass(frozen=True)
class ReceiveEvent:
    """Events a second of CPU, by size of post."""

    posts: tuple[Posts, ...]


def measure() -> ReceiveEvent:
    """Measures posts of one, twenty and a hundred events."""
    with answered_by(Cloud(_answer)):
        return ReceiveEvent(tuple(_measure(size) for size in (1, 20, 100)))


def _answer(operation: str, _: Any) -> object:
    if operation == "Query":
        row = {"pk": {"S": "tracker"}, "sk": {"S": "shop"}, "version": {"N": "1"}, "body": {"S": json.dumps(TRACKER)}}
        return {"Items": [row], "Count": 1}
    return {"SecretString": json.dumps({"/secrets/0": SECRET})} if operation == "GetSecretValue" else {"MessageId": "1"}


def _measure(size: int) -> Posts:
    from receive_event.handler import handle

    body = json.dumps({"events": [_event(number) for number in range(size)]})
    post = _post(body)
    answer: Any = handle(post, None)
    assert answer["statusCode"] == 202, answer
    times = EVENTS // size
    floor = _repeat(times, lambda: json.dumps(json.loads(body)))
    handler = compare(_repeat(times, lambda: handle(post, None)), floor, size * times)
    return Posts(size, len(body), handler, compare(_repeat(times, _mapping(body)), floor, size * times))


def _event(number: int) -> dict[str, object]:
    product = {"product_id": f"sku-{number}", "name": "Desk lamp", "price": 49.5, "quantity": 1, "category": "Lighting"}
    return {
        "id": f"evt-{number:08d}",
        "name": "Product Added",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "anonymous_id": f"browser-{number}",
        "properties": {**product, "url": "https://shop.example.com/products/desk-lamp"},
    }


def _post(body: str) -> dict[str, object]:
    """As API Gateway hands it to the function."""
    signed = headers(SECRET, "msg_bench", int(time.time()), body.encode())
    return {"pathParameters": {"tracker": "shop"}, "headers": signed, "body": body, "isBase64Encoded": False}


def _mapping(body: str) -> Callable[[], object]:
    from connectors.base import Post
    from connectors.trackers.standard_webhooks import CONNECTOR
    from receive_event.bounds import Bounds
    from shared.clock import utc_now
    from shared.jobs import TrackerEvent
    from shared.trackers import Tracker

    tracker, bounds = Tracker.model_validate({**TRACKER, "secrets": [SECRET]}), Bounds(30 * 86_400, 86_400)
    post = Post({}, body.encode())

    def map_all() -> None:
        now = utc_now()
        for event in CONNECTOR.events(tracker, post, utc_now):
            assert isinstance(event, TrackerEvent)
            assert bounds.fault(event, now) is None

    return map_all


def _repeat(times: int, work: Callable[[], object]) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(times):
            work()

    return repeated


def show(it: ReceiveEvent) -> None:
    """Prints a row per size of post."""
    print("receive_event, events a second of CPU (floor: json.loads and json.dumps of the same body)")
    print("  events a post   body        handler   of floor   mapping alone   of floor      floor")
    for one in it.posts:
        rates = f"{one.handler.ours:>12,.0f} {one.handler.share:>10.0%} {one.mapping.ours:>15,.0f} {one.mapping.share:>10.0%}"
        print(f"  {one.events:>13} {one.body_bytes:>6} B {rates} {one.handler.floor:>10,.0f}")


def main() -> None:
    """Prints the figures."""
    show(measure())


if __name__ == "__main__":
    main()
