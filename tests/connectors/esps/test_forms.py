from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.forms import FORM, form, form_of, query_of
from shared.errors import BadRequest


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"a": "1", "b": "x y&z=\u00e9"}, [("a", "1"), ("b", "x y&z=\u00e9")]),
        ({"a": ["1", "2"]}, [("a", "1"), ("a", "2")]),
        ({"a": {"b": [1]}}, [("a", '{"b":[1]}')]),
        ({"a": True, "b": 1.5, "c": None, "d": ""}, [("a", "true"), ("b", "1.5"), ("d", "")]),
        ({"a": "\ud800"}, [("a", "?")]),
        ([], []),
    ],
)
def test_a_body_as_a_form(body: JsonValue, fields: list[tuple[str, str]]) -> None:
    content_type, raw = form(body)
    assert content_type == FORM
    assert parse_qsl(raw.decode(), keep_blank_values=True) == fields


def test_no_value_of_a_form_becomes_another_field() -> None:
    assert form({"a": "1&b=2\r\nc=3"})[1] == b"a=1%26b%3D2%0D%0Ac%3D3"


def test_fields_of_a_post_keep_their_order_and_their_number_has_an_end() -> None:
    post = Post({}, b"b=2&a=1&a=&c=%C3%A9+%2B", "https://api.example.com/x?q=1&q=2")
    assert form_of(post) == [("b", "2"), ("a", "1"), ("a", ""), ("c", "\u00e9 +")]
    assert query_of(post) == [("q", "1"), ("q", "2")]
    with pytest.raises(BadRequest, match="at most 1000 fields"):
        form_of(Post({}, b"a=1&" * 1001))
