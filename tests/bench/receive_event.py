"""Tracker events a second of CPU through `receive_event`, against a bare floor: the same body read and written as JSON.

`our own body` is a tracker of standard_webhooks; `user mapping` one of json, whose mapping a user wrote for a nested payload: a
list of products, values in one of two places, names that are changed. `mapping alone` is what becomes of a body between the
signature and the queue: parsed, checked, normalised, bounded. Run with `python -m tests.bench.receive_event`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.cloud import Cloud, answered_by
from tests.bench.rate import Rate, compare
from tests.sandbox.standard_webhooks import headers

SECRET = "whsec_" + base64.b64encode(b"bench" * 6).decode()
TRACKER = {"name": "shop", "format": "standard_webhooks", "secrets": [{"secret": True}]}
MAPPED = {
    "name": "till",
    "format": "json",
    "proof": "hmac",
    "secrets": [{"secret": True}],
    "names": {"cart:add": "Product Added", "sale": "Order Completed"},
    "mapping": {
        "events": "data.events",
        "id": "meta.id",
        "name": "type",
        "time": ["occurred_at", "meta.sent_at"],
        "anonymous_id": "visitor.device",
        "user_id": ["visitor.customer.number", "visitor.customer.id"],
        "identifiers": {"loyalty_id": "visitor.customer.card"},
        "properties": {
            "order_id": "order.number",
            "total": "order.total",
            "currency": "body.data.currency",
            "channel": {"value": "till"},
            "url": "page.url",
            "products": {
                "over": "order.lines",
                "fields": {"product_id": "article.sku", "name": "article.title", "price": "price", "quantity": "count"},
            },
        },
        "traits": {"email": "visitor.customer.email"},
    },
}
EVENTS = 3000
"""In each round, however many a post has."""


@dataclass(frozen=True)
class Posts:
    """Of posts with this many events: events a second through the handler, and through the mapping alone."""

    tracker: str
    events: int
    body_bytes: int
    handler: Rate
    mapping: Rate


@dataclass(frozen=True)
class ReceiveEvent:
    """Events a second of CPU, by tracker and size of post."""

    posts: tuple[Posts, ...]


@dataclass(frozen=True)
class _Kind:
    """One tracker, what is posted to it, and how it is signed."""

    label: str
    tracker: dict[str, Any]
    body: Callable[[int], str]
    signed: Callable[[bytes], dict[str, str]]


def measure() -> ReceiveEvent:
    """Measures posts of one, twenty and a hundred events."""
    kinds = (_Kind("our own body", TRACKER, _ours, _standard), _Kind("user mapping", MAPPED, _nested, _with_hmac))
    with answered_by(Cloud(_answer)):
        return ReceiveEvent(tuple(_measure(kind, size) for kind in kinds for size in (1, 20, 100)))


def _answer(operation: str, _: Any) -> object:
    if operation == "Query":
        return {"Items": [_row(TRACKER), _row(MAPPED)], "Count": 2}
    return {"SecretString": json.dumps({"/secrets/0": SECRET})} if operation == "GetSecretValue" else {"MessageId": "1"}


def _row(tracker: dict[str, Any]) -> dict[str, object]:
    return {
        "pk": {"S": "tracker"},
        "sk": {"S": tracker["name"]},
        "version": {"N": "1"},
        "body": {"S": json.dumps(tracker)},
    }


def _measure(kind: _Kind, size: int) -> Posts:
    from receive_event.handler import handle

    body = kind.body(size)
    post = _post(kind, body)
    answer: Any = handle(post, None)
    assert answer["statusCode"] == 202, answer
    times = EVENTS // size
    floor = _repeat(times, lambda: json.dumps(json.loads(body)))
    handler = compare(_repeat(times, lambda: handle(post, None)), floor, size * times)
    return Posts(kind.label, size, len(body), handler, compare(_repeat(times, _mapping(kind, body)), floor, size * times))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _ours(size: int) -> str:
    return json.dumps({"events": [_event(number) for number in range(size)]})


def _event(number: int) -> dict[str, object]:
    product = {"product_id": f"sku-{number}", "name": "Desk lamp", "price": 49.5, "quantity": 1, "category": "Lighting"}
    return {
        "id": f"evt-{number:08d}",
        "name": "Product Added",
        "time": _now(),
        "anonymous_id": f"browser-{number}",
        "properties": {**product, "url": "https://shop.example.com/products/desk-lamp"},
    }


def _nested(size: int) -> str:
    return json.dumps({"source": "tills", "data": {"currency": "EUR", "events": [_sale(number) for number in range(size)]}})


def _sale(number: int) -> dict[str, object]:
    lines = [
        {"article": {"sku": f"sku-{line}", "title": "Desk lamp", "vendor": "Acme"}, "price": 49.5, "count": line, "tax": 0.19}
        for line in range(1, 4)
    ]
    return {
        "meta": {"id": f"evt-{number:08d}", "sent_at": _now(), "schema": "sale/2"},
        "type": "cart:add",
        "visitor": {"device": f"d-{number}", "customer": {"id": f"c-{number}", "card": "L-7", "email": "ada@example.com"}},
        "page": {"url": "https://shop.example.com/products/desk-lamp", "title": "Desk lamp"},
        "order": {"number": f"o-{number}", "total": 148.5, "lines": lines},
    }


def _standard(body: bytes) -> dict[str, str]:
    return headers(SECRET, "msg_bench", int(time.time()), body)


def _with_hmac(body: bytes) -> dict[str, str]:
    return {"x-signature": hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}


def _post(kind: _Kind, body: str) -> dict[str, object]:
    """As API Gateway hands it to the function."""
    parameters = {"tracker": kind.tracker["name"]}
    return {"pathParameters": parameters, "headers": kind.signed(body.encode()), "body": body, "isBase64Encoded": False}


def _mapping(kind: _Kind, body: str) -> Callable[[], object]:
    from connectors.base import Post
    from connectors.registry import TRACKERS
    from shared.bounds import Bounds
    from shared.clock import utc_now
    from shared.jobs import TrackerEvent
    from shared.trackers import Tracker

    tracker, bounds = Tracker.model_validate({**kind.tracker, "secrets": [SECRET]}), Bounds(30 * 86_400, 86_400)
    connector, post = TRACKERS.load(tracker.format), Post({}, body.encode())

    def map_all() -> None:
        now = utc_now()
        for event in connector.events(tracker, post, utc_now):
            assert isinstance(event, TrackerEvent)
            assert bounds.fault(event, now) is None

    return map_all


def _repeat(times: int, work: Callable[[], object]) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(times):
            work()

    return repeated


def show(it: ReceiveEvent) -> None:
    """Prints a row per tracker and size of post."""
    print("receive_event, events a second of CPU (floor: json.loads and json.dumps of the same body)")
    print("  tracker        events a post    body        handler   of floor   mapping alone   of floor      floor")
    for one in it.posts:
        print(f"  {one.tracker:<14} {one.events:>13} {_figures(one)}")


def _figures(one: Posts) -> str:
    cells: Sequence[str] = (
        f"{one.body_bytes:>6} B",
        f"{one.handler.ours:>12,.0f} {one.handler.share:>10.0%}",
        f"{one.mapping.ours:>15,.0f} {one.mapping.share:>10.0%}",
        f"{one.handler.floor:>10,.0f}",
    )
    return " ".join(cells)


def main() -> None:
    """Prints the figures."""
    show(measure())


if __name__ == "__main__":
    main()
