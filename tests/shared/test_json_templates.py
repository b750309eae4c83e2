from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from shared.errors import Permanent
from shared.json_templates import render_json, sources

CART: JsonValue = [
    {"name": "Lamp", "price": 49.5, "tags": ["a", "b"]},
    {"name": "Desk", "price": 100, "tags": []},
    {"name": "Pen", "price": 2, "tags": ["c"]},
]
VARIABLES: dict[str, JsonValue] = {
    "profile": {"first_name": "Ada", "age": 36, "nothing": None},
    "cart": CART,
    "nothing": None,
    "big": "a" * 100_000,
    "many": [1] * 10_000,
}


def rendered(body: JsonValue) -> JsonValue:
    return render_json("b", body, VARIABLES)


def refused(body: JsonValue) -> str:
    with pytest.raises(Permanent) as refusal:
        rendered(body)
    return refusal.value.reason


def test_json_keeps_its_structure_and_the_type_of_a_whole_value() -> None:
    body: JsonValue = {
        "to": "{{ profile.first_name }}",
        "age": "{{ profile.age }}",
        "cart": "{{ cart }}",
        "none": "{{ profile.nothing }}",
        "{{ profile.age }}": ["{{ profile.age }} years", 1, True, None],
        "total": "{{ cart | map: 'price' | sum }}",
        "first": "{{ cart[0] }}",
        "$schema": "kept",
    }
    assert rendered(body) == {
        "to": "Ada",
        "age": 36,
        "cart": CART,
        "none": None,
        "{{ profile.age }}": ["36 years", 1, True, None],
        "total": 151.5,
        "first": {"name": "Lamp", "price": 49.5, "tags": ["a", "b"]},
        "$schema": "kept",
    }


@pytest.mark.parametrize(
    ("repeat", "made"),
    [
        ({"$for": "item in cart", "$each": "{{ item.name }}"}, ["Lamp", "Desk", "Pen"]),
        ({"$for": "item in cart", "$each": {"price": "{{ item.price }}"}}, [{"price": 49.5}, {"price": 100}, {"price": 2}]),
        ({"$for": "item in cart limit: 2", "$each": "{{ forloop.index }} of {{ forloop.length }}"}, ["1 of 2", "2 of 2"]),
        ({"$for": "item in cart offset: 1", "$each": "{{ forloop.index0 }}"}, [0, 1]),
        ({"$for": "item in cart reversed", "$each": "{{ item.name }}"}, ["Pen", "Desk", "Lamp"]),
        ({"$for": "item in cart", "$if": "item.price > 10", "$each": "{{ item.name }}"}, ["Lamp", "Desk"]),
        ({"$for": "item in cart", "$if": "item.sale", "$each": "x"}, []),
        ({"$for": "i in (1..3)", "$each": "{{ i }}"}, [1, 2, 3]),
        ({"$for": "item in nothing", "$each": "x"}, []),
        ({"$for": "item in cart", "$each": {"$set": 1}}, [{"$set": 1}] * 3),
        (
            {"$for": "item in cart", "$each": [{"$for": "tag in item.tags", "$each": "{{ item.name }}: {{ tag }}"}]},
            [["Lamp: a", "Lamp: b"], [], ["Pen: c"]],
        ),
    ],
)
def test_lists_repeat_over_what_there_is(repeat: JsonValue, made: list[JsonValue]) -> None:
    assert rendered({"list": ["before", repeat, "after"]}) == {"list": ["before", *made, "after"]}


def test_a_loops_variable_ends_with_it() -> None:
    assert "'item.name' is undefined" in refused([{"$for": "item in cart", "$each": 1}, "{{ item.name }}"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (["{{ nobody }}"], "b/0, line 1: 'nobody' is undefined"),
        ({"a": ["{{ '1e400' | plus: 1 }}"]}, "b/a/0, line 1: it is no JSON value"),
        ({"a": ["{{ empty }}"]}, "b/a/0, line 1: "),
        ([{"$for": "item in cart", "$each": {"x": "{{ item.weight }}"}}], "b/0/$each/x, line 1: 'item.weight' is undefined"),
        ([{"$for": "item in carts", "$each": 1}], "b/0/$for, line 1: 'carts' is undefined"),
        ([{"$for": "c in profile.first_name", "$each": 1}], "b/0/$for, line 1: 'profile.first_name' is not a list"),
        ([{"$for": "x in profile", "$each": 1}], "b/0/$for, line 1: 'profile' is not a list"),
    ],
)
def test_an_error_says_where_and_names_the_variable(body: JsonValue, said: str) -> None:
    assert said in refused(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"$for": "item in cart", "$each": 1}, "only in lists"),
        ({"a": {"$for": "item in cart", "$each": 1}}, "b/a: "),
        ([{"$for": "item in cart"}], "with at most an"),
        ([{"$for": "item in cart", "$each": 1, "more": 2}], "with at most an"),
        ([{"$for": 1, "$each": 1}], "with at most an"),
        ([{"$for": "item in cart", "$if": True, "$each": 1}], "with at most an"),
        ([{"$for": "cart", "$each": 1}], "b/0/$for"),
        ([{"$for": "", "$each": 1}], "b/0/$for"),
        ([{"$for": "x in cart %}{% endfor %}{% for y in cart", "$each": 1}], "b/0/$for"),
        ([{"$for": "x in cart", "$if": "true %}{% endif %}{% if true", "$each": 1}], "b/0/$if"),
        ([{"$for": "x in cart", "$if": "", "$each": 1}], "b/0/$if"),
        (["{{ profile.first_name | nonsense }}"], "there is no filter 'nonsense'"),
        ([{"$for": "x in cart", "$each": "{{ x | nonsense }}"}], "there is no filter 'nonsense'"),
        ([{"$for": "x in cart", "$each": "{{ x"}], "b/0/$each"),
    ],
)
def test_what_is_no_json_template_is_found_without_rendering(body: JsonValue, said: str) -> None:
    def check() -> None:
        for _, source in sources("b", body):
            source.check()

    with pytest.raises(Permanent) as refusal:
        check()
    assert said in refusal.value.reason


