"""What `shared.rules` asks of a visit, as functions of its events: made once for a definition, fast to ask often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Protocol, TypeAlias

from pydantic import JsonValue

from shared.conditions import COMPARED, along, compiled, kind_and_value, number_of
from shared.rules import AllRules, AnyRule, Bounds, Changed, Happened, InCart, NoRule, Rule, Summed
from shared.triggers import Cart

PROFILE_CHANGED = "Profile Changed"
"""The event that is made of a change to a profile: properties `attribute`, `old` and `new`."""


class Event(Protocol):
    """What rules look at."""

    @property
    def name(self) -> str:
        """What happened."""
        ...

    @property
    def at(self) -> datetime:
        """When."""
        ...

    @property
    def properties(self) -> Mapping[str, JsonValue]:
        """What else is known of it."""
        ...


Item: TypeAlias = Mapping[str, JsonValue]
"""Something in a cart: its properties, price and quantity at the paths that the `Cart` says."""

Events: TypeAlias = Sequence[Event]

CartOf = Callable[[], Sequence[Item]]
"""The visit's cart, made when a rule asks for it."""

Leaf: TypeAlias = str | Happened | Summed | Changed

_Holds = Callable[[Events, CartOf], bool]

_NOTHING = Decimal(0)
_ONE = Decimal(1)


def names_of(rules: Iterable[Rule]) -> frozenset[str]:
    """The names of all events that the rules look at, below `none` too; not those that the cart is made of."""
    return frozenset(_name(leaf) for leaf in leaves(rules) if not isinstance(leaf, InCart))


def leaves(rules: Iterable[Rule], *, counting: bool = False) -> Iterator[Leaf | InCart]:
    """The rules that stand for themselves; with `counting` only those that are not below `none`."""
    for rule in rules:
        if isinstance(rule, AllRules):
            yield from leaves(rule.all, counting=counting)
        elif isinstance(rule, AnyRule):
            yield from leaves(rule.any, counting=counting)
        elif isinstance(rule, NoRule):
            if not counting:
                yield from leaves(rule.none)
        else:
            yield rule


def qualifying(rules: Iterable[Rule], cart: Cart | None = None) -> Callable[[Event], bool]:
    """Whether an event meets a rule that is not below `none`.

    A rule about the cart is met by no event. Where such rules alone are enough, the events that the cart is made of qualify.
    """
    rules = tuple(rules)
    tests: dict[str, list[Callable[[Event], bool]]] = {}
    for leaf in leaves(rules, counting=True):
        if not isinstance(leaf, InCart):
            tests.setdefault(_name(leaf), []).append(_meets(leaf))
    for name in cart_names(cart) if _by_cart_alone(rules) else ():
        tests.setdefault(name, []).append(_whatever)
    return lambda event: any(test(event) for test in tests.get(event.name, ()))


def cart_names(cart: Cart | None) -> frozenset[str]:
    """The names of the events that say what is in a cart."""
    return frozenset(name for name in (cart.add, cart.remove, cart.full) if name) if cart else frozenset()


def _by_cart_alone(rules: Sequence[Rule]) -> bool:
    """Whether the cart alone can make all of these rules hold."""
    return all(_of_cart(rule) for rule in rules) and any(isinstance(leaf, InCart) for leaf in leaves(rules, counting=True))


def _of_cart(rule: Rule) -> bool:
    if isinstance(rule, AllRules):
        return all(_of_cart(inner) for inner in rule.all)
    if isinstance(rule, AnyRule):
        return any(_of_cart(inner) for inner in rule.any)
    return isinstance(rule, InCart | NoRule)


def holds(rules: Sequence[Rule], events: Events, cart_of: CartOf, cart: Cart | None = None) -> bool:
    """Whether all of the rules hold for these events, and this cart. Of no rules, they do."""
    return all(_of_rule(rule, cart)(events, cart_of) for rule in rules)


def any_holds(rules: Sequence[Rule], events: Events, cart_of: CartOf, cart: Cart | None = None) -> bool:
    """Whether one of the rules holds. Of no rules, none does."""
    return any(_of_rule(rule, cart)(events, cart_of) for rule in rules)


