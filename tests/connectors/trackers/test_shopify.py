from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from connectors.base import Post
from shared.clock import from_iso
from shared.errors import BadRequest
from shared.jobs import TrackerEvent
from tests.connectors.trackers.posting import NOW, Site, failing, site
from tests.sandbox.trackers.shopify import COMPLIANCE, Shopify

SECRET = "shhh-secret"
VECTOR = b'{"id":1,"email":"a@b.co"}'
SIGNATURE = "UhKybPGDy+WFJc3O4eInLW8iNesz9CJFM90iI71iYjE="


@pytest.fixture
def site_() -> Site:
    return site(format="shopify", secrets=[SECRET, "the-stores-own"])


@pytest.fixture
def shop(site_: Site) -> Shopify:
    return Shopify("https://hooks.example", SECRET, clock=site_.clock, client=site_.client)


def test_a_known_signature(site_: Site) -> None:
    topic = {"x-shopify-topic": "customers/update"}
    for name in ("x-shopify-hmac-sha256", "shopify-hmac-sha256"):
        [event] = site_.take(Post({name: SIGNATURE, **topic}, VECTOR))
        assert event is not None
    for headers, body in (
        ({"x-shopify-hmac-sha256": SIGNATURE}, VECTOR + b" "),
        ({"x-shopify-hmac-sha256": SIGNATURE.lower()}, VECTOR),
        ({"x-shopify-hmac-sha256": ""}, VECTOR),
        ({"x-signature": SIGNATURE}, VECTOR),
        ({"shopify-hmac-sha256": "", "x-shopify-hmac-sha256": SIGNATURE}, VECTOR),
        ({"shopify-hmac-sha256": SIGNATURE[::-1], "x-shopify-hmac-sha256": SIGNATURE}, VECTOR),
        ({}, VECTOR),
    ):
        with pytest.raises(BadRequest) as refusal:
            site_.take(Post({**headers, **topic}, body))
        assert refusal.value.status == 401


@pytest.mark.parametrize("newer", [False, True], ids=["x-shopify-", "shopify-"])
def test_a_cart_a_checkout_and_an_order_are_of_one_visitor(site_: Site, shop: Shopify, newer: bool) -> None:
    lines = [shop.line(1, "Desk lamp", "49.50", 2), shop.line(2, "Bulb", "9.00")]
    shop.emit("carts/update", shop.cart("c1", lines), event_id="e-1", newer=newer)
    shop.emit("checkouts/create", shop.checkout("c1", lines), newer=newer)
    shop.emit("orders/create", shop.order("c1", lines), newer=newer)
    cart, checkout, order = site_.events
    assert [one.name for one in site_.events] == ["Cart Viewed", "Checkout Started", "Order Completed"]
    assert {one.anonymous_id for one in site_.events} == {"c1"}
    assert [one.user_id for one in site_.events] == [None, None, "706405506930370084"]
    assert (cart.id, cart.at) == ("carts/update:e-1", NOW)
    assert cart.properties["products"] == [
        {
            "product_id": "1",
            "variant_id": "10",
            "sku": "SKU-1",
            "name": "Desk lamp",
            "variant": "black",
            "brand": "Acme",
            "price": 49.5,
            "quantity": 2,
        },
        {
            "product_id": "2",
            "variant_id": "20",
            "sku": "SKU-2",
            "name": "Bulb",
            "variant": "black",
            "brand": "Acme",
            "price": 9.0,
            "quantity": 1,
        },
    ]
    assert (checkout.properties["total"], checkout.traits) == (108.0, {"email": "ada@example.com"})
    assert checkout.properties["url"] == "https://lamps.example/checkouts/ac/1/recover?key=k"
    assert (order.properties["order_id"], order.properties["currency"]) == ("820982911946154508", "EUR")
    assert order.properties["shop"] == "lamps.myshopify.com"


