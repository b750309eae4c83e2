"""The sample definitions are what a newcomer reads first: they work with what little an event may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from cli.files import read
from shared.definitions import Template
from shared.templates import render
from tests.cli.conftest import DEFINITIONS, VARIABLES


@pytest.fixture
def template() -> Template:
    body = next(document.body for document in read([Path(DEFINITIONS)], VARIABLES) if document.kind == "template")
    return Template.model_validate(body)


def variables(cart: list[dict[str, JsonValue]], name: str = "Ada") -> dict[str, Any]:
    links = {"mirror_url": "https://m.example/1", "unsubscribe_url": "https://m.example/2"}
    return {"profile": {"first_name": name}, "cart": cart, **links, "message": {"id": "m_1"}}


def test_the_template_shows_name_cart_and_links(template: Template) -> None:
    html = render("html", template.html, variables([{"name": "Bulb & socket", "price": 5, "quantity": 2}]), "html")
    assert "Hello Ada," in html
    assert "<li>Bulb &amp; socket, 2 at 5 EUR</li>" in html
    cart, mirror, unsubscribe = map(
        html.index, ("https://shop.example.com/cart?message=m_1", "https://m.example/1", "https://m.example/2")
    )
    assert cart < mirror < unsubscribe


def test_the_template_bears_items_that_say_nothing(template: Template) -> None:
    cart: list[dict[str, JsonValue]] = [{"quantity": 1}]
    assert "<li>an item</li>" in render("html", template.html, variables(cart), "html")
    assert "- an item\n" in render("text", template.text, variables(cart))
    assert render("subject", template.subject, variables(cart, "Grace")) == "Grace, your cart is waiting"
