from __future__ import annotations

import pytest
from pydantic import JsonValue

from shared.mapping import text_at


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