def test_what_is_personal_is_in_the_traits_only(site_: Site, shop: Shopify) -> None:
    shop.emit("orders/create", shop.order("c1", [shop.line(1, "Lamp", "5.00")], phone="+49301234", note="ring twice"))
    kept = site_.event.properties
    assert not kept.keys() & {
        "email",
        "contact_email",
        "phone",
        "browser_ip",
        "customer",
        "shipping_address",
        "note",
        "line_items",
    }
    assert (kept["name"], kept["discount_codes"]) == ("#1001", [{"code": "WELCOME", "amount": "5.00", "type": "fixed_amount"}])
    assert (site_.event.traits["email"], site_.event.traits["phone"]) == ("ada@example.com", "+49301234")


@pytest.mark.parametrize("topic", ["customers/create", "customers/update"])
def test_a_customer_is_identified_with_what_they_consented_to(site_: Site, shop: Shopify, topic: str) -> None:
    shop.emit(topic, shop.customer(7, sms_marketing_consent={"state": "unsubscribed", "consent_updated_at": None}))
    assert (site_.event.name, site_.event.user_id, site_.event.properties) == ("Identified", "7", {})
    assert site_.event.traits == {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": "ada@example.com",
        "tags": "vip, newsletter",
        "orders_count": 2,
        "total_spent": 199.65,
        "verified_email": True,
        "state": "enabled",
        "country": "GB",
        "email_consent": "subscribed",
        "email_consent_at": "2026-01-31T10:00:00-05:00",
        "sms_consent": "unsubscribed",
    }


def test_one_order_is_completed_once_whatever_the_shop_is_subscribed_to(site_: Site, shop: Shopify) -> None:
    order = shop.order("c1", [])
    for topic in ("orders/create", "orders/paid", "orders/cancelled", "orders/updated"):
        shop.emit(topic, order, event_id="the-same")
    assert [one.name for one in site_.events] == ["Order Completed", "Order Paid", "Order Cancelled", "orders/updated"]
    assert len({one.id for one in site_.events}) == 4


def test_a_shop_may_count_only_what_is_paid(shop: Shopify) -> None:
    paid = site(format="shopify", secrets=[SECRET], names={"orders/create": "Order Placed", "orders/paid": "Order Completed"})
    other = Shopify("https://hooks.example", SECRET, clock=paid.clock, client=paid.client)
    other.emit("orders/create", shop.order("c1", []))
    other.emit("orders/paid", shop.order("c1", []))
    assert [one.name for one in paid.events] == ["Order Placed", "Order Completed"]


def test_a_checkout_that_became_an_order_is_not_started_again(site_: Site, shop: Shopify) -> None:
    shop.emit("checkouts/update", shop.checkout("c1", [], completed_at="2026-11-21T11:59:00Z"))
    assert site_.event.name == "Checkout Completed"


def test_an_emptied_cart_is_told_as_empty(site_: Site, shop: Shopify) -> None:
    shop.emit("carts/update", shop.cart("c1", []))
    assert (site_.event.name, site_.event.properties["products"]) == ("Cart Viewed", [])


def test_without_a_cart_the_checkout_is_the_visitor(site_: Site, shop: Shopify) -> None:
    shop.emit("checkouts/create", shop.checkout(None, []))
    shop.emit("orders/create", shop.order(None, [], customer=None))
    assert [one.anonymous_id for one in site_.events] == ["checkout-token-1"] * 2
    assert site_.events[1].traits == {"email": "ada@example.com"}


def test_what_is_of_nobody_is_no_event(site_: Site, shop: Shopify) -> None:
    shop.emit("products/update", {"id": 1, "title": "Lamp"})
    assert site_.read == [None]


@pytest.mark.parametrize("topic", COMPLIANCE)
def test_compliance_is_for_people(site_: Site, shop: Shopify, topic: str) -> None:
    [answer] = shop.comply(topic)
    assert answer.status_code == 202
    [(field, reason)] = site_.rejected
    assert field == "x-shopify-topic"
    assert "within 30 days" in reason
    stranger = Shopify("https://hooks.example", "not-the-secret", clock=site_.clock, client=site_.client)
    assert {one.status_code for one in stranger.comply(topic)} == {401}


def test_a_test_of_the_admin_pages_is_no_event(site_: Site, shop: Shopify) -> None:
    shop.emit("orders/create", shop.order("c1", []), test=True)
    assert site_.read == [None]
    shop.emit("orders/create", shop.order("c1", [], test=True))
    assert site_.event.properties["test"] is True


