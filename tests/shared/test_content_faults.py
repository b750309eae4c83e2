from __future__ import annotations

import pytest
from pydantic import JsonValue

from shared.content_faults import content_faults
from shared.definitions import Integration, Template


def of_template(**fields: JsonValue) -> list[tuple[str, str]]:
    return [*content_faults(Template.model_validate({"name": "t", "subject": "s", **fields}))]


def of_integration(**fields: JsonValue) -> list[tuple[str, str]]:
    basic: dict[str, JsonValue] = {"name": "i", "url": "https://api.example.com/", "body": {}}
    return [*content_faults(Integration.model_validate({**basic, **fields}))]


def test_what_can_be_rendered_has_no_faults() -> None:
    assert of_template(html="<p>{{ to }}</p>", text="{{ to }}") == []
    assert of_integration(url="https://a.example.com/{{ to }}", headers={"X-A": "{{ to }}"}, body={"a": ["{{ to }}"]}) == []


def test_every_field_of_a_template_is_looked_at() -> None:
    assert of_template(subject="{{", html="a\n{% if %}", text="{{ a | nonsense }}") == [
        ("subject", "a Liquid template, but in line 1: {{ is not closed within 2000 characters"),
        ("html", "a Liquid template, but in line 2: missing expression"),
        ("text", "a Liquid template, but in line 1: there is no filter 'nonsense'"),
    ]


def test_a_relative_link_needs_a_base() -> None:
    source = '<p>\n<a href="/cart">x</a><a href="/about">y</a>'
    assert of_template(html=source) == [
        ("html", "a Liquid template, but in line 2: the link '/cart' is relative, and there is no base_url")
    ]
    assert of_template(html=source, base_url="https://shop.example.com/") == []


def test_a_template_that_outgrows_its_limit_by_its_styles_is_refused() -> None:
    [(field, said)] = of_template(
        html="<style>p{" + "".join(f"x{n}:y;" for n in range(100)) + "}</style>" + "<p>{{ to }}" * 1_000
    )
    assert (field, said) == ("html", "with its styles in its elements: a template has at most 200000 characters")


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"url": "https://api.example.com/?x={{ to }}"}, "url", "placeholders, `{{ … }}`, in its path only"),
        (
            {"headers": {"X-A": "{{ a | nonsense }}"}},
            "headers.X-A",
            "a Liquid template, but in line 1: there is no filter 'nonsense'",
        ),
        (
            {"body": {"a": [{"b": "{{ a | nonsense }}"}]}},
            "body.a.0.b",
            "a Liquid template, but in line 1: there is no filter 'nonsense'",
        ),
        ({"body": {"a": {"$for": "x in cart"}}}, "body.a", "`$for` only in lists, as it makes elements of them"),
        (
            {"body": {"a": [{"$for": "x in", "$each": 1}]}},
            "body.a.0.$for",
            "a Liquid template, but in line 1: expected a primitive expression, found end of expression",
        ),
    ],
)
def test_every_field_of_an_integration_is_looked_at(fields: dict[str, JsonValue], field: str, said: str) -> None:
    assert of_integration(**fields) == [(field, said)]
