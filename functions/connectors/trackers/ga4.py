"""Google Analytics 4: the Measurement Protocol, and the event data of server-side Tag Manager.

A Measurement Protocol post has `client_id` (of an app, `app_instance_id`), `user_id` and up to 25 `events`. A tag of a
server container that posts its event data as JSON has one flat object, or a list of them: `event_name`, `client_id`,
`user_id`, `page_location`, …

GA4's events have no ids. A `purchase` is known by its `transaction_id`. Any other id is made of all that is posted of the
event; where it says neither `timestamp_micros` nor `event_id` nor `x-ga-request_count`, the minute in which it came counts
as well: the same again within it is the same event. Without `timestamp_micros`, an event happened when it came.

The recommended events get the usual names (`add_to_cart` is `Product Added`), and `items` become `products`. A single item's
values also stand beside them. The parameters stay; `page_location` is also `url`, `search_term` `query`, `transaction_id`
`order_id`, `ga_session_id` `session_id`. User properties are traits. Of `user_data`, `email_address` and `phone_number` are
traits, and `sha256_email_address` is the identifier `email_sha256`: it finds a person if it was made of the address in lower
case and nothing else was changed in it, as Google wants the dots in addresses of gmail.com to be. Addresses of machines,
browsers and `x-` parameters are not kept.

Source: Google's pages on the Measurement Protocol, on recommended events and on common event data (read 2026-11-22).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from types import MappingProxyType

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.trackers.base import (
    EventFormat,
    Unusable,
    bounded,
    content_id,
    fields_of,
    made,
    object_of,
    one_or_many,
    text_of,
    unix_time_of,
)
from connectors.trackers.loose import minute_id, number_of, renamed, with_products
from shared.errors import BadRequest
from shared.ids import digest
from shared.jobs import TrackerEvent
from shared.trackers import Tracker

_Fields = dict[str, JsonValue]


_PARAMETERS = {
    "page_location": "url",
    "page_title": "title",
    "page_referrer": "referrer",
    "search_term": "query",
    "transaction_id": "order_id",
    "item_list_name": "list",
    "ga_session_id": "session_id",
}
_ITEM = {
    "item_name": "name",
    "item_category": "category",
    "item_brand": "brand",
    "item_variant": "variant",
}
_ORDERS = ("purchase", "refund")

_DISTINCT = ("timestamp_micros", "event_id", "x-ga-request_count")
"""What tells an event from the next one of the same content."""

_DROPPED = frozenset(
    (
        *("event_name", "client_id", "app_instance_id", "user_id", "timestamp_micros", "user_data", "user_properties"),
        *("ip_override", "user_agent", "client_hints", "items"),
    )
)
_NAMES_OF_PEOPLE = ("first_name", "last_name", "city", "postal_code", "country")

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class _Ga4(EventFormat):
    names = MappingProxyType(
        {
            "page_view": "Page Viewed",
            "screen_view": "Screen Viewed",
            "user_engagement": "Page Ping",
            "search": "Products Searched",
            "view_search_results": "Products Searched",
            "view_item_list": "Product List Viewed",
            "select_item": "Product Clicked",
            "view_item": "Product Viewed",
            "add_to_cart": "Product Added",
            "remove_from_cart": "Product Removed",
            "view_cart": "Cart Viewed",
            "add_to_wishlist": "Product Added to Wishlist",
            "begin_checkout": "Checkout Started",
            "add_payment_info": "Payment Info Entered",
            "purchase": "Order Completed",
            "refund": "Order Refunded",
            "sign_up": "Signed Up",
            "login": "Signed In",
            "view_promotion": "Promotion Viewed",
            "select_promotion": "Promotion Clicked",
        }
    )

    setup = (
        "Analytics itself posts nothing: have what feeds it post here as well.",
        "A server that uses the Measurement Protocol: the same post to `/v1/events/{name}?api_secret=KEY`. Give the tracker "
        "`proof: query`, `parameter: api_secret` and the key in `secrets`.",
        "A server container of Tag Manager: add a tag that posts all event data as JSON, with a long random value in a header; "
        "give the tracker `proof: header`, the header's name as `header` and the value in `secrets`.",
        "Whom to write to is said by `user_data` (`email_address`), or else by another tracker, that knows the address of this "
        "`user_id` or of this `sha256_email_address`. Of a `client_id` alone nobody knows.",
    )

    def listed(self, tracker: Tracker, post: Post) -> Sequence[JsonValue]:
        """The events: of the Measurement Protocol each as a post of that event alone. Raises BadRequest (400)."""
        body = parsed(post.body)
        if not isinstance(body, dict) or "events" not in body:
            return bounded(one_or_many(body))
        events = body["events"]
        if not isinstance(events, list):
            raise BadRequest("must be a list of events", field="events")
        return [{**body, "events": [event]} for event in bounded(events)]

    def event(self, tracker: Tracker, posted: JsonValue, post: Post, received_at: datetime) -> TrackerEvent:
        """One event, of either shape. Raises Unusable."""
        fields = fields_of(posted)
        said, called, parameters = _of_protocol(fields) if "events" in fields else (fields, "event_name", fields)
        name = text_of(said.get(called), called)
        if name is None:
            raise Unusable(called, "must be there")
        time = said.get("timestamp_micros") or fields.get("timestamp_micros")
        return made(
            tracker,
            id=_order_id(tracker, name, parameters) or _id(tracker, fields, (said, parameters, fields), received_at),
            name=self.called(tracker, name),
            at=unix_time_of(time, "timestamp_micros", "microseconds") if time else received_at,
            received_at=received_at,
            anonymous_id=text_of(fields.get("client_id"), "client_id")
            or text_of(fields.get("app_instance_id"), "app_instance_id"),
            user_id=text_of(fields.get("user_id"), "user_id"),
            identifiers=tuple(_identifiers(object_of(fields.get("user_data"), "user_data"))),
            properties=_properties(name, fields, parameters),
            traits=_traits(fields),
        )


CONNECTOR = _Ga4()


def _of_protocol(fields: _Fields) -> tuple[_Fields, str, _Fields]:
    """The event of a Measurement Protocol post that has one, where its name is, and its parameters."""
    events = fields["events"]
    event = fields_of(events[0] if isinstance(events, list) and events else None)
    return event, "name", object_of(event.get("params"), "params")


def _order_id(tracker: Tracker, name: str, parameters: _Fields) -> str | None:
    order = parameters.get("transaction_id")
    known = name == "purchase" and isinstance(order, str | int) and order
    return digest("event", tracker.name, name, str(order)) if known else None


def _id(tracker: Tracker, fields: _Fields, said: Sequence[_Fields], received_at: datetime) -> str:
    distinct = any(part.get(one) for part in said for one in _DISTINCT)
    return content_id(tracker, fields) if distinct else minute_id(tracker, fields, received_at)


def _properties(name: str, fields: _Fields, parameters: _Fields) -> _Fields:
    properties: _Fields = {key: value for key, value in parameters.items() if key not in _DROPPED and not key.startswith("x-")}
    properties |= renamed(parameters, _PARAMETERS)
    if "consent" in fields:
        properties["consent"] = fields["consent"]
    if name in _ORDERS and "value" in parameters:
        properties["total"] = number_of(parameters["value"])
    items = parameters.get("items")
    if items is not None:
        with_products(properties, [_product(item) for item in _listed(items)])
    return properties


def _listed(items: JsonValue) -> list[JsonValue]:
    if not isinstance(items, list):
        raise Unusable("items", "must be a list of items")
    return items


def _product(item: JsonValue) -> _Fields:
    if not isinstance(item, dict):
        raise Unusable("items", "must be a list of items")
    product = {**item, **renamed(item, _ITEM), "product_id": item.get("item_id") or item.get("item_name")}
    for name in ("price", "quantity"):
        if name in product:
            product[name] = number_of(product[name])
    return product


def _identifiers(user_data: _Fields) -> Iterator[tuple[str, str]]:
    for one in _each(user_data.get("sha256_email_address")):
        if isinstance(one, str) and _SHA256.fullmatch(one):
            yield "email_sha256", one.lower()


def _traits(fields: _Fields) -> _Fields:
    if "user_data" not in fields and "user_properties" not in fields:
        return {}
    traits: _Fields = {}
    for name, value in object_of(fields.get("user_properties"), "user_properties").items():
        traits[name] = value.get("value") if isinstance(value, dict) else value
    user_data = object_of(fields.get("user_data"), "user_data")
    address = next((one for one in _each(user_data.get("address")) if isinstance(one, dict)), {})
    traits |= {name: address[name] for name in _NAMES_OF_PEOPLE if address.get(name)}
    for theirs, ours in (("email_address", "email"), ("phone_number", "phone")):
        if found := next(iter(_each(user_data.get(theirs))), None):
            traits[ours] = found
    return traits


def _each(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else [] if value is None else [value]
