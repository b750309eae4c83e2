from __future__ import annotations

import json

import pytest
from pydantic import JsonValue

from shared.mapping import text_at, without


@pytest.mark.parametrize(
    ("value", "path", "text"),
    [
        ({"a": [{"b": 7}]}, "a.0.b", "7"),
        ({"a": [1]}, "a.1", ""),
        ({"a": True}, "a", ""),
        ({"a": {}}, "a", ""),
        ({"a": "x" * 20}, "a", "x" * 10),
        ({"a": "cut \ud83d"}, "a", "cut ?"),
        (None, "a.b", ""),
    ],
)
def test_text_at_a_path(value: JsonValue, path: str, text: str) -> None:
    assert text_at(value, path, limit=10) == text


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        ({"a": 1, "b": 2}, "a", {"b": 2}),
        ({"a": {"b": 1}}, "a.b", {"a": {}}),
        ({"a": [{"b": 1, "c": 2}, 7]}, "a.0.b", {"a": [{"c": 2}, 7]}),
        ({"a": 1}, "b", {"a": 1}),
        ({"a": 1}, "a.b", {"a": 1}),
        ([1, 2], "0", [1, 2]),
        (None, "a", None),
    ],
)
def test_what_is_without_a_field_is_another_body(body: JsonValue, path: str, expected: JsonValue) -> None:
    before = json.dumps(body)
    assert without(body, path) == expected
    assert json.dumps(body) == before
