"""Everything that can be found wrong with a trigger before anybody visits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.condition_faults import condition_faults
from shared.conditions import compiled
from shared.rule_faults import faults_of
from shared.triggers import Trigger
from shared.validation import check
from tests.shared.test_conditions import ASKS, AT, CONDITIONS, VALUES, Asked
from tests.shared.test_visit_rules import RULES

SOUND: dict[str, object] = {
    "name": "cart",
    "must_include": ["Product Added"],
    "wait_seconds": 3600,
    "template": "cart",
    "integration": "esp",
    "campaign": "carts",
    "delivery": "first",
}


def faults(**changes: object) -> dict[str, str]:
    return {fault.field: fault.expected for fault in faults_of(Trigger.model_validate(SOUND | changes))}


def where(*conditions: object) -> dict[str, str]:
    """Faults of conditions, below `must_include.0.where`."""
    found = faults(must_include=[{"event": "A", "where": conditions}])
    return {field.removeprefix("must_include.0.where."): expected for field, expected in found.items()}


SAME = {"event": "A", "at_least": 2, "same": "x"}
GOLD = {"changed": "tier", "where": [{"path": "new", "equals": "gold"}, {"path": "old.x", "exists": True}]}
COMPLETE: dict[str, object] = {
    "cancels": "all",
    "requires": ["profile.first_name", "cart", "metadata.term", "lookup.product.name", "event.properties.x"],
    "metadata": {"term": {"path": "query"}},
    "lookups": {"product": {"entity": "products", "key": "metadata.term"}},
    "if_missing": "drop",
}
ADULTS = [
    {"path": "age", "at_least": 18},
    {"path": "last_order", "before": "-P7D", "after": "-P30D"},
    {"any": [{"path": "age", "below": 30}, {"path": "x", "exists": False}]},
]
SOUND_ONES: list[dict[str, object]] = [
    {},
    {"must_include": [{"any": ["A", {"cart": "total", "above": 50, "below": 100}]}, {"none": ["B"]}]},
    {"must_include": [SAME], "must_not_include": [SAME | {"at_least": 3}]},
    {"must_include": [{"event": "A", "at_least": 5}], "must_not_include": [SAME]},
    {"must_include": ["A"], "must_not_include": [{"event": "A", "where": [{"path": "x", "equals": 1}]}]},
    {"must_include": ["A"], "must_not_include": [{"all": ["A", "B"]}, {"cart": "total", "below": 5}]},
    {"must_include": ["A", {"event": "B", "at_least": 0, "at_most": 0}]},
    {"must_include": [{"event": "A", "sum": "n", "above": -5, "at_most": 0}]},
    {"type": "session_start", "must_include": [], "must_not_include": None},
    {"type": "session_end", "must_include": [{"none": ["A"]}], "new_visit": "cancels", "restarted_by": "any_event"},
    {"type": "profile_change", "must_include": [GOLD]},
    {"new_visit": "cancels", "wait_seconds": 1801},
    COMPLETE,
    {"audience": ADULTS},
]


@pytest.mark.parametrize("changes", SOUND_ONES)
def test_nothing_is_wrong_with_what_can_be(changes: dict[str, object]) -> None:
    assert faults(**changes) == {}


IMPOSSIBLE: list[tuple[list[object], str]] = [
    ([{"path": "x", "equals": 1}, {"path": "x", "equals": 2}], "1.equals"),
    ([{"path": "x", "equals": 1}, {"path": "x", "equals": True}], "1.equals"),
    ([{"path": "x", "equals": "a", "not_equals": "a"}], "0.not_equals"),
    ([{"path": "x", "equals": "a"}, {"all": [{"path": "x", "in": ["b", "c"]}]}], "1.all.0.in"),
    ([{"path": "x", "in": ["a", "b"]}, {"path": "x", "not_in": ["b", "a"]}], "1.not_in"),
    ([{"path": "x", "exists": False, "above": 5}], "0.exists"),
    ([{"path": "x", "exists": True}, {"path": "x", "exists": False}], "1.exists"),
    ([{"path": "x", "above": 5, "below": 5}], "0.below"),
    ([{"path": "x", "above": 5, "at_most": 5}], "0.at_most"),
    ([{"path": "x", "at_least": 6}, {"path": "x", "at_most": 5.5}], "1.at_most"),
    ([{"path": "x", "equals": "abc", "above": 5}], "0.equals"),
    ([{"path": "x", "equals": 5, "matches": "5"}], "0.matches"),
    ([{"path": "x", "in": ["abc", "b"], "contains": "x"}], "0.contains"),
    ([{"path": "x", "contains": 5, "matches": "a"}], "0.matches"),
    ([{"path": "x", "equals": 5, "before": "2026-01-01T00:00:00Z", "after": "2025-01-01T00:00:00Z"}], "0.after"),
    ([{"path": "x", "after": "2026-01-01T00:00:00Z", "before": "2026-01-01T00:00:00Z"}], "0.after"),
    ([{"path": "x", "before": "-P7D", "after": "-P1D"}], "0.after"),
    ([{"path": "x", "above": 5}, {"any": [{"path": "x", "below": 9}, {"path": "x", "below": 4}]}], "1.any.1.below"),
    ([{"none": [{"path": "x", "above": 5, "below": 4}]}], "0.none.0.below"),
    ([{"any": [{"path": "y", "equals": 1}, {"all": [{"path": "x", "above": 1, "below": 1}]}]}], "0.any.1.all.0.below"),
]  # fmt: skip


@pytest.mark.parametrize(("conditions", "field"), IMPOSSIBLE)
def test_conditions_that_can_never_be_met_together(conditions: list[object], field: str) -> None:
    found = where(*conditions)
    assert [*found] == [field]
    assert found[field].startswith("something that can be true together with must_include.0.where.")


def test_a_contradiction_names_the_other_side() -> None:
    found = where({"path": "x", "exists": True}, {"path": "x", "above": 5}, {"path": "x", "below": 3})
    assert found == {"2.below": "something that can be true together with must_include.0.where.1.above"}


@pytest.mark.parametrize("pattern", ["(", "(?=secret)", r"\1secret"])
def test_bad_patterns_are_told_without_repeating_them(pattern: str) -> None:
    found = where({"path": "x", "matches": pattern, "equals": "x"})
    assert [*found] == ["0.matches"]
    assert found["0.matches"].startswith("a regular expression in the syntax of RE2: ")
    assert "secret" not in found["0.matches"]


@pytest.mark.parametrize("moment", ["yesterday", "2026-01-31", "2026-01-31T10:00:00", "P1M", "7D"])
def test_bad_times(moment: str) -> None:
    found = where({"path": "x", "before": moment}, {"path": "x", "after": "-P1D"})
    assert [*found] == ["0.before"]
    assert "ISO 8601" in found["0.before"]


def test_conditions_of_the_audience_are_looked_at_too() -> None:
    assert [*faults(audience=[{"path": "x", "equals": 1}, {"path": "x", "equals": 2}])] == ["audience.1.equals"]


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"event": "A", "sum": "n", "above": 5, "below": 4}, "must_include.0.below"),
        ({"cart": "total", "below": 0}, "must_include.0.below"),
        ({"cart": "items", "at_least": 3, "at_most": 2}, "must_include.0.at_most"),
        ({"event": "A", "at_least": 0}, "must_include.0.at_least"),
        ({"changed": "tier"}, "must_include.0"),
        ({"none": ["A"]}, "must_include"),
        ({"event": "A", "at_least": 0, "at_most": 0}, "must_include"),
        ({"any": ["A", {"event": "Order Completed", "where": [{"path": "x", "exists": True}]}]}, "must_include.0.any.1"),
        ({"all": ["A", {"none": [{"event": "A"}]}]}, "must_include.0.all.0"),
    ],
)
def test_rules_that_never_hold_or_always_do(rule: object, field: str) -> None:
    assert [*faults(must_include=[rule])] == [field]


@pytest.mark.parametrize(
    ("must_include", "must_not_include", "field"),
    [
        (["A", "B"], ["B"], "must_include.1"),
        ([{"event": "A", "at_least": 3}], [{"event": "A", "at_least": 2}], "must_include.0"),
        ([{"event": "A", "at_least": 3, "same": "x"}], [{"event": "A", "at_least": 2}], "must_include.0"),
        ([{"event": "A", "where": [{"path": "x", "equals": 1}, {"path": "y", "exists": True}]}],
         [{"event": "A", "where": [{"path": "x", "equals": 1}]}], "must_include.0"),
        ([{"cart": "total", "above": 5}], [{"any": ["B", {"cart": "total", "above": 5}]}], "must_include.0"),
        ([{"all": ["A", {"any": ["B", "C"]}]}], [{"all": ["A", "C"]}], "must_include.0.all.1.any.1"),
    ],
)  # fmt: skip
def test_what_is_both_included_and_excluded(must_include: list[object], must_not_include: list[object], field: str) -> None:
    found = faults(must_include=must_include, must_not_include=must_not_include)
    assert [*found] == [field]
    assert "must_not_include.0: as it is, it can never fire" in found[field]


def test_an_abandonment_says_what_ends_it_by_itself() -> None:
    found = faults(must_include=["Order Completed"])
    assert "must_not_include is not given" in found["must_include.0"]


@pytest.mark.parametrize(
    "rule", [{"none": ["B"]}, {"event": "B", "sum": "n", "below": 5}, {"event": "B", "at_least": 0, "at_most": 3}]
)
def test_what_ends_everything_at_once(rule: object) -> None:
    assert [*faults(must_not_include=[rule])] == ["must_not_include.0"]


CHANGED = {"changed": "tier"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": "profile_change"}, "must_include.0"),
        ({"type": "profile_change", "must_include": [CHANGED], "must_not_include": ["Order Completed"]}, "must_not_include.0"),
        ({"type": "profile_change", "must_include": [CHANGED], "trackers": ["shop"]}, "trackers"),
        ({"type": "profile_change", "must_include": [CHANGED | {"where": [{"any": [{"path": "tier", "equals": 1}]}]}]},
         "must_include.0.where.0.any.0.path"),
        ({"must_include": ["A", {"cart": "items", "above": 1}], "cart": None}, "must_include.1"),
        ({"new_visit": "cancels", "wait_seconds": 1800}, "new_visit"),
        ({"type": "event", "restarted_by": "any_event"}, "restarted_by"),
        ({"type": "session_start", "restarted_by": "qualifying_event"}, "restarted_by"),
        ({"cancels": ["other", "cart"]}, "cancels.1"),
        ({"if_missing": "wait"}, "if_missing"),
        ({"requires": ["profile.x", "customer.x"]}, "requires.1"),
        ({"requires": ["metadata.term"]}, "requires.0"),
        ({"requires": ["lookup"]}, "requires.0"),
        ({"requires": ["event.price"]}, "requires.0"),
        ({"requires": ["cart.0.name"], "cart": None}, "requires.0"),
        ({"lookups": {"product": {"entity": "products", "key": "lookup.product.name"}}}, "lookups.product.key"),
        ({"lookups": {"product": {"entity": "products", "key": "properties.product_id"}}}, "lookups.product.key"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together(changes: dict[str, object], field: str) -> None:
    assert [*faults(**changes)] == [field]


def test_all_faults_are_told_at_once() -> None:
    found = faults(
        must_include=[CHANGED, {"event": "A", "where": [{"path": "x", "matches": "("}]}], requires=["x"], cancels=["cart"]
    )
    assert [*found] == ["must_include.0", "must_include.1.where.0.matches", "cancels.0", "requires.0"]


FLAT = st.lists(ASKS.map(lambda ask: ask | {"path": "a"}), min_size=1, max_size=3)


@settings(max_examples=80, deadline=None)
@given(FLAT, st.lists(VALUES, min_size=20, max_size=20))
def test_what_is_said_to_be_impossible_is_met_by_nothing(conditions: list[dict[str, Any]], values: list[Any]) -> None:
    conditions_of = Asked.model_validate({"where": conditions}).where
    impossible = [fault for fault in condition_faults(conditions_of, "where") if "true together" in fault.expected]
    # What conditions name is what comes closest to meeting them.
    named = [value for ask in conditions for value in ask.values() if not isinstance(value, list)]
    named += [value for ask in conditions for values in ask.values() if isinstance(values, list) for value in values]
    test = compiled(conditions_of)
    met = [value for value in (*values, *named, None) if test({"a": value}, AT)]
    assert not (impossible and met)


@settings(max_examples=200, deadline=None)
@given(st.lists(RULES, min_size=1, max_size=3), st.lists(RULES, max_size=2), st.lists(CONDITIONS, max_size=2))
def test_whatever_is_written_is_judged(included: list[Any], excluded: list[Any], audience: list[Any]) -> None:
    for fault in faults_of(
        Trigger.model_validate(SOUND | {"must_include": included, "must_not_include": excluded, "audience": audience})
    ):
        assert fault.field.partition(".")[0] in ("must_include", "must_not_include", "audience")
        assert fault.expected


# ---- Forms


@pytest.mark.parametrize(
    ("rule", "field", "expected"),
    [
        ({"event": "A", "where": "price"}, "where", "a list"),
        ({"event": "A", "where": [{"path": "price", "greater": 5}]}, "where.0.greater", "no such field"),
        ({"event": "A", "at_leest": 2}, "at_leest", "no such field"),
        ({"sum": "price", "above": 5}, "event", "a value: the field is required"),
        ({"cart": "worth", "above": 5}, "cart", "'total', 'quantity' or 'items'"),
        ({"changed": "tier", "wear": []}, "wear", "no such field"),
        ({"any": []}, "any", "a list of at least 1 item"),
        ({"any": [{"all": [{"event": "A", "at_least": "x"}]}]}, "any.0.all.0.at_least", "a whole number"),
        ({"none": [{"event": "A", "where": [{"any": [{"path": "a b", "exists": True}]}]}]}, "none.0.where.0.any.0.path", None),
        ({"event": "A", "where": [{"path": "price", "above": "5"}]}, "where.0.above", "a whole number"),
        ({"all": ["A"], "any": ["B"]}, "any", "no such field"),
        (None, "", "an object"),
        (5, "", "an object"),
    ],
)
def test_a_rule_of_the_wrong_form_is_told_once_at_its_own_field(rule: Any, field: str, expected: str | None) -> None:
    body: dict[str, Any] = {**SOUND, "must_include": ["A", rule]}
    _, found = check("trigger", body)
    assert [fault.field for fault in found] == [f"must_include.1.{field}".rstrip(".")]
    assert expected is None or found[0].expected == expected
