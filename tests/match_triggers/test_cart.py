from __future__ import annotations

import pytest
from pydantic import JsonValue

from match_triggers.cart import cart_of, names_of_cart
from match_triggers.keeping import _kept
from shared.triggers import Cart
from tests.match_triggers.shop import START, tracker_event

Event = tuple[str, dict[str, JsonValue]]


def cart(*events: Event, like: Cart | None = Cart()) -> list[dict[str, JsonValue]]:  # noqa: B008 - it is frozen
    happened = [_kept(tracker_event(name, second, properties=p), START) for second, (name, p) in enumerate(events)]
    return cart_of(happened, like)


def product(key: str, **rest: JsonValue) -> dict[str, JsonValue]:
    return {"product_id": key, **rest}


def test_quantities_add_up_and_the_newest_properties_win() -> None:
    assert cart(
        ("Product Added", product("p1", price=10, quantity=2)),
        ("Product Added", product("p2")),
        ("Product Added", product("p1", price=9)),
    ) == [product("p1", price=9, quantity=3), product("p2", quantity=1)]


def test_removing_takes_the_quantity_away_or_without_one_all() -> None:
    added: Event = ("Product Added", product("p1", quantity=3))
    assert cart(added, ("Product Removed", product("p1", quantity=1))) == [product("p1", quantity=2)]
    assert cart(added, ("Product Removed", product("p1", quantity=3))) == []
    assert cart(added, ("Product Removed", product("p1"))) == []
    assert len(cart(added, ("Product Removed", product("p2")))) == 1


def test_an_order_empties_the_cart_and_what_else_ends_a_wait_does_not() -> None:
    p1, p2 = product("p1"), product("p2")
    assert [item["product_id"] for item in cart(("Product Added", p1), ("Order Completed", {}), ("Product Added", p2))] == ["p2"]
    assert len(cart(("Product Added", p1), ("Checkout Started", {}))) == 1
    assert cart(("Product Added", p1), ("purchase", {}), like=Cart(emptied_by="purchase")) == []


def test_a_cart_told_as_a_whole_replaces_what_was_known() -> None:
    whole: dict[str, JsonValue] = {"products": [product("p2", quantity=2), product("p3"), "nonsense", product("p2")]}
    told = cart(("Product Added", product("p1")), ("Cart Viewed", whole), ("Product Added", product("p3")))
    assert told == [product("p2", quantity=3), product("p3", quantity=2)]
    assert cart(("Product Added", product("p1")), ("Cart Viewed", {"products": []})) == []


def test_a_look_at_the_cart_that_does_not_say_what_is_in_it_says_nothing() -> None:
    assert len(cart(("Product Added", product("p1")), ("Cart Viewed", {}))) == 1


def test_an_event_may_add_or_remove_several_products() -> None:
    several: dict[str, JsonValue] = {"products": [product("p1"), product("p2", quantity=4)]}
    less: dict[str, JsonValue] = {"products": [product("p1"), product("p2", quantity=1)]}
    assert cart(("Product Added", several)) == [product("p1", quantity=1), product("p2", quantity=4)]
    assert cart(("Product Added", several), ("Product Removed", less)) == [product("p2", quantity=3)]


def test_a_shop_may_call_things_as_it_likes() -> None:
    own = Cart(add="in", remove="out", full="", items="ecommerce.items", key="item.id", quantity="item.count")
    item: dict[str, JsonValue] = {"item": {"id": "a", "count": 2}}
    listed: dict[str, JsonValue] = {"ecommerce": {"items": [item]}}
    assert cart(("in", listed), ("in", item), ("out", {"item": {"id": "a", "count": 1}}), like=own) == [
        {"item": {"id": "a", "count": 3}}
    ]
    assert names_of_cart(own) == {"in", "out", "Order Completed"}


def test_where_no_cart_is_kept_there_is_none() -> None:
    assert cart(("Product Added", product("p1")), like=None) == []
    assert names_of_cart(None) == frozenset()


def test_items_without_a_key_stay_apart() -> None:
    assert len(cart(("Product Added", {"name": "a"}), ("Product Added", {"name": "b"}))) == 2
    assert len(cart(("Product Added", {"products": [{"name": "a"}, {"name": "a"}]}))) == 2


def test_a_quantity_may_be_spelt_as_text() -> None:
    assert cart(("Product Added", product("p1", quantity="2")), ("Product Added", product("p1"))) == [product("p1", quantity=3)]


@pytest.mark.parametrize("nonsense", ["two", -1, True, None, [1], 10**30])
def test_a_quantity_that_is_none_counts_as_one(nonsense: JsonValue) -> None:
    assert cart(("Product Added", product("p1", quantity=nonsense))) == [product("p1", quantity=1)]
