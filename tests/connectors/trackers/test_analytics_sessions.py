"""The same visit to a shop, as each format of web analytics tells it, is the same to a trigger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from connectors.base import Post
from connectors.registry import TRACKERS
from match_triggers.cart import cart_of
from shared.jobs import TrackerEvent
from shared.trackers import Tracker
from shared.triggers import Cart
from shared.visits import VisitEvent
from tests.sandbox.clock import Clock
from tests.sandbox.trackers.ga4 import Ga4, event_data
from tests.sandbox.trackers.matomo import Item, Matomo
from tests.sandbox.trackers.snowplow import Described, Snowplow

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ADDED = ["Product List Viewed", "Product Viewed", "Product Added", "Product Added", "Product Removed"]
OF = "com.snowplowanalytics.snowplow"
ACTION, PRODUCT, ORDER = (
    f"iglu:{OF}.ecommerce/{name}/jsonschema/1-0-0" for name in ("snowplow_ecommerce_action", "product", "transaction")
)

LAMP = ("lamp", "Desk lamp", "Lighting", 49.5)
SHADE = ("shade", "Lamp shade", "Lighting", 20.0)
Product = tuple[str, str, str, float]


def snowplow() -> Iterator[bytes]:
    clock = Clock(NOW.timestamp)
    site = Snowplow("https://hooks.example.com", clock)

    def entity(product: Product, quantity: int = 1) -> Described:
        sku, name, category, price = product
        return PRODUCT, {"id": sku, "name": name, "category": category, "price": price, "currency": "EUR", "quantity": quantity}

    def act(action: str, *entities: Described) -> bytes:
        clock.advance(60)
        site.self_describing((ACTION, {"type": action}), entities)
        body = site.body()
        site.waiting = []
        return body

    searched = ("iglu:com.snowplowanalytics.snowplow/site_search/jsonschema/1-0-0", {"terms": ["lamp"]})
    site.self_describing(searched)
    yield site.body()
    site.waiting = []
    yield act("list_view", entity(LAMP), entity(SHADE))
    yield act("product_view", entity(LAMP))
    yield act("add_to_cart", entity(LAMP, 3))
    yield act("add_to_cart", entity(SHADE))
    yield act("remove_from_cart", entity(LAMP))
    order = (ORDER, {"transaction_id": "T1", "revenue": 119.0, "currency": "EUR", "payment_method": "card", "total_quantity": 3})
    yield act("transaction", order, entity(LAMP, 2), entity(SHADE))


def _ga4_item(product: Product, quantity: int = 1) -> dict[str, object]:
    sku, name, category, price = product
    return {"item_id": sku, "item_name": name, "item_category": category, "price": price, "quantity": quantity}


_GA4: tuple[tuple[str, dict[str, object]], ...] = (
    ("search", {"search_term": "lamp"}),
    ("view_item_list", {"item_list_name": "Lighting", "items": [_ga4_item(LAMP), _ga4_item(SHADE)]}),
    ("view_item", {"items": [_ga4_item(LAMP)]}),
    ("add_to_cart", {"items": [_ga4_item(LAMP, 3)]}),
    ("add_to_cart", {"items": [_ga4_item(SHADE)]}),
    ("remove_from_cart", {"items": [_ga4_item(LAMP)]}),
    ("purchase", {"transaction_id": "T1", "value": 119.0, "items": [_ga4_item(LAMP, 2), _ga4_item(SHADE)]}),
)


def ga4() -> Iterator[bytes]:
    stream = Ga4(clock=Clock(NOW.timestamp))
    for minute, (name, params) in enumerate(_GA4):
        stream.event(name, NOW.timestamp() + 60 * minute, **params)
        yield stream.body()


def server_container() -> Iterator[bytes]:
    for hit, (name, params) in enumerate(_GA4):
        yield json.dumps(event_data(name, "123.456", hit, **params)).encode()


def matomo() -> Iterator[bytes]:
    at = NOW.timestamp()
    site = Matomo("https://hooks.example.com", Clock(NOW.timestamp))
    lamps: Item = (*LAMP, 2)
    shade: Item = (*SHADE, 1)
    site.request(at, search="lamp")
    site.request(at + 60, _pkc="Lighting", _pks="", _pkn="")
    site.request(at + 120, _pks="lamp", _pkn="Desk lamp", _pkc="Lighting", _pkp=49.5)
    site.cart([(*LAMP, 3)], at + 180)
    site.cart([(*LAMP, 3), shade], at + 240)
    site.cart([lamps, shade], at + 300)
    site.order("T1", [lamps, shade], at + 360)
    yield site.body()


def told(format: str, posts: Callable[[], Iterator[bytes]]) -> list[TrackerEvent]:
    connector = TRACKERS.load(format)
    tracker = Tracker.model_validate({"name": "shop", "format": format, "proof": "none"})
    read = [one for body in posts() for one in connector.events(tracker, Post({}, body), lambda: NOW)]
    return [one for one in read if isinstance(one, TrackerEvent)]


@pytest.mark.parametrize(
    ("format", "posts", "names"),
    [
        ("snowplow", snowplow, ADDED),
        ("ga4", ga4, ADDED),
        ("ga4", server_container, ADDED),
        ("matomo", matomo, ["Product List Viewed", "Product Viewed", "Cart Viewed", "Cart Viewed", "Cart Viewed"]),
    ],
)
def test_a_visit_and_its_cart(format: str, posts: Callable[[], Iterator[bytes]], names: list[str]) -> None:
    events = told(format, posts)
    assert [event.name for event in events] == ["Products Searched", *names, "Order Completed"]
    assert len({event.id for event in events}) == 7
    assert len({event.anonymous_id for event in events}) == 1
    searched, listed, viewed, *_, bought = (event.properties for event in events)
    assert searched["query"] == "lamp"
    assert listed["category"] == "Lighting"
    assert {name: viewed[name] for name in ("product_id", "name", "price", "category")} == dict(
        zip(("product_id", "name", "category", "price"), LAMP, strict=True)
    )
    assert (bought["order_id"], bought["total"]) == ("T1", 119.0)
    kept = [
        VisitEvent(id=e.id, name=e.name, at=e.at, received_at=NOW, matched_at=NOW, properties=e.properties) for e in events[:-1]
    ]
    cart = cart_of(kept, Cart())
    wanted = [("lamp", "Desk lamp", 49.5, 2), ("shade", "Lamp shade", 20.0, 1)]
    assert [(one["product_id"], one["name"], one["price"], one["quantity"]) for one in cart] == wanted
