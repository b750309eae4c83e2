"""Shopify: its webhooks, one REST resource a post.

**Who posts.** `X-Shopify-Hmac-Sha256` is the base64 HMAC-SHA256 of the body, under the app's client secret (webhooks made by an
app) or the store's own (those made in its admin pages). Deliveries of the newer kind have headers without `X-`: if
`Shopify-Hmac-Sha256` is there, that family counts and the other is not looked at. The signature covers the body and no header,
so a post could be repeated under another topic: a body that names its resource (`admin_graphql_api_id`) must be of the topic's.

**What happened.** A webhook's topic is its name until it is given one of ours:

* `carts/create`, `carts/update`: "Cart Viewed", with the whole cart.
* `checkouts/create`, `checkouts/update`: "Checkout Started"; one with `completed_at` is "Checkout Completed", as Shopify
  updates a checkout once more when it has become an order, and a wait must not begin there.
* `orders/create`: "Order Completed". The customer has done what there is to do, though a transfer may take days to arrive: who is
  reminded of a cart then has been wronged. `orders/paid` is "Order Paid", so that a shop subscribed to both tells of one order
  once. A shop that counts only what is paid says `names: {"orders/create": "Order Placed", "orders/paid": "Order Completed"}`.
* `orders/cancelled`: "Order Cancelled". `customers/create`, `customers/update`: "Identified".

Any other topic is an event of that name if it is of somebody, else nothing. The visitor is the cart's token, which carts,
checkouts and orders have in common (without a cart the checkout's), the user the customer's id.

**Kept** are the values of the resource that are no objects, and the products as Segment describes them; what is said of the
person is in the traits. All of an order would be ten times as large, and mostly personal. A cart of several variants of one
product needs `cart: {key: variant_id}` in the trigger. Amounts are texts there and numbers here.

**Marketing consent** comes as the traits `email_consent` and `sms_consent` (`subscribed`, `unsubscribed`, …), for a trigger's
`audience`. It is no opt-out here.

**Compliance** (`customers/data_request`, `customers/redact`, `shop/redact`): answered with 2xx and parked with what is to be
done, which is for people: an app has 30 days for it. **Tests** from the admin pages (`X-Shopify-Test`) are verified and answered,
and are no events: their customer does not exist.

A post that cannot be used is parked and answered with 2xx: Shopify repeats what fails eight times and then ends the subscription.

Sources, read 2026-11: "Webhooks delivery structure", "Events delivery structure", "Verify deliveries", "Ignore duplicate
webhooks", "Privacy law compliance", the REST references of Cart, Checkout, Order and Customer, and the open source of Shopify's
JavaScript libraries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.trackers.base import (
    EventFormat,
    Unusable,
    content_id,
    fields_of,
    made,
    object_of,
    text_of,
    time_of,
)
from shared.clock import Clock
from shared.errors import BadRequest
from shared.fields import Hmac
from shared.jobs import TrackerEvent
from shared.signatures import verify_hmac
from shared.trackers import Tracker

_Resource = dict[str, JsonValue]

_SIGNED: Mapping[str, Hmac] = {
    family: Hmac(header=f"{family}hmac-sha256", algorithm="sha256", encoding="base64") for family in ("shopify-", "x-shopify-")
}

_RESOURCES: Mapping[str, str] = {"orders": "gid://shopify/Order/", "customers": "gid://shopify/Customer/"}

_FOR_PEOPLE: Mapping[str, str] = {
    "customers/data_request": "a customer asks what is known of them: send it to the shop's owner within 30 days",
    "customers/redact": "a customer is to be forgotten: delete the profile within 30 days",
    "shop/redact": "a shop that has removed the app is to be forgotten: delete its customers' profiles within 30 days",
}

_PERSONAL = frozenset({"email", "contact_email", "phone", "browser_ip", "user_agent", "note"})

_OBJECTS_KEPT = ("discount_codes", "note_attributes")

_SAID = ("first_name", "last_name", "email", "phone", "tags", "orders_count", "total_spent", "verified_email", "state")

_PRODUCT = {
    "variant": "variant_title",
    "brand": "vendor",
    "sku": "sku",
    "url": "url",
    "image_url": "image",
}


class _Shopify(EventFormat):
    names: Mapping[str, str] = {
        "carts/create": "Cart Viewed",
        "carts/update": "Cart Viewed",
        "checkouts/create": "Checkout Started",
        "checkouts/update": "Checkout Started",
        "orders/create": "Order Completed",
        "orders/paid": "Order Paid",
        "orders/cancelled": "Order Cancelled",
        "customers/create": "Identified",
        "customers/update": "Identified",
    }
    forgiving = True
    setup = (
        "Subscribe to `carts/create`, `carts/update`, `checkouts/create`, `checkouts/update`, `orders/create`, "
        "`orders/cancelled`, `customers/create` and `customers/update`, in the app's configuration or under Settings, "
        "Notifications, Webhooks (JSON), each with `/v1/events/{name}`.",
        "Put the app's client secret into the tracker's `secrets`, or for webhooks made in the admin pages the store's, which "
        "stands below their list. Both, if there are both kinds.",
        "An app of the App Store subscribes to the three compliance topics, too: they are parked for you to see to.",
        "An abandoned cart is found with a trigger on `Cart Viewed` or `Checkout Started`: Shopify tells of the cart as a whole. "
        "Whose it is, it tells with the checkout: who has only a cart is nobody that could be written to.",
    )

    def verify(self, tracker: Tracker, post: Post, clock: Clock) -> None:
        """Refuses (401) what none of the tracker's secrets has signed."""
        secrets = (secret.get_secret_value() for secret in tracker.secrets)
        verify_hmac(post.headers, post.body, secrets, _SIGNED[_family(post)], clock)

    def listed(self, tracker: Tracker, post: Post) -> Sequence[JsonValue]:
        """The resource. Raises BadRequest (400) if the body is none."""
        body = parsed(post.body)
        if not isinstance(body, dict):
            raise BadRequest("must be an object: the order, cart, checkout or customer", field="body")
        return [body]

    def event(self, tracker: Tracker, posted: JsonValue, post: Post, received_at: datetime) -> TrackerEvent | None:
        """What happened; None for a test, and for what is of nobody. Raises Unusable."""
        resource, topic = fields_of(posted), _topic_of(post)
        _check(topic, resource)
        customer = resource if topic.startswith("customers/") else object_of(resource.get("customer"), "customer")
        visitor, user = _visitor_of(topic, resource), text_of(customer.get("id"), "customer.id")
        if not (visitor or user) or _header(post, "test") == "true":
            return None
        return made(
            tracker,
            id=_id_of(tracker, topic, post, posted),
            name=self._name(tracker, topic, resource),
            at=_happened_at(post, resource, received_at),
            received_at=received_at,
            anonymous_id=visitor,
            user_id=user,
            properties={} if customer is resource else _properties(topic, resource, _header(post, "shop-domain")),
            traits=_traits(customer, resource),
        )

    def _name(self, tracker: Tracker, topic: str, resource: _Resource) -> str:
        completed = topic.startswith("checkouts/") and resource.get("completed_at")
        return self.called(tracker, "Checkout Completed" if completed else topic)


