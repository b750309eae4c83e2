from __future__ import annotations

import pytest
from pydantic import JsonValue

from match_triggers.cart import cart_of
from match_triggers.keeping import _kept
from tests.match_triggers.shop import START, cart_trigger, tracker_event


def cart(*events: tuple[str, dict[str, JsonValue]]) -> list[dict[str, JsonValue]]:
    happened = [_kept(tracker_event(name, second, properties=p), START) for second, (name, p) in enumerate(events)]
    return cart_of(happened, cart_trigger())


def test_quantities_add_up_and_the_newest_properties_win() -> None:
    assert cart(
        ("Product Added", {"product_id": "p1", "price": 10, "quantity": 2}),
        ("Product Added", {"product_id": "p2"}),
        ("Product Added", {"product_id": "p1", "price": 9}),
    ) == [{"product_id": "p1", "price": 9, "quantity": 3}, {"product_id": "p2", "quantity": 1}]


def test_removing_takes_the_quantity_away_or_without_one_all() -> None:
    added: tuple[str, dict[str, JsonValue]] = ("Product Added", {"product_id": "p1", "quantity": 3})
    assert cart(added, ("Product Removed", {"product_id": "p1", "quantity": 1})) == [{"product_id": "p1", "quantity": 2}]
    assert cart(added, ("Product Removed", {"product_id": "p1", "quantity": 3})) == []
    assert cart(added, ("Product Removed", {"product_id": "p1"})) == []
    assert len(cart(added, ("Product Removed", {"product_id": "p2"}))) == 1


def test_an_order_empties_the_cart() -> None:
    p1: dict[str, JsonValue] = {"product_id": "p1"}
    p2: dict[str, JsonValue] = {"product_id": "p2"}
    assert [item["product_id"] for item in cart(("Product Added", p1), ("Order Completed", {}), ("Product Added", p2))] == ["p2"]


def test_items_without_a_key_stay_apart() -> None:
    assert len(cart(("Product Added", {"name": "a"}), ("Product Added", {"name": "b"}))) == 2


@pytest.mark.parametrize("nonsense", ["2", -1, True, None, [1], 10**30])
def test_a_quantity_that_is_none_counts_as_one(nonsense: JsonValue) -> None:
    assert cart(("Product Added", {"product_id": "p1", "quantity": nonsense})) == [{"product_id": "p1", "quantity": 1}]