NESTED: JsonValue = [
    {"$for": "a in many", "$each": [{"$for": "b in many", "$each": [{"$for": "c in many", "$each": "{{ c }}"}]}]}
]


@pytest.mark.parametrize(
    "body",
    [
        ["{{ big }}"] * 100,
        [{"$for": "i in (1..1000000000)", "$each": 1}],
        [{"$for": "i in (1..99999999999999999999999)", "$each": 1}],
        [{"$for": "a in many", "$each": "{{ big }}"}],
        [{"$for": "a in many", "$if": "big == big", "$each": 1}],
        [{"$for": "a in many", "$each": [1] * 1_000}],
        NESTED,
        [{"$for": "a in many", "$each": [{"$for": "b in many", "$if": "false", "$each": 1}]}],
        [{"$for": "a in many", "$each": [{"$for": "b in (1..9999)", "$each": {}}]}],
        [{"$for": "a in many", "$each": 1}] * 300,
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_repeats_share_one_budget_and_end(body: JsonValue) -> None:
    began = time.process_time()
    assert "too much work" in refused(body)
    assert time.process_time() - began < 3


def test_a_body_deeper_than_any_is_refused_not_crashed() -> None:
    body: JsonValue = "{{ profile.age }}"
    for _ in range(100_000):
        body = [body]
    with pytest.raises(Permanent, match="at most 50 deep"):
        render_json("b", body, VARIABLES)


anything: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
nasty = st.text() | st.sampled_from(
    ['"', '","x":"', "\\", "}}", "{{ to }}", "{% raw %}", "\u2028", "\x00", '"}', "</script>", '{"$for": "x in cart"}', "$each"]
)
items: st.SearchStrategy[dict[str, JsonValue]] = st.fixed_dictionaries({"name": nasty, "data": anything})


@given(name=nasty, deep=anything, cart=st.lists(items, max_size=4))
def test_no_content_changes_the_structure_of_the_json(name: str, deep: JsonValue, cart: list[dict[str, JsonValue]]) -> None:
    body: JsonValue = {
        "to": {"name": "Dear {{ name }}!"},
        "exact": "{{ name }}",
        "data": "{{ deep }}",
        "list": ["{{ name }}", {"$for": "item in cart", "$each": {"n": "<{{ item.name }}>", "d": "{{ item.data }}"}}, 7],
        "constants": [1, 1.5, True, None, "x", {"k": []}],
    }
    made = render_json("b", body, {"name": name, "deep": deep, "to": "secret", "cart": [*cart]})
    assert json.loads(json.dumps(made)) == {
        "to": {"name": f"Dear {name}!"},
        "exact": name,
        "data": deep,
        "list": [name, *({"n": f"<{item['name']}>", "d": item["data"]} for item in cart), 7],
        "constants": [1, 1.5, True, None, "x", {"k": []}],
    }


def _shape(part: JsonValue) -> JsonValue:
    """Keys, numbers of elements, and what is of which type."""
    if isinstance(part, dict):
        return {key: _shape(value) for key, value in part.items()}
    return [_shape(value) for value in part] if isinstance(part, list) else type(part).__name__


leaf: st.SearchStrategy[JsonValue] = st.sampled_from(
    ["plain", "Hi {{ name }}", "{{ name }}{{ name }}", "{% if name %}{{ name }}{% endif %}", "{{ name | upcase }}", 1, None, True]
)
bodies: st.SearchStrategy[JsonValue] = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text().filter(lambda key: key != "$for"), inner, max_size=3)
        | st.builds(lambda each: [{"$for": "x in three", "$each": each}], inner)
    ),
    max_leaves=8,
)


@given(body=bodies, names=st.tuples(nasty, nasty))
def test_whatever_the_body_two_people_get_the_same_structure(body: JsonValue, names: tuple[str, str]) -> None:
    render: Callable[[str], JsonValue] = lambda name: render_json("b", body, {"name": name, "three": [1, 2, 3]})  # noqa: E731
    first, second = map(render, names)
    assert _shape(json.loads(json.dumps(first))) == _shape(json.loads(json.dumps(second)))
