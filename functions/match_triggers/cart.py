"""The cart, kept from the events of a visit that add to it and remove from it."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import JsonValue

from shared.mapping import text_at
from shared.triggers import Trigger
from shared.visits import VisitEvent

Item = dict[str, JsonValue]

_LARGEST = 1_000_000


def cart_of(events: Iterable[VisitEvent], trigger: Trigger) -> list[Item]:
    """The items that are in the cart after these events, in the order in which they came in.

    An item is the properties of the newest event that added it, with `quantity` as what is left of it (1 where an event says
    nothing). What the trigger excludes, such as an order, empties the cart.
    """
    items: dict[str, Item] = {}
    for event in events:
        key = text_at(event.properties, trigger.cart.key) or event.id
        if event.name in trigger.ended_by:
            items.clear()
        elif event.name == trigger.cart.add:
            _put(items, key, event.properties, _quantity(items.get(key, {"quantity": 0})) + _quantity(event.properties))
        elif event.name == trigger.cart.remove and key in items:
            # Without a quantity the whole item goes: that is what a "remove" button does.
            left = _quantity(items[key]) - _quantity(event.properties) if "quantity" in event.properties else 0
            _put(items, key, items[key], left)
    return list(items.values())


def _put(items: dict[str, Item], key: str, properties: Item, quantity: int | float) -> None:
    if quantity > 0:
        items[key] = {**properties, "quantity": quantity}
    else:
        items.pop(key, None)


def _quantity(properties: Item) -> int | float:
    value = properties.get("quantity", 1)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    return value if usable else 1  # type: ignore[return-value]  # checked in the line before
