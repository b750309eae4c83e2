"""One visit to a shop, as the programs of each format post it: something in the cart, and an order or not."""

import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import JsonValue

from tests.sandbox.clock import iso
from tests.sandbox.tracker import Tracker
from tests.sandbox.trackers.ga4 import Ga4
from tests.sandbox.trackers.matomo import Matomo
from tests.sandbox.trackers.posthog import PostHog
from tests.sandbox.trackers.rudderstack import RudderStack
from tests.sandbox.trackers.segment import Segment
from tests.sandbox.trackers.sending import stringified
from tests.sandbox.trackers.shopify import Shopify
from tests.sandbox.trackers.snowplow import Described, Snowplow

Answers = Sequence[httpx.Response]

_MAPPING: JsonValue = {
    "events": "items",
    "id": "uuid",
    "name": "type",
    "time": "at",
    "time_format": "seconds",
    "anonymous_id": "customer.device",
    "user_id": "customer.id",
    "properties": {"products": {"over": "lines", "fields": {"product_id": "sku", "name": "title", "price": "net"}}},
    "traits": {"email": "customer.email"},
}

DEFINITIONS: Mapping[str, Mapping[str, JsonValue]] = {
    "standard_webhooks": {},
    "segment": {},
    "rudderstack": {"proof": "header", "header": "X-Key"},
    "snowplow": {"proof": "header", "header": "X-Key"},
    "shopify": {},
    "posthog": {"proof": "bearer"},
    "matomo": {},
    "ga4": {"proof": "query", "parameter": "api_secret"},
    "cloudevents": {
        "proof": "bearer",
        "names": {"shop.cart.item-added": "Product Added", "shop.order.placed": "Order Completed"},
    },
    "json": {
        "proof": "hmac",
        "hmac": {"header": "X-Signature", "prefix": "sha256="},
        "mapping": _MAPPING,
        "names": {"basket": "Product Added", "sale": "Order Completed"},
    },
}
"""What each format's tracker says besides its name, its format and its secret."""


@dataclass(frozen=True)
class Visit:
    """What a visitor does."""

    user: str
    email: str
    product: str
    """What it is called that they put into the cart."""
    orders: bool
    url: str
    """Where the tracker posts."""
    secret: str
    client: httpx.Client

    @property
    def browser(self) -> str:
        """What their browser is called, or their cart: as Matomo wants it, which is the strictest."""
        return hashlib.sha256(self.user.encode()).hexdigest()[:16]

    @property
    def line(self) -> dict[str, object]:
        """The product as Segment's events have it."""
        return {"product_id": "lamp", "name": self.product, "price": 49.5, "quantity": 1}


def _standard_webhooks(visit: Visit) -> Answers:
    browser = {"anonymous_id": visit.browser}
    events: list[dict[str, object]] = [
        {"name": "Identified", **browser, "user_id": visit.user, "traits": {"email": visit.email}},
        {"name": "Product Added", **browser, "properties": visit.line},
    ]
    with Tracker(visit.url, visit.secret) as tracker:
        return tracker.post([*events, *([{"name": "Order Completed", **browser}] if visit.orders else [])])


def _segment(visit: Visit) -> Answers:
    segment = Segment(visit.url, visit.secret, client=visit.client)
    browser: Any = {"anonymousId": visit.browser}
    calls = [
        segment.call("identify", userId=visit.user, traits={"email": visit.email}, **browser),
        segment.call("track", event="Product Added", properties=visit.line, **browser),
    ]
    order = [segment.call("track", event="Order Completed", properties={"orderId": "o1"}, **browser)] if visit.orders else []
    return [answer for call in (*calls, *order) for answer in segment.single(call)]


def _rudderstack(visit: Visit) -> Answers:
    rudder = RudderStack(visit.url, {"X-Key": visit.secret}, client=visit.client)
    told = {"Product Added": visit.line, **({"Order Completed": {}} if visit.orders else {})}
    known: Any = {"userId": visit.user, "anonymousId": visit.browser}
    traits = {"email": visit.email}
    calls = [rudder.call("track", traits=traits, event=name, properties=said, **known) for name, said in told.items()]
    return rudder.post(calls, batched=True)


