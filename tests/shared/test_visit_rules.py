"""Rules over a visit, one by one, and at random against an evaluator that is slow and obvious."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue, ValidationError

from shared.conditions import compiled, number_of
from shared.mapping import at as value_at
from shared.rules import Rule, Where
from shared.triggers import Cart
from shared.visit_rules import Item, any_holds, cart_names, holds, names_of, qualifying

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Did:
    name: str
    properties: dict[str, JsonValue] = field(default_factory=dict)
    at: datetime = NOON


class Ruled(BaseModel):
    rules: tuple[Rule, ...]


def rules(*given: object) -> tuple[Rule, ...]:
    return Ruled.model_validate({"rules": given}).rules


def hold(rule: object, *events: Did, cart: Sequence[Item] = ()) -> bool:
    return holds(rules(rule), events, lambda: cart)


def viewed(*products: JsonValue) -> list[Did]:
    return [Did("Product Viewed", {"product_id": product}) for product in products]


def priced(*prices: JsonValue) -> list[Did]:
    return [Did("Product Added", {"price": price}) for price in prices]


def test_a_name_is_an_event_of_that_name() -> None:
    assert hold("A", Did("B"), Did("A"))
    assert not hold("A", Did("B"))


def test_conditions_are_about_one_event() -> None:
    rule = {"event": "A", "where": [{"path": "x", "equals": 1}, {"path": "y", "equals": 2}]}
    assert hold(rule, Did("A", {"x": 1, "y": 2}))
    assert not hold(rule, Did("A", {"x": 1}), Did("A", {"y": 2}))


def test_two_views_of_the_same_product() -> None:
    rule = {"event": "Product Viewed", "at_least": 2, "same": "product_id"}
    assert hold(rule, *viewed("p1", "p2", "p1"))
    assert not hold(rule, *viewed("p1", "p2", "p3"))
    assert not hold(rule, *viewed(None, None, 1, "1", True, [1], [1], {}, {}))
    assert hold(rule, *viewed(1, 1.0))


def test_counts() -> None:
    assert hold({"event": "A", "at_least": 2, "at_most": 3}, Did("A"), Did("A"))
    assert not hold({"event": "A", "at_least": 2, "at_most": 3}, *[Did("A")] * 4)
    assert hold({"event": "A", "at_least": 0, "at_most": 0})
    assert hold({"event": "A", "at_least": 0, "at_most": 1, "same": "x"})


def test_sums_are_as_people_count() -> None:
    assert not hold({"event": "Product Added", "sum": "price", "above": 0.3}, *priced(0.1, 0.2))
    assert hold({"event": "Product Added", "sum": "price", "at_least": 0.3}, *priced(0.1, 0.2))
    assert hold(
        {"event": "Product Added", "sum": "price", "at_least": 50, "below": 50.02}, *priced("49.90", 0.1, "free", True, None)
    )
    assert hold({"event": "Product Added", "sum": "price", "at_most": 0})
    assert hold({"event": "Product Added", "sum": "price", "above": 0}, *priced(10**4200))


def test_a_sum_may_count_a_number_several_times() -> None:
    rule = {"event": "A", "sum": "price", "times": "quantity", "at_least": 25, "at_most": 25}
    assert hold(rule, Did("A", {"price": 10, "quantity": 2}), Did("A", {"price": "5"}))


def test_the_cart() -> None:
    items: list[Item] = [{"price": "19.99", "quantity": 2}, {"price": 10.02}]
    assert hold({"cart": "total", "at_least": 50, "at_most": 50}, cart=items)
    assert hold({"cart": "quantity", "at_least": 3, "at_most": 3}, cart=items)
    assert hold({"cart": "items", "above": 1, "below": 3}, cart=items)
    assert not hold({"cart": "total", "above": 0})
    where_it_is = Cart(price="cost.value", quantity="n")
    assert holds(rules({"cart": "total", "above": 5}), (), lambda: [{"cost": {"value": 3}, "n": 2}], where_it_is)


def test_the_cart_is_made_only_if_it_is_asked_for() -> None:
    def never() -> Sequence[Item]:
        raise AssertionError

    assert holds(rules({"any": ["A", {"cart": "total", "above": 5}]}), [Did("A")], never)


def test_a_change_of_an_attribute() -> None:
    rule = {"changed": "tier", "where": [{"path": "old", "exists": False}, {"path": "new", "equals": "gold"}]}
    change: dict[str, JsonValue] = {"attribute": "tier", "old": None, "new": "gold"}
    assert hold(rule, Did("Profile Changed", change))
    assert not hold(rule, Did("Profile Changed", change | {"attribute": "city"}))
    assert not hold(rule, Did("Profile Changed", change | {"old": "silver"}))
    assert not hold(rule, Did("Product Viewed", change))


def test_groups() -> None:
    rule = {"all": ["A", {"any": ["B", "C"]}, {"none": ["D", "E"]}]}
    assert hold(rule, Did("A"), Did("C"))
    assert not hold(rule, Did("A"))
    assert not hold(rule, Did("A"), Did("C"), Did("E"))


def test_of_no_rules_all_hold_and_none_does() -> None:
    assert holds((), (), list)
    assert not any_holds((), (), list)
    assert any_holds(rules("A", "B"), [Did("B")], list)


def test_a_duration_is_relative_to_the_event_itself() -> None:
    rule = {"event": "A", "where": [{"path": "sale_ends", "before": "P1D"}]}
    assert hold(rule, Did("A", {"sale_ends": "2026-11-23T11:00:00Z"}))
    assert not hold(rule, Did("A", {"sale_ends": "2026-11-23T11:00:00Z"}, NOON - timedelta(hours=2)))


def test_names_are_those_of_all_events_that_matter() -> None:
    found = names_of(
        rules("A", {"any": [{"event": "B"}, {"none": [{"event": "C", "sum": "x", "above": 1}]}]}, {"cart": "items", "above": 1})
    )
    assert found == {"A", "B", "C"}
    assert names_of(rules({"changed": "tier"})) == {"Profile Changed"}


def test_what_is_not_below_none_qualifies() -> None:
    test = qualifying(rules({"all": ["A", {"none": ["B"]}]}, {"event": "C", "where": [{"path": "x", "equals": 1}]}))
    assert test(Did("A"))
    assert test(Did("C", {"x": 1}))
    assert not test(Did("C"))
    assert not test(Did("B"))


@pytest.mark.parametrize(
    ("given", "qualifies"),
    [
        ([{"cart": "total", "above": 5}], True),
        ([{"any": ["A", {"cart": "total", "above": 5}]}], True),
        ([{"all": [{"cart": "total", "above": 5}, {"none": ["B"]}]}], True),
        (["A", {"cart": "total", "above": 5}], False),
        ([{"none": [{"cart": "total", "above": 5}]}], False),
        ([{"none": ["A"]}], False),
    ],
)
def test_events_of_the_cart_qualify_where_the_cart_alone_is_enough(given: list[object], qualifies: bool) -> None:
    test = qualifying(rules(*given), Cart())
    assert [test(Did(name)) for name in sorted(cart_names(Cart()))] == [qualifies] * 3
    assert not qualifying(rules(*given))(Did("Cart Viewed"))
    assert not qualifying(rules(*given), Cart(full=""))(Did("Cart Viewed"))


def test_a_measure_must_be_compared_with_something() -> None:
    for nothing in ({"cart": "total"}, {"event": "A", "sum": "x"}):
        with pytest.raises(ValidationError, match="above, at_least, below or at_most"):
            rules(nothing)


# At random.

WHERE = st.sampled_from([[], [{"path": "k", "equals": "x"}], [{"path": "n", "above": 1}]])
BOUNDS = st.sampled_from([{"above": 0.3}, {"at_least": 2}, {"below": 1}, {"at_most": 0.4, "at_least": 0.1}])
NAMES = st.sampled_from("ABC")
LEAVES = st.one_of(
    NAMES,
    st.fixed_dictionaries(
        {"event": NAMES, "where": WHERE},
        optional={"at_least": st.integers(0, 2), "at_most": st.integers(2, 3), "same": st.sampled_from(["k", "n"])},
    ),
    st.builds(lambda bounds, **rest: bounds | rest, BOUNDS, event=NAMES, where=WHERE, sum=st.just("n")),
    st.builds(lambda bounds, **rest: bounds | rest, BOUNDS, event=NAMES, sum=st.just("n"), times=st.just("q")),
    st.builds(lambda bounds, what: bounds | {"cart": what}, BOUNDS, st.sampled_from(["total", "quantity", "items"])),
)
RULES = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda kind, those: {kind: those}, st.sampled_from(["all", "any", "none"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)
THINGS = st.fixed_dictionaries(
    {},
    optional={
        "k": st.sampled_from(["x", "y", 1, True, None, ["x"]]),
        "n": st.sampled_from([0.1, 0.2, 1, 2, "0.1", "n", None]),
        "q": st.sampled_from([1, 2, "3", "many"]),
        "price": st.sampled_from([0.1, 1, "0.2"]),
        "quantity": st.integers(1, 3),
    },
)
EVENTS = st.lists(st.builds(Did, st.sampled_from("ABCD"), THINGS), max_size=6)


def slowly(rule: Any, events: Sequence[Did], cart: Sequence[dict[str, Any]]) -> bool:  # noqa: PLR0911
    """The same, rule by rule, as the documentation says it."""
    if isinstance(rule, str):
        return any(event.name == rule for event in events)
    if "all" in rule:
        return all(slowly(one, events, cart) for one in rule["all"])
    if "any" in rule:
        return any(slowly(one, events, cart) for one in rule["any"])
    if "none" in rule:
        return not any(slowly(one, events, cart) for one in rule["none"])
    if "cart" in rule:
        pieces = {
            "items": Fraction(len(cart)),
            "quantity": total(cart, "", "quantity"),
            "total": total(cart, "price", "quantity"),
        }
        return within(pieces[rule["cart"]], rule)
    those = [
        e.properties for e in events if e.name == rule["event"] and compiled(asked(rule.get("where", [])))(e.properties, e.at)
    ]
    if "sum" in rule:
        return within(total(those, rule["sum"], rule.get("times", "")), rule)
    counts = [len(those)]
    if rule.get("same"):
        values = [value_at(one, rule["same"]) for one in those]
        scalars = [(type(v) is bool, v) for v in values if isinstance(v, str | int | float)]
        counts = [scalars.count(one) for one in scalars] or [0]
    return any(rule.get("at_least", 1) <= count <= rule.get("at_most", 1000) for count in counts)


def total(things: Sequence[dict[str, Any]], number: str, times: str) -> Fraction:
    return sum((exact(one, number) * exact(one, times) for one in things if number == "" or known(one, number)), Fraction(0))


def known(thing: dict[str, Any], path: str) -> bool:
    return number_of(thing.get(path)) is not None


def exact(thing: dict[str, Any], path: str) -> Fraction:
    return Fraction(str(number_of(thing[path]))) if path and known(thing, path) else Fraction(1)


def within(number: Fraction, rule: dict[str, Any]) -> bool:
    bounds = {name: Fraction(str(rule[name])) for name in ("above", "at_least", "below", "at_most") if name in rule}
    return (
        number > bounds.get("above", number - 1)
        and number >= bounds.get("at_least", number)
        and number < bounds.get("below", number + 1)
        and number <= bounds.get("at_most", number)
    )


class Asked(BaseModel):
    where: Where


def asked(conditions: list[object]) -> Where:
    return Asked.model_validate({"where": conditions}).where


@settings(max_examples=300, deadline=None)
@given(st.lists(RULES, max_size=3), EVENTS, st.lists(THINGS, max_size=3))
def test_the_fast_way_agrees_with_the_slow_one(given: list[Any], events: list[Did], cart: list[dict[str, Any]]) -> None:
    each = [slowly(rule, events, cart) for rule in given]
    assert holds(rules(*given), events, lambda: cart) is all(each)
    assert any_holds(rules(*given), events, lambda: cart) is any(each)
