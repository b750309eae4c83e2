"""Which variables nobody gives; what is not known, or not valid, is told by others."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import JsonValue

from shared.definitions import Kind, Template
from shared.provided import lacking, lacking_in, unknown_in
from shared.validation import Body

TRIGGER: dict[str, JsonValue] = {
    "name": "reminder",
    "must_include": ["Product Added"],
    "wait_seconds": 5,
    "template": "cart",
    "integration": "postbird",
    "campaign": "c",
    "delivery": "d",
    "metadata": {"size": {"path": "size"}},
    "lookups": {"product": {"entity": "products", "key": "event.properties.id"}},
}
INTEGRATION: dict[str, JsonValue] = {
    "name": "postbird",
    "url": "https://esp.example",
    "secret_headers": {"X-Key": {"secret": True}},
    "body": {"to": "{{ to }}", "from": "{{ sender }}"},
}


def template(**changes: JsonValue) -> dict[str, JsonValue]:
    return {"name": "cart", "subject": "s", "html": "h", "defaults": {"sender": "shop"}, **changes}


def among(**others: Mapping[str, JsonValue]) -> dict[tuple[Kind, str], Body]:
    kinds: dict[str, tuple[Kind, str]] = {"cart": ("template", "cart"), "postbird": ("integration", "postbird")}
    return {kinds[name]: body for name, body in others.items()}


@pytest.mark.parametrize(
    ("html", "why"),
    [
        ("{{ metadata.size }} {{ lookup.product.name }} {{ lookup.product['price'] }}", ""),
        ("{% for item in cart %}{{ item.name }}{% endfor %}{{ events[0].properties.x }}", ""),
        ("{{ metadata.colour }}", "its html has metadata.colour, and the trigger's metadata has no colour"),
        ("{{ lookup.shop.name }}", "its html has lookup.shop.name, and the trigger's lookups have no shop"),
        (
            "{% for one in metadata.sizes %}{{ one }}{% endfor %}",
            "its html has metadata.sizes, and the trigger's metadata has no sizes",
        ),
        ("{{ metadata.colour | default: 'red' }}{% if lookup.shop %}{{ lookup.shop.name }}{% endif %}", ""),
        ("{{ basket }}", "its html has basket, and there is no basket, and none in the template's defaults"),
        ("{% assign basket = cart %}{{ basket }}", ""),
    ],
)
def test_what_a_trigger_gives(html: str, why: str) -> None:
    found = lacking(TRIGGER, lambda kind, name: among(cart=template(html=html), postbird=INTEGRATION).get((kind, name)))
    assert [(fault.field, fault.expected.partition(": ")[2]) for fault in found] == ([("template", why)] if why else [])


def test_an_integration_is_given_the_template_s_defaults() -> None:
    given = among(cart=template(), postbird=INTEGRATION)
    assert lacking(TRIGGER, lambda kind, name: given.get((kind, name))) == []
    bare = among(cart=template(defaults={}), postbird=INTEGRATION)
    (fault,) = lacking(TRIGGER, lambda kind, name: bare.get((kind, name)))
    assert (fault.field, "its body.from has sender" in fault.expected) == ("integration", True)
    (fault,) = lacking_in("integration", INTEGRATION, [TRIGGER], lambda kind, name: bare.get((kind, name)))
    assert (fault.field, "trigger reminder" in fault.expected) == ("body.from", True)


@pytest.mark.parametrize(
    ("trigger", "others"),
    [
        (TRIGGER, {}),
        (TRIGGER, {"cart": {}}),
        (TRIGGER, {"cart": {"name": "cart", "title": "of an older release"}, "postbird": INTEGRATION}),
        (TRIGGER, {"cart": template(html="{{ basket")}),
        ({**TRIGGER, "surprise": 1}, {"cart": template(html="{{ basket }}")}),
        ({}, {"cart": template(html="{{ basket }}")}),
    ],
    ids=str,
)
def test_what_is_not_known_or_not_valid_is_not_judged(
    trigger: dict[str, JsonValue], others: dict[str, dict[str, JsonValue]]
) -> None:
    assert lacking(trigger, lambda kind, name: among(**others).get((kind, name))) == []


def test_only_triggers_that_use_it_are_asked() -> None:
    body = template(html="{{ metadata.colour }}")
    other = {**TRIGGER, "name": "other", "template": "another"}
    assert lacking_in("template", body, [other], lambda *_: None) == []
    (fault,) = lacking_in("template", body, [other, TRIGGER], lambda *_: None)
    assert fault == ("html", "only variables that trigger reminder gives: the trigger's metadata has no colour")


def test_what_no_trigger_gives_is_told_by_the_template_alone() -> None:
    names = [
        fault.expected.split(":")[0] for fault in unknown_in(Template.model_validate(template(html="{{ a.b }}{{ profile.c }}")))
    ]
    assert names == ["no variable a.b"]