CONNECTOR = _Shopify()


def _family(post: Post) -> str:
    return "shopify-" if "shopify-hmac-sha256" in post.headers else "x-shopify-"


def _header(post: Post, name: str) -> str:
    """A header of the post's own family, else of the older one, which comes beside the newer."""
    return post.headers.get(_family(post) + name) or post.headers.get("x-shopify-" + name, "")


def _topic_of(post: Post) -> str:
    topic = _header(post, "topic")
    if not topic:
        raise Unusable("x-shopify-topic", "must say what happened")
    return topic


def _check(topic: str, resource: _Resource) -> None:
    """Raises Unusable for what no event can be made of."""
    if topic in _FOR_PEOPLE:
        raise Unusable("x-shopify-topic", _FOR_PEOPLE[topic])
    if "fields_changed" in resource:
        raise Unusable("body", "must be a resource, as webhooks have it: Shopify's newer Events have what their query asks for")
    kind, named = _RESOURCES.get(topic.partition("/")[0]), resource.get("admin_graphql_api_id")
    if kind and isinstance(named, str) and not named.startswith(kind):
        raise Unusable("x-shopify-topic", "must fit the body, which is another resource")


def _visitor_of(topic: str, resource: _Resource) -> str | None:
    """The cart's token, or the checkout's where there was no cart."""
    ours = resource.get("token") if topic.startswith(("carts/", "checkouts/")) else None
    found = resource.get("cart_token") or resource.get("checkout_token") or ours
    return text_of(found, "token")