def _snowplow(visit: Visit) -> Answers:
    shop = "iglu:com.snowplowanalytics.snowplow.ecommerce"
    tracker = Snowplow(visit.url)
    tracker.visitor, tracker.user, tracker.headers = visit.browser, visit.user, {"X-Key": visit.secret}
    product = {"id": "lamp", "name": visit.product, "price": 49.5, "quantity": 1, "currency": "EUR", "category": "light"}
    contexts: list[Described] = [
        (f"{shop}/product/jsonschema/1-0-0", product),
        (f"{shop}/user/jsonschema/1-0-0", {"id": visit.user, "email": visit.email}),
    ]
    action = f"{shop}/snowplow_ecommerce_action/jsonschema/1-0-2"
    tracker.self_describing((action, {"type": "add_to_cart"}), contexts)
    if visit.orders:
        order = {"transaction_id": "o1", "revenue": 49.5, "currency": "EUR", "payment_method": "card"}
        tracker.self_describing((action, {"type": "transaction"}), [(f"{shop}/transaction/jsonschema/1-0-0", order)])
    return [tracker.flush()]


def _shopify(visit: Visit) -> Answers:
    shop = Shopify(visit.url, visit.secret, client=visit.client)
    token, lines = visit.browser, [shop.line(7, visit.product, "49.50")]
    person = {"email": visit.email, "customer": {"id": int.from_bytes(visit.user.encode()), "email": visit.email}}
    answers = shop.emit("carts/update", shop.cart(token, lines))
    answers += shop.emit("checkouts/create", shop.checkout(token, lines, **person))
    return answers + (shop.emit("orders/create", shop.order(token, lines, **person)) if visit.orders else [])


def _posthog(visit: Visit) -> Answers:
    posthog = PostHog(visit.url, {"Authorization": f"Bearer {visit.secret}"}, client=visit.client)
    posthog.device = visit.browser
    events = [posthog.identified(visit.user, email=visit.email), posthog.captured("Product Added", visit.line)]
    order = [posthog.captured("Order Completed", {"order_id": "o1"})] if visit.orders else []
    return [answer for event in (*events, *order) for answer in posthog.delivered(event)]


def _matomo(visit: Visit) -> Answers:
    matomo = Matomo(visit.url, token=visit.secret, visitor=visit.browser)
    matomo.user = visit.user
    items = [("lamp", visit.product, "light", 49.5, 1)]
    matomo.cart(items, time.time())
    if visit.orders:
        matomo.order("o1", items, time.time())
    return [matomo.flush()]


def _ga4(visit: Visit) -> Answers:
    ga4 = Ga4(visit.browser)
    ga4.user_data = {"sha256_email_address": [hashlib.sha256(visit.email.encode()).hexdigest()]}
    items = [{"item_id": "lamp", "item_name": visit.product, "price": 49.5, "quantity": 1}]
    ga4.event("add_to_cart", currency="EUR", value=49.5, items=items)
    if visit.orders:
        ga4.event("purchase", transaction_id=f"o-{visit.user}", currency="EUR", value=49.5, items=items)
    key = {"measurement_id": "G-1", "api_secret": visit.secret}
    return [visit.client.post(visit.url, params=key, content=ga4.body())]


def _cloudevents(visit: Visit) -> Answers:
    """In binary mode: a post for each event."""
    data = {"anonymous_id": visit.browser, "user_id": visit.user, "traits": {"email": visit.email}, **visit.line}
    kinds = ["shop.cart.item-added", *(["shop.order.placed"] if visit.orders else [])]
    known = {"ce-specversion": "1.0", "ce-source": "/shop", "authorization": f"Bearer {visit.secret}"}
    each = [{**known, "ce-id": str(uuid.uuid4()), "ce-time": iso(time.time()), "ce-type": kind} for kind in kinds]
    return [visit.client.post(visit.url, json=data, headers=headers) for headers in each]


def _json(visit: Visit) -> Answers:
    customer = {"device": visit.browser, "id": visit.user, "email": visit.email}
    line = {"sku": "lamp", "title": visit.product, "net": 49.5}
    kinds = ["basket", *(["sale"] if visit.orders else [])]
    items = [
        {"uuid": str(uuid.uuid4()), "type": kind, "at": time.time(), "customer": customer, "lines": [line]} for kind in kinds
    ]
    body = stringified({"items": items}).encode()
    signature = "sha256=" + hmac.new(visit.secret.encode(), body, "sha256").hexdigest()
    return [visit.client.post(visit.url, content=body, headers={"x-signature": signature})]


POSTED: Mapping[str, Callable[[Visit], Answers]] = {
    "standard_webhooks": _standard_webhooks,
    "segment": _segment,
    "rudderstack": _rudderstack,
    "snowplow": _snowplow,
    "shopify": _shopify,
    "posthog": _posthog,
    "matomo": _matomo,
    "ga4": _ga4,
    "cloudevents": _cloudevents,
    "json": _json,
}
"""What the visit's programs post, by format."""


def basic(user: str) -> dict[str, str]:
    """The header of a login without a password."""
    return {"authorization": "Basic " + base64.b64encode(f"{user}:".encode()).decode()}
