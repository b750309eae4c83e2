"""Conditions on one thing, one by one, and at random against an evaluator that is slow and obvious."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.conditions import compiled, expression, moment_of, number_of, time_of
from shared.mapping import at as value_at
from shared.rules import Where

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Asked(BaseModel):
    where: Where


def where(*conditions: object) -> Where:
    return Asked.model_validate({"where": conditions}).where


def meets(value: object, **asked: object) -> bool:
    return compiled(where({"path": "v"} | asked))({"v": value}, AT)  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        ("a", {"exists": True}),
        (None, {"exists": False}),
        (0, {"exists": True}),
        ("a", {"equals": "a"}),
        (5, {"equals": 5.0}),
        (True, {"equals": True}),
        ("5", {"not_equals": 5}),
        (None, {"not_equals": 5}),
        (None, {"not_in": [5]}),
        ([5], {"not_equals": 5}),
        ("b", {"in": ["a", "b"]}),
        (2, {"in": [1, 2.0]}),
        ("Straße", {"contains": "STRASSE"}),
        (["a", 5], {"contains": 5}),
        ("abc", {"matches": "^a.c$"}),
        ("xxabcxx", {"matches": "abc"}),
        ("half a pair \ud800", {"matches": "pair"}),
        (5, {"above": 4, "at_most": 5}),
        ("49.90", {"above": 49, "below": 50}),
        ("0.1", {"at_least": 0.1, "at_most": 0.1}),
        ("9007199254740993", {"above": 9007199254740992}),
        ("2026-11-22T10:00:00Z", {"before": "2026-11-22T12:00:00+01:00"}),
        ("2026-11-22T11:59:00Z", {"after": "-PT2H"}),
        (1795348800, {"after": "2026-01-01T00:00:00Z", "before": "P7D"}),
        (1795348800000, {"after": "2026-01-01T00:00:00Z", "before": "P7D"}),
        ("2026-11-29T11:00:00Z", {"before": "P1W", "after": "P6DT22H30M1S"}),
    ],
)
def test_meets(value: object, asked: dict[str, object]) -> None:
    assert meets(value, **asked)


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        (None, {"exists": True}),
        ("", {"exists": False}),
        (5, {"equals": "5"}),
        ("5", {"equals": 5}),
        (1, {"equals": True}),
        (True, {"equals": 1}),
        (True, {"in": [1, "x"]}),
        (None, {"in": ["None"]}),
        ("b", {"not_in": ["a", "b"]}),
        ("abc", {"contains": "d"}),
        ("5", {"contains": 5}),
        ([True], {"contains": 1}),
        ({"a": 1}, {"contains": "a"}),
        ("ABC", {"matches": "abc"}),
        (5, {"matches": "5"}),
        (True, {"above": 0}),
        ("12 EUR", {"above": 1}),
        ("1e999", {"above": 1}),
        ("٣", {"above": 1}),
        (float("nan"), {"at_most": 1}),
        (None, {"below": 1}),
        (4, {"above": 4}),
        ("2026-11-22T12:00:00", {"after": "2020-01-01T00:00:00Z"}),
        ("yesterday", {"before": "P1D"}),
        (True, {"after": "2020-01-01T00:00:00Z"}),
        (1e300, {"after": "2020-01-01T00:00:00Z"}),
        ("2026-11-22T12:00:00Z", {"before": "PT0S"}),
        (["2026-11-22T11:00:00Z"], {"before": "PT0S"}),
    ],
)
def test_does_not_meet(value: object, asked: dict[str, object]) -> None:
    assert not meets(value, **asked)


def test_a_duration_counts_from_the_event_and_from_nothing_without_one() -> None:
    test = compiled(where({"path": "v", "after": "-P1D"}))
    assert test({"v": "2026-11-21T13:00:00Z"}, AT)
    assert not test({"v": "2026-11-21T13:00:00Z"}, None)
    assert not test({"v": "2026-11-21T13:00:00Z"}, datetime.min.replace(tzinfo=UTC))


def test_paths_lead_into_objects_and_lists() -> None:
    test = compiled(where({"path": "products.1.sku", "equals": "b"}))
    assert test({"products": [{"sku": "a"}, {"sku": "b"}]}, None)
    assert not test({"products": [{"sku": "a"}]}, None)
    assert not test({"products": {"1": "b"}}, None)
    assert test({"products": {"1": {"sku": "b"}}}, None)


def test_one_and_true_are_told_apart_whoever_came_first() -> None:
    one, true = where({"path": "v", "equals": 1}), where({"path": "v", "equals": True})
    assert one == true  # as Python sees it
    assert compiled(one)({"v": 1}, None)
    assert not compiled(true)({"v": 1}, None)
    assert compiled(one) is compiled(one)


def test_no_condition_is_always_met() -> None:
    assert compiled(())({}, None)


def test_groups() -> None:
    either = {
        "any": [{"path": "a", "equals": 1}, {"all": [{"path": "b", "equals": 2}, {"none": [{"path": "c", "exists": True}]}]}]
    }
    test = compiled(where(either))
    assert test({"a": 1, "c": 3}, None)
    assert test({"b": 2}, None)
    assert not test({"b": 2, "c": 3}, None)


@pytest.mark.parametrize("nothing", [{"path": "v"}, {"path": "v", "equals": None, "in": None}])
def test_a_condition_must_ask_something(nothing: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="what is asked of it"):
        where(nothing)


def test_a_bad_pattern_is_met_by_nothing_only_where_it_is_used() -> None:
    for bad in ("(", r"(a)\1", "(?=x)", "(a{1000}){1000}", "\ud800"):
        with pytest.raises(ValueError, match=r"\w"):
            expression(bad)
    assert expression("x{1000}")(b"x" * 1000)


def test_a_pattern_that_would_take_for_ever_elsewhere_does_not() -> None:
    assert not meets("a" * 30_000, matches="^(a+)+$b")


@pytest.mark.parametrize("bad", ["", "P", "PT", "P1Y", "P1M", "2026-11-22", "2026-11-22T12:00:00", "1 day", "P1DT", "PT1.5H"])
def test_what_is_no_moment(bad: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        moment_of(bad)


def test_moments() -> None:
    assert moment_of("-P1W2DT3H4M5S") == -timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5)
    assert moment_of("2026-11-22T13:00:00+01:00") == AT
    assert time_of(AT.timestamp() * 1000) == time_of(AT.timestamp()) == AT


# At random.

SCALARS = st.one_of(
    st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, -2.5]), st.sampled_from(["", "a", "AB", "1", "2.50", "x", "b"])
)
TIMES = st.sampled_from(["2026-11-22T12:00:00Z", "2026-11-21T12:00:00Z", "2026-11-23T12:00:00+02:00", 1795348800, 1795262400000])
VALUES = st.recursive(
    st.none() | SCALARS | TIMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "0"]), inner, max_size=3),
    max_leaves=8,
)
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, 2.5])
MOMENTS = st.sampled_from(["2026-11-22T12:00:00Z", "2026-11-21T18:00:00Z", "P1D", "-PT12H", "PT0S"])
ASKS = st.fixed_dictionaries(
    {"path": st.sampled_from(["a", "b", "a.b", "a.0", "b.a.0", "0"])},
    optional={
        "exists": st.booleans(),
        "equals": SCALARS,
        "not_equals": SCALARS,
        "in": st.lists(SCALARS, min_size=1, max_size=3),
        "not_in": st.lists(SCALARS, min_size=1, max_size=3),
        "contains": SCALARS,
        "matches": st.sampled_from(["a", "^A", "[0-9]$"]),
        "above": NUMBERS,
        "at_least": NUMBERS,
        "below": NUMBERS,
        "at_most": NUMBERS,
        "before": MOMENTS,
        "after": MOMENTS,
    },
).filter(lambda ask: len(ask) > 1)
CONDITIONS = st.recursive(
    ASKS,
    lambda inner: st.builds(
        lambda kind, those: {kind: those}, st.sampled_from(["all", "any", "none"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)


def slowly(condition: dict[str, Any], values: object, at: datetime) -> bool:
    """The same, condition by condition, as the documentation says it."""
    if "all" in condition:
        return all(slowly(one, values, at) for one in condition["all"])
    if "any" in condition:
        return any(slowly(one, values, at) for one in condition["any"])
    if "none" in condition:
        return not any(slowly(one, values, at) for one in condition["none"])
    value = value_at(values, condition["path"])  # type: ignore[arg-type]
    return all(answered(name, value, wanted, at) for name, wanted in condition.items() if name != "path")


def answered(name: str, value: Any, wanted: Any, at: datetime) -> Any:  # noqa: PLR0911
    if name == "exists":
        return (value is not None) == wanted
    if name in ("equals", "not_equals"):
        return same(value, wanted) == (name == "equals")
    if name in ("in", "not_in"):
        return any(same(value, one) for one in wanted) == (name == "in")
    if name == "contains":
        if isinstance(value, list):
            return any(same(one, wanted) for one in value)
        return isinstance(value, str) and isinstance(wanted, str) and wanted.lower() in value.lower()
    if name == "matches":
        return isinstance(value, str) and re.search(wanted, value) is not None
    if name in ("before", "after"):
        time, limit = time_of(value), moment_of(wanted)
        limit = at + limit if isinstance(limit, timedelta) else limit
        return time is not None and (time < limit if name == "before" else time > limit)
    number = number_of(value)
    if number is None:
        return False
    return {"above": number > wanted, "at_least": number >= wanted, "below": number < wanted, "at_most": number <= wanted}[name]


def same(value: object, wanted: object) -> bool:
    numbers = (int, float)
    if isinstance(value, numbers) and isinstance(wanted, numbers):
        return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted
    return type(value) is type(wanted) and value == wanted


@settings(max_examples=150, deadline=None)
@given(st.lists(CONDITIONS, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "0"]), VALUES, max_size=3))
def test_the_fast_way_agrees_with_the_slow_one(conditions: list[dict[str, Any]], values: dict[str, Any]) -> None:
    expected = all(slowly(one, values, AT) for one in conditions)
    assert compiled(where(*conditions))(values, AT) is expected
    stored = TypeAdapter(Where).validate_json(TypeAdapter(Where).dump_json(where(*conditions), by_alias=True))
    assert compiled(stored)(values, AT) is expected