class _Same:
    """A rule and a cart by what they are: an equal rule may ask for `true` where this one asks for 1."""

    __slots__ = ("cart", "rule")

    def __init__(self, rule: Rule, cart: Cart) -> None:
        self.rule, self.cart = rule, cart

    def __hash__(self) -> int:
        return hash((id(self.rule), id(self.cart)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.rule is self.rule and other.cart is self.cart


_USUAL_CART = Cart()


def _of_rule(rule: Rule, cart: Cart | None) -> _Holds:
    return _compiled(_Same(rule, cart or _USUAL_CART))


@lru_cache(maxsize=4096)
def _compiled(same: _Same) -> _Holds:
    return _made(same.rule, same.cart)


def _made(rule: Rule, cart: Cart) -> _Holds:
    if isinstance(rule, AllRules):
        inner = [_made(one, cart) for one in rule.all]
        return lambda events, cart_of: all(one(events, cart_of) for one in inner)
    if isinstance(rule, AnyRule | NoRule):
        negated = isinstance(rule, NoRule)
        inner = [_made(one, cart) for one in (rule.none if isinstance(rule, NoRule) else rule.any)]
        return lambda events, cart_of: any(one(events, cart_of) for one in inner) is not negated
    if isinstance(rule, InCart):
        return _in_cart(rule, cart)
    return _summed(rule) if isinstance(rule, Summed) else _happened(rule)


def _name(leaf: Leaf) -> str:
    if isinstance(leaf, str):
        return leaf
    return PROFILE_CHANGED if isinstance(leaf, Changed) else leaf.event


def _whatever(event: Event) -> bool:
    return True


def _meets(leaf: Leaf) -> Callable[[Event], bool]:
    """Whether an event of the leaf's name meets it."""
    if isinstance(leaf, str):
        return _whatever
    where = compiled(leaf.where)
    if isinstance(leaf, Changed):
        attribute = leaf.changed
        return lambda event: event.properties.get("attribute") == attribute and where(event.properties, event.at)
    return (lambda event: where(event.properties, event.at)) if leaf.where else _whatever


def _happened(leaf: str | Happened | Changed) -> _Holds:
    name, meets = _name(leaf), _meets(leaf)
    if isinstance(leaf, Happened) and (leaf.same or leaf.at_least != 1 or leaf.at_most is not None):
        return _counted(leaf, meets)
    if meets is _whatever:
        return lambda events, _: any(event.name == name for event in events)
    return lambda events, _: any(event.name == name and meets(event) for event in events)


def _counted(leaf: Happened, meets: Callable[[Event], bool]) -> _Holds:
    name, least = leaf.event, leaf.at_least
    most = float("inf") if leaf.at_most is None else leaf.at_most
    steps = leaf.same.split(".")

    def holds(events: Events, _: CartOf) -> bool:
        found = [event for event in events if event.name == name and meets(event)]
        counts = _of_each_value(found, steps) if leaf.same else [len(found)]
        return any(least <= count <= most for count in counts or [0])

    return holds


def _of_each_value(events: Iterable[Event], steps: Sequence[str]) -> list[int]:
    """How many of the events have each text, number or truth at the end of these steps."""
    values = (kind_and_value(along(event.properties, steps)) for event in events)
    return list(Counter(value for value in values if value[0]).values())


def _summed(leaf: Summed) -> _Holds:
    name, meets, within = leaf.event, _meets(leaf), _within(leaf)
    steps, times = leaf.sum.split("."), leaf.times.split(".") if leaf.times else ()

    def holds(events: Events, _: CartOf) -> bool:
        found = (event.properties for event in events if event.name == name and meets(event))
        return within(sum((_product(properties, steps, times) for properties in found), _NOTHING))

    return holds


def _in_cart(rule: InCart, cart: Cart) -> _Holds:
    within, what = _within(rule), rule.cart
    price, quantity = cart.price.split("."), cart.quantity.split(".")

    def holds(_: Events, cart_of: CartOf) -> bool:
        items = cart_of()
        if what == "items":
            return within(Decimal(len(items)))
        if what == "quantity":
            return within(sum((_decimal(item, quantity, _ONE) for item in items), _NOTHING))
        return within(sum((_product(item, price, quantity) for item in items), _NOTHING))

    return holds


def _product(values: Mapping[str, JsonValue], number: Sequence[str], times: Sequence[str]) -> Decimal:
    return _decimal(values, number, _NOTHING) * (_decimal(values, times, _ONE) if times else _ONE)


def _decimal(values: Mapping[str, JsonValue], steps: Sequence[str], otherwise: Decimal) -> Decimal:
    """The number there as it is written, so that ten times 0.1 is 1."""
    number = number_of(along(values, steps))
    if number is None:
        return otherwise
    return Decimal(number if isinstance(number, int) else repr(number))


def _within(bounds: Bounds) -> Callable[[Decimal], bool]:
    asked = [(COMPARED[name], Decimal(str(bound))) for name in COMPARED if (bound := getattr(bounds, name)) is not None]
    return lambda number: all(compare(number, bound) for compare, bound in asked)
