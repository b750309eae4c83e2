"""What triggers ask: of one event, of a visit, of a profile. These are the models; `shared.conditions` and
`shared.visit_rules` answer them.

A *condition* is about one thing: the properties of one event, the attributes of a profile, or the change of an attribute. A
*rule* is about a visit: that it has such an event, or so many of them, or that its cart is worth so much.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, StrictBool, StrictFloat, StrictInt, StrictStr, StringConstraints, Tag, model_validator

from shared.fields import Column, EventName, Part, Path

_Text = Annotated[StrictStr, StringConstraints(max_length=1000)]
Number: TypeAlias = StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)]
Scalar: TypeAlias = StrictBool | Number | _Text
"""A value that others are compared with."""

Moment = Annotated[StrictStr, StringConstraints(max_length=40)]
"""An ISO 8601 time with its zone, or an ISO 8601 duration (`-P7D`, `PT2H`) counted from the event's own time."""


class Bounds(Part):
    """A number, and where it must lie. All that is given must hold."""

    above: Number | None = None
    at_least: Number | None = None
    below: Number | None = None
    at_most: Number | None = None

    @property
    def bounded(self) -> bool:
        """Whether anything is asked."""
        return any(bound is not None for bound in (self.above, self.at_least, self.below, self.at_most))


class Ask(Bounds):
    """A condition on the value at a path. All that is given must hold; what is not there meets none but `exists: false`,
    `not_equals` and `not_in`.
    """

    path: Path
    """Within an event's properties, a profile's attributes, or a change's `old` and `new`."""
    exists: bool | None = None
    """Whether there is a value, null being none."""
    equals: Scalar | None = None
    """A text equals a text, and a number a number, in value and kind: 5 and 5.0 are equal, 5 and "5" are not."""
    not_equals: Scalar | None = None
    in_: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=500)] | None = Field(default=None, alias="in")
    not_in: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=500)] | None = None
    contains: Scalar | None = None
    """Of a text a part, whatever its case; of a list an element."""
    matches: Annotated[StrictStr, StringConstraints(min_length=1, max_length=500)] | None = None
    """A regular expression in the syntax of RE2, which cannot run for ever; found anywhere in the text."""
    before: Moment | None = None
    after: Moment | None = None

    @model_validator(mode="after")
    def _asks(self) -> Ask:
        if all(getattr(self, name) is None for name in type(self).model_fields if name != "path"):
            raise ValueError("beside path what is asked of it: exists, equals, in, contains, matches, above, before …")
        return self


class AllConditions(Part):
    """Each of them."""

    all: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=50)]


class AnyCondition(Part):
    """At least one of them."""

    any: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=50)]


class NoCondition(Part):
    """None of them."""

    none: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=50)]


_GROUPS = ("all", "any", "none")

TAGS = frozenset({*_GROUPS, "name", "event", "sum", "cart", "changed", "ask"})
"""The forms of rules and conditions: what pydantic names after an element's place in its list, beside what is in it."""


def _form(value: object, others: tuple[str, ...], default: str) -> str:
    keys = value if isinstance(value, Mapping) else getattr(value, "model_fields_set", ())
    return next((name for name in (*_GROUPS, *others) if name in keys), default)


def _condition_form(value: object) -> str:
    return _form(value, (), "ask")


Condition = Annotated[
    Annotated[Ask, Tag("ask")]
    | Annotated[AllConditions, Tag("all")]
    | Annotated[AnyCondition, Tag("any")]
    | Annotated[NoCondition, Tag("none")],
    Discriminator(_condition_form),
]

Where: TypeAlias = Annotated[tuple[Condition, ...], Field(max_length=50)]
"""Conditions on the same thing, which must all hold."""


class Happened(Part):
    """The visit has events of this name that meet the conditions: at least one, or as many as is said."""

    event: EventName
    where: Where = ()
    at_least: int = Field(default=1, ge=0, le=1000)
    at_most: int | None = Field(default=None, ge=0, le=1000)
    same: Path | Literal[""] = ""
    """Only events with the same value at this path are counted together: `product_id`, for two views of one product."""

    @model_validator(mode="after")
    def _can_be(self) -> Happened:
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError("at_least to be no more than at_most, or it can never be")
        return self


class _Measure(Bounds):
    @model_validator(mode="after")
    def _asks(self) -> Self:
        if not self.bounded:
            raise ValueError("what is asked of the number: above, at_least, below or at_most")
        return self


class Summed(_Measure):
    """The sum, over the visit's events of this name that meet the conditions, of the number at a path. Of no events it is 0."""

    event: EventName
    where: Where = ()
    sum: Path
    times: Path | Literal[""] = ""
    """Where each event says how many times its number counts: `quantity`. 1 where it says nothing."""


class InCart(_Measure):
    """The visit's cart: its worth (`total`, price times quantity), its pieces (`quantity`), its kinds of products (`items`)."""

    cart: Literal["total", "quantity", "items"]


class Changed(Part):
    """An attribute of a profile changed; `where` asks of `old` and `new`. For triggers of the type `profile_change` only."""

    changed: Column
    where: Where = ()


class AllRules(Part):
    """Each of them, each by any event of the visit."""

    all: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=50)]


class AnyRule(Part):
    """At least one of them."""

    any: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=50)]


class NoRule(Part):
    """None of them, up to when the trigger fires."""

    none: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=50)]


def _rule_form(value: object) -> str:
    if isinstance(value, str):
        return "name"
    return _form(value, ("sum", "cart", "changed"), "event")


Rule = Annotated[
    Annotated[EventName, Tag("name")]
    | Annotated[Happened, Tag("event")]
    | Annotated[Summed, Tag("sum")]
    | Annotated[InCart, Tag("cart")]
    | Annotated[Changed, Tag("changed")]
    | Annotated[AllRules, Tag("all")]
    | Annotated[AnyRule, Tag("any")]
    | Annotated[NoRule, Tag("none")],
    Discriminator(_rule_form),
]
"""A bare name says that there is such an event."""
