from __future__ import annotations

from pydantic import JsonValue

from shared.definitions import Integration, Template
from shared.variables import Variable, variables_of


def of_text(text: str, **more: JsonValue) -> dict[str, Variable]:
    template = Template.model_validate({"name": "t", "text": text, **more})
    return {one.name: one for one in variables_of(template)}


def test_each_variable_says_where_it_comes_from() -> None:
    text = """{{ profile.first_name }} {{ to }} {{ identifier }} {{ cart[0].name }} {{ cart.size }} {{ event.properties.sku }}
    {{ events }} {{ mirror_url }} {{ unsubscribe_url }} {{ message.id }} {{ shop }} {{ nonsense.a }} {{ message.html }}"""
    found = of_text(text, defaults={"shop": "ours"})
    assert {name: one.origin for name, one in found.items()} == {
        "profile.first_name": "profile",
        "to": "profile",
        "identifier": "profile",
        "cart[0].name": "cart",
        "cart.size": "cart",
        "event.properties.sku": "event",
        "events": "event",
        "mirror_url": "message",
        "unsubscribe_url": "message",
        "message.id": "message",
        "message.html": "unknown",
        "shop": "default",
        "nonsense.a": "unknown",
    }


def test_what_a_message_can_lack_is_optional() -> None:
    text = """{{ profile.a | default: "x" }} {{ profile.b }} {% if profile.c %}{% elsif profile.d %}{% endif %}
    {% unless profile.e %}{% endunless %} {{ profile.f | upcase }} {{ profile.g.h }} {{ profile.c }}"""
    found = of_text(text, defaults={"profile": {"b": 1, "g": {"i": 1}}})
    assert [name for name, one in found.items() if one.optional] == ["profile.a", "profile.b", "profile.d", "profile.e"]


def test_what_is_asked_for_before_it_is_written_is_optional() -> None:
    text = "{% if profile.a %}{{ profile.a }} {{ profile.b }}{% elsif profile.c %}{{ profile.c }}{% endif %}"
    assert {name: one.optional for name, one in of_text(text).items()} == {
        "profile.a": True,
        "profile.b": False,
        "profile.c": True,
    }


def test_items_of_loops_are_named_by_what_they_are_of() -> None:
    text = """{% for item in cart %}{{ forloop.index }}{{ item.name }}{% for tag in item.tags %}{{ tag }}{% endfor %}{% endfor %}
    {% for i in (1..profile.n) %}{{ i }}{% endfor %}{{ item }}"""
    assert [*of_text(text)] == ["cart", "cart[].name", "cart[].tags", "cart[].tags[]", "item", "profile.n"]


def test_what_a_template_makes_itself_is_not_asked_for() -> None:
    text = """{% assign x = profile.a %}{{ x }}{% capture y %}{{ profile.b }}{% endcapture %}{{ y }}{{ "now" | date: "%Y" }}
    {{ z }}
    {% case profile.c %}{% when event.name %}{{ profile.d }}{% endcase %}{% assign z = 1 %}"""
    assert [*of_text(text)] == ["event.name", "profile.a", "profile.b", "profile.c", "profile.d", "z"]


def test_a_variable_says_in_which_fields_it_is() -> None:
    template = Template(name="t", subject="{{ profile.a }}", html="{{ profile.a }}{{ profile.a }}", text="{{ profile.b }}")
    assert [(one.name, one.fields) for one in variables_of(template)] == [
        ("profile.a", ("subject", "html")),
        ("profile.b", ("text",)),
    ]


def test_an_integration_has_them_in_its_url_headers_and_body() -> None:
    integration = Integration.model_validate(
        {
            "name": "i",
            "url": "https://api.example.com/{{ identifier }}",
            "headers": {"X-Name": "{{ message.subject }}"},
            "body": {
                "to": [{"email": "{{ to }}"}],
                "n": 1,
                "items": [
                    {"$for": "item in cart", "$if": "item.price > 1", "$each": {"sku": "{{ item.sku }}", "s": "{{ shop }}"}}
                ],
            },
        }
    )
    found = variables_of(integration, {"shop": "x"})
    assert [(one.name, one.origin, one.fields, one.optional) for one in found] == [
        ("cart", "cart", ("body.items.0.$for",), False),
        ("cart[].price", "cart", ("body.items.0.$if",), True),
        ("cart[].sku", "cart", ("body.items.0.$each.sku",), False),
        ("identifier", "profile", ("url",), False),
        ("message.subject", "message", ("headers.X-Name",), False),
        ("shop", "default", ("body.items.0.$each.s",), True),
        ("to", "profile", ("body.to.0.email",), False),
    ]