def test_both_secrets_are_good(site_: Site, shop: Shopify) -> None:
    admin = Shopify("https://hooks.example", "the-stores-own", clock=site_.clock, client=site_.client)
    assert admin.emit("carts/create", shop.cart("c1", []))[0].status_code == 202


def test_repeats_keep_the_id_and_the_time(site_: Site, shop: Shopify) -> None:
    with failing(site_, 3, 302):
        answers = shop.emit("carts/update", shop.cart("c1", []), event_id="e-1")
    assert [one.status_code for one in answers] == [302, 302, 302, 202]
    assert shop.subscribed
    assert (site_.event.id, site_.event.at) == ("carts/update:e-1", NOW)


def test_an_id_and_a_time_are_found_without_their_headers(site_: Site, shop: Shopify) -> None:
    cart = shop.cart("c1", [])
    none = {"x-shopify-event-id": None, "x-shopify-triggered-at": None}
    shop.emit("carts/update", cart, changes={"x-shopify-event-id": None, "x-shopify-webhook-id": "w-1"})
    shop.emit("carts/update", {**cart, "updated_at": "2026-11-21T06:00:00-05:00"}, changes={**none, "x-shopify-webhook-id": None})
    shop.emit("carts/create", {"token": "c1"}, changes={**none, "x-shopify-webhook-id": None})
    by_delivery, by_content, bare = site_.events
    assert by_delivery.id == "carts/update:w-1"
    assert (by_content.at, len(by_content.id)) == (NOW - timedelta(hours=1), 32)
    assert bare.at == NOW


@pytest.mark.parametrize(
    ("change", "changes", "field"),
    [
        ({}, {"x-shopify-topic": None}, "x-shopify-topic"),
        ({}, {"x-shopify-topic": "customers/update"}, "x-shopify-topic"),
        ({"customer": 7}, {}, "customer"),
        ({"cart_token": {"a": 1}}, {}, "token"),
        ({"fields_changed": {}}, {}, "body"),
        ({}, {"x-shopify-triggered-at": "yesterday"}, "x-shopify-triggered-at"),
        ({"line_items": [{"product_id": []}]}, {}, "line_items.product_id"),
    ],
)
def test_what_is_wrong_is_named(
    site_: Site, shop: Shopify, change: dict[str, object], changes: dict[str, str | None], field: str
) -> None:
    shop.emit("orders/create", {**shop.order("c1", []), **change}, changes=changes)
    assert [one for one, _ in site_.rejected] == [field]


def test_amounts_that_are_none_are_left_out(site_: Site, shop: Shopify) -> None:
    odd = {"line_items": [{"product_id": 1, "price": "free", "quantity": 1}], "total_price": "1e999"}
    shop.emit("orders/create", {**shop.order("c1", []), **odd})
    assert "total" not in site_.event.properties
    assert site_.event.properties["products"] == [{"product_id": "1", "name": None, "quantity": 1}]


def test_a_body_that_is_no_resource_is_refused(shop: Shopify) -> None:
    open_ = site(format="shopify", proof="none")
    with pytest.raises(BadRequest, match="must be an object"):
        open_.take(Post({"x-shopify-topic": "orders/create"}, b"[]"))


def test_a_large_order_stays_small(site_: Site, shop: Shopify) -> None:
    shop.emit("orders/create", shop.order("c1", [shop.line(number, "Lamp", "1.00") for number in range(300)]))
    assert len(site_.event.model_dump_json()) < len(site_.posts[0].body) * 0.8
    assert site_.event.at == from_iso("2026-11-21T12:00:00Z")


def test_the_sample_is_a_cart() -> None:
    body = Path("events/receive_event/shopify.json").read_bytes()
    [event] = site(format="shopify", proof="none").take(Post({"x-shopify-topic": "carts/update"}, body))
    assert isinstance(event, TrackerEvent)
    assert (event.name, event.anonymous_id, len(event.properties["products"])) == ("Cart Viewed", "c1-7f0c2a9e", 1)  # type: ignore[arg-type]
