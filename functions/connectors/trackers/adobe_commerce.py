"""What Adobe Commerce says through I/O Events: `data` has the fields that the shop subscribed to under `value`.

Source: Adobe Commerce, Extensibility (events, read 2026-11-21) for the frame. Which fields and events there are depends on the
shop's subscriptions; names and fields here are those of Commerce's own observers, and a tracker's `names` and `identifiers`
go over them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from shared.mapping import text_at

_CODE = "com.adobe.commerce."
_NAMES: Mapping[str, str] = {
    "checkout_cart_product_add_after": "Product Added",
    "sales_quote_remove_item": "Product Removed",
    "sales_order_place_after": "Order Completed",
    "order_cancel_after": "Order Cancelled",
    "customer_register_success": "Signed Up",
    "customer_login": "Signed In",
}
_PERSON: Mapping[str, tuple[str, ...]] = {
    "user_id": ("customer_id",),
    "email": ("customer_email", "email"),
    # Of a guest only the cart is known, from its first item to the order.
    "anonymous_id": ("quote_id",),
}
_PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "order_id": ("increment_id",),
    "product_id": ("sku", "product_id"),
    "quantity": ("qty_ordered", "qty"),
}


@dataclass(frozen=True)
class Said:
    """An event of a shop. Its properties are the fields that it subscribed to, and the usual ones."""

    name: str
    properties: dict[str, JsonValue]
    person: Mapping[str, str]


def of_commerce(code: str, data: dict[str, JsonValue]) -> Said | None:
    """What an event of this code says; None if it is not of Adobe Commerce."""
    value = data.get("value")
    if not code.startswith(_CODE) or not isinstance(value, dict):
        return None
    items = value.get("items")
    products: dict[str, JsonValue] = {"products": [_usual(one) for one in items]} if isinstance(items, list) else {}
    about: dict[str, JsonValue] = {"store": data["_metadata"]} if isinstance(data.get("_metadata"), dict) else {}
    return Said(
        name=_NAMES.get(code.rpartition(".")[2], code),
        properties={**_usual(value), **products, **about},
        person={**dict(_found(value, _PERSON)), **_customer(code, value)},
    )


def _customer(code: str, value: dict[str, JsonValue]) -> dict[str, str]:
    """The id of an event that is about a customer is the customer's."""
    own = text_at(value, "id") or text_at(value, "entity_id") if ".customer_" in code else ""
    return {"user_id": own} if own else {}


def _usual(fields: JsonValue) -> dict[str, JsonValue]:
    """The fields, and beside them their usual names."""
    if not isinstance(fields, dict):
        return {}
    usual: dict[str, JsonValue] = dict(_first(fields, _PROPERTIES))
    return {**fields, **{name: value for name, value in usual.items() if name == "product_id" or name not in fields}}


def _found(fields: dict[str, JsonValue], names: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    return ((name, str(value)) for name, value in _first(fields, names) if isinstance(value, str | int))


def _first(fields: dict[str, JsonValue], names: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, JsonValue]]:
    for name, keys in names.items():
        value = next((fields[key] for key in keys if fields.get(key) not in (None, "", 0)), None)
        if value is not None:
            yield name, value