def _id_of(tracker: Tracker, topic: str, post: Post, posted: JsonValue) -> str:
    """What Shopify calls the event, the same for all subscriptions; one change of a shop may be an event of several topics."""
    given = _header(post, "event-id") or _header(post, "webhook-id")
    return f"{topic}:{given}" if given else content_id(tracker, [topic, posted])


def _happened_at(post: Post, resource: _Resource, received_at: datetime) -> datetime:
    if stamp := _header(post, "triggered-at"):
        return time_of(stamp, "x-shopify-triggered-at")
    updated = resource.get("updated_at") or resource.get("created_at")
    return time_of(updated, "updated_at") if updated else received_at


def _properties(topic: str, resource: _Resource, shop: str) -> _Resource:
    """What is kept of a resource: its plain values, and under Segment's names its products and amounts."""
    kept: _Resource = {
        key: value for key, value in resource.items() if type(value) in (str, int, float, bool) and key not in _PERSONAL
    }
    kept |= {key: value for key in _OBJECTS_KEPT if (value := resource.get(key))}
    items = resource.get("line_items")
    kept["products"] = [_product(item) for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    if (total := _number(resource.get("total_price"))) is not None:
        kept["total"] = total
    if topic.startswith("orders/") and "id" in resource:
        kept["order_id"] = text_of(resource["id"], "id")
    if url := resource.get("abandoned_checkout_url") or resource.get("order_status_url"):
        kept["url"] = url
    return {**kept, "shop": shop} if shop else kept


def _product(item: _Resource) -> JsonValue:
    """A line of a cart or an order, as Segment describes a product."""
    product: _Resource = {ours: value for ours, theirs in _PRODUCT.items() if isinstance(value := item.get(theirs), str)}
    for key in ("product_id", "variant_id"):
        if item.get(key) is not None:
            product[key] = text_of(item[key], f"line_items.{key}")
    product["name"] = item.get("title")
    product["quantity"] = item.get("quantity")
    if (price := _number(item.get("price"))) is not None:
        product["price"] = price
    return product


def _number(value: JsonValue) -> float | None:
    """An amount as a number: Shopify's are texts."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _traits(customer: _Resource, resource: _Resource) -> _Resource:
    """What is said of the person, by the customer's record first."""
    traits: _Resource = {key: value for key in _SAID if (value := customer.get(key)) not in (None, "")}
    for key, others in (("email", ("email", "contact_email")), ("phone", ("phone",))):
        if key not in traits and (value := next((resource[one] for one in others if resource.get(one)), None)):
            traits[key] = value
    if (total := _number(traits.get("total_spent"))) is not None:
        traits["total_spent"] = total
    address = customer.get("default_address")
    if isinstance(address, dict) and address.get("country_code"):
        traits["country"] = address["country_code"]
    for channel in ("email", "sms"):
        consent = customer.get(f"{channel}_marketing_consent")
        if isinstance(consent, dict) and consent.get("state"):
            traits[f"{channel}_consent"] = consent["state"]
            if since := consent.get("consent_updated_at"):
                traits[f"{channel}_consent_at"] = since
    return traits
