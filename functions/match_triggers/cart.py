"""The cart, kept from the events of a visitor: what adds to it, what removes from it, and what tells it as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import JsonValue

from shared.conditions import number_of
from shared.mapping import at, put, text_at
from shared.triggers import Cart
from shared.visit_rules import cart_names
from shared.visits import VisitEvent

Item = dict[str, JsonValue]

_LARGEST = 1_000_000


def names_of_cart(cart: Cart | None) -> frozenset[str]:
    """The names of the events that a cart is made of, what empties it among them."""
    return cart_names(cart) | ({cart.emptied_by} - {""} if cart else set())


def cart_of(events: Iterable[VisitEvent], cart: Cart | None) -> list[Item]:
    """The items that are in the cart after these events, in the order in which they came in; none where there is no cart.

    An item is the properties of the newest event that added it, with what is left of it as its quantity (1 where an event says
    nothing). An event with a list of products is about each of them. A cart told as a whole replaces what was known, and what
    buys it empties it.
    """
    items: dict[str, Item] = {}
    if cart is None:
        return []
    for event in events:
        if event.name == cart.emptied_by:
            items.clear()
        elif event.name == cart.full:
            _replace(items, event, cart)
        elif event.name == cart.add:
            for key, product in _products(event, cart):
                _put(items, key, product, _quantity(items.get(key), cart, otherwise=0) + _quantity(product, cart), cart)
        elif event.name == cart.remove:
            for key, product in _products(event, cart):
                _remove(items, key, product, cart)
    return list(items.values())


def _replace(items: dict[str, Item], event: VisitEvent, cart: Cart) -> None:
    """An event that should have the whole cart, and has no list of products, says nothing of it."""
    if isinstance(at(event.properties, cart.items), list):
        items.clear()
        for key, product in _products(event, cart):
            _put(items, key, product, _quantity(items.get(key), cart, otherwise=0) + _quantity(product, cart), cart)


def _products(event: VisitEvent, cart: Cart) -> Iterator[tuple[str, Item]]:
    """What the event is about, each with its key: those without one stay apart."""
    listed = at(event.properties, cart.items)
    if not isinstance(listed, list):
        yield text_at(event.properties, cart.key) or event.id, event.properties
        return
    for index, product in enumerate(listed):
        if isinstance(product, dict):
            yield text_at(product, cart.key) or f"{event.id}#{index}", product


def _remove(items: dict[str, Item], key: str, product: Item, cart: Cart) -> None:
    """Without a quantity the whole item goes: that is what a "remove" button does."""
    if key in items:
        told = at(product, cart.quantity) is not None
        left = _quantity(items[key], cart) - _quantity(product, cart) if told else 0
        _put(items, key, items[key], left, cart)


def _put(items: dict[str, Item], key: str, product: Item, quantity: int | float, cart: Cart) -> None:
    if quantity > 0:
        item = put(product, cart.quantity, quantity)
        items[key] = item if isinstance(item, dict) else product
    else:
        items.pop(key, None)


def _quantity(product: Item | None, cart: Cart, otherwise: int = 1) -> int | float:
    """How many there are; `otherwise` if there is no product, and 1 if it does not say, or nonsense."""
    if product is None:
        return otherwise
    number = number_of(at(product, cart.quantity))
    return number if number is not None and 0 <= number <= _LARGEST else 1
