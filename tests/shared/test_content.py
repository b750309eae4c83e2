from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from connectors.esps.base import Outgoing
from connectors.esps.rest import CONNECTOR
from shared.content import over, render_content
from shared.definitions import Integration, Template
from shared.errors import Permanent
from shared.jobs import MessageJob
from shared.links import Links
from shared.mirrors import Content
from shared.person import Profile

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LINKS = Links("key", "https://sendbridge.example")
ADA: dict[str, JsonValue] = {"email": " Ada@Example.com", "first_name": "Ada", "phone": "+491701234567", "member": 7}
CART: JsonValue = [{"name": "Lamp", "price": 49.5}, {"name": "Desk", "price": 100}]


def rendered(template: dict[str, JsonValue], integration: dict[str, JsonValue] | None = None, **attributes: JsonValue) -> Content:
    job = MessageJob(
        message_id="m_1",
        trigger="abandoned",
        trigger_version=1,
        visit_id="shop#a#1",
        profile_id="p_1",
        decided="send",
        campaign="carts",
        delivery="first",
        template="cart",
        integration="esp",
        decided_at=NOW,
        anchor_at=NOW,
        valid_until=NOW + timedelta(hours=1),
        context={"cart": CART, "events": [], "event": {"name": "Product Added"}},
    )
    basic: dict[str, JsonValue] = {"name": "esp", "url": "https://api.example.com/send", "body": {}}
    made = Integration.model_validate({**basic, **(integration or {})})
    profile = Profile("p_1", {**ADA, **attributes}, {}, (), {}, 1, {"customer": "c/1"})
    return render_content(job, Template.model_validate({"name": "cart", **template}), made, profile, LINKS)


MAIL: dict[str, JsonValue] = {"subject": "s", "html": "<p>h</p>", "text": "t"}


def body_of(source: JsonValue, template: dict[str, JsonValue] = MAIL, **integration: JsonValue) -> JsonValue:
    made = rendered(template, {**integration, "body": {"x": source}}).body
    assert isinstance(made, dict)
    return made["x"]


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ to }}", " Ada@Example.com"),
        ("{{ identifier }}", " Ada@Example.com"),
        ("{{ profile.first_name }}", "Ada"),
        ("{{ cart }}", CART),
        ("{{ event.name }}", "Product Added"),
        ("{{ events }}", []),
        ("{{ mirror_url }}", LINKS.mirror("m_1")),
        ("{{ unsubscribe_url }}", LINKS.unsubscribe("m_1", "p_1", "email")),
        ("{{ message.id }}", "m_1"),
        (
            "{{ message.trigger }} {{ message.campaign }} {{ message.delivery }} {{ message.template }}",
            "abandoned carts first cart",
        ),
        ("{{ message.subject }} {{ message.html }} {{ message.text }} {{ message.segments }}", "s <p>h</p> t 0"),
        ("{{ shop }}", "ours"),
        ("{{ now }} {{ 'now' | date: '%d.%m.%Y %H' }} {{ 'today' | date: '%Y' }}", "2026-11-21T12:00:00.000Z 21.11.2026 12 2026"),
        ([{"$for": "item in cart", "$each": "{{ item.price }}"}], [49.5, 100]),
    ],
)
def test_bodies_see_every_variable(source: JsonValue, value: JsonValue) -> None:
    assert body_of(source, {**MAIL, "defaults": {"shop": "ours"}}) == value


def test_the_uuid_is_the_same_for_the_same_message() -> None:
    made = body_of("{{ message.uuid }}")
    assert made == body_of("{{ message.uuid }}")
    assert isinstance(made, str)
    assert [len(part) for part in made.split("-")] == [8, 4, 4, 4, 12]


@pytest.mark.parametrize(
    ("identifier", "value"),
    [
        ("email", " Ada@Example.com"),
        ("email_sha256", hashlib.sha256(b"ada@example.com").hexdigest()),
        ("phone", "+491701234567"),
        ("customer", "c/1"),
        ("member", "7"),
    ],
)
def test_the_identifier_is_of_the_integrations_type(identifier: str, value: str) -> None:
    assert body_of("{{ identifier }}", identifier=identifier) == value


def test_a_profile_without_the_identifier_is_told_only_if_it_is_used() -> None:
    assert body_of("x", identifier="loyalty") == "x"
    with pytest.raises(Permanent, match="integration 'esp', body/x, line 1: 'identifier' is undefined"):
        body_of("{{ identifier }}", identifier="loyalty")


def test_url_and_headers_are_filled_in() -> None:
    integration: dict[str, JsonValue] = {
        "url": "https://api.example.com/{{ identifier }}/send",
        "headers": {"X-Message": "{{ message.id }}: {{ message.subject }}", "X-Fixed": "x"},
        "identifier": "customer",
    }
    made = rendered(MAIL, integration)
    assert made.url == "https://api.example.com/c%2F1/send"
    assert made.headers == {"X-Message": "m_1: s"}


@pytest.mark.parametrize(
    ("integration", "said"),
    [
        ({"url": "https://api.example.com/{{ nobody }}"}, "integration 'esp', url, line 1: 'nobody' is undefined"),
        ({"headers": {"X-A": "{{ nobody }}"}}, "integration 'esp', header 'X-A', line 1: 'nobody' is undefined"),
        ({"headers": {"X-A": "{{ profile.first_name }}"}}, "integration 'esp', header 'X-A': "),
    ],
)
def test_what_cannot_be_filled_in_is_named(integration: dict[str, JsonValue], said: str) -> None:
    with pytest.raises(Permanent) as refusal:
        rendered(MAIL, integration, first_name="Zoë")
    assert refusal.value.reason.startswith(said)
    assert "Zoë" not in refusal.value.reason


def test_a_subject_is_one_line() -> None:
    made = rendered({**MAIL, "subject": "Hi {{ profile.first_name }}\n"}, first_name="A\r\nBcc: b@example.com\u2028x")
    assert made.subject == "Hi A Bcc: b@example.com x"


def test_an_email_without_text_gets_one_and_its_links_are_absolute() -> None:
    html = (
        '<style>p { color: red }</style><p>Hi {{ profile.first_name }}</p>{% if nobody %}<p>x</p>{% endif %}<a href="/c">Cart</a>'
    )
    made = rendered({"subject": "s", "html": html, "base_url": "https://shop.example.com/"}, first_name="<Ada>")
    assert made.text == "Hi <Ada>\n\nCart (https://shop.example.com/c)"
    assert made.html == (
        '<style>p { color: red }</style><p style="color: red;">Hi &lt;Ada&gt;</p><a href="https://shop.example.com/c">Cart</a>'
    )


def test_an_email_may_be_text_alone() -> None:
    made = rendered({"subject": "s", "text": "Hi"})
    assert (made.html, made.text) == ("", "Hi")


SMS: dict[str, JsonValue] = {
    "channel": "sms",
    "body": {"to": "{{ to }}", "text": "{{ message.text }}", "n": "{{ message.segments }}"},
}


def test_a_text_message_goes_to_the_phone_and_is_counted() -> None:
    made = rendered({"text": "Hi {{ profile.first_name }} " + "x" * 155}, SMS)
    assert made.body == {"to": "+491701234567", "text": "Hi Ada " + "x" * 155, "n": 2}
    assert (made.segments, made.html, made.subject) == (2, "", "")


@pytest.mark.parametrize(
    ("template", "integration", "said"),
    [
        ({"text": "é" * 1531}, {}, "template 'cart', text: it takes 11 segments, and the integration allows 10"),
        ({"text": "é" * 161}, {"max_segments": 1}, "template 'cart', text: it takes 2 segments, and the integration allows 1"),
        ({"text": "{% if nobody %}x{% endif %}"}, {}, "template 'cart', text: nothing is left of it"),
        ({"subject": "s", "html": "<p>"}, {}, "template 'cart' has no text"),
    ],
)
def test_text_messages_that_are_not_sent(template: dict[str, JsonValue], integration: dict[str, JsonValue], said: str) -> None:
    with pytest.raises(Permanent) as refusal:
        rendered(template, {**SMS, **integration})
    assert refusal.value.reason.startswith(said)


def test_an_email_needs_a_subject() -> None:
    with pytest.raises(Permanent, match="template 'cart' has no subject"):
        rendered({"text": "Hi"})


def test_defaults_stand_where_there_is_nothing() -> None:
    values: dict[str, JsonValue] = {"a": None, "b": {"c": 1, "d": None}, "e": False}
    assert over({"a": 1, "b": {"d": 2, "x": 3}, "e": True, "f": 4}, values) == {
        "a": 1,
        "b": {"c": 1, "d": 2, "x": 3},
        "e": False,
        "f": 4,
    }


def test_no_repr_shows_content() -> None:
    made = rendered(MAIL, {"body": {"x": "{{ to }}"}, "headers": {"X-A": "{{ to | strip }}"}})
    assert not any(word in repr(made) for word in ("<p>", "example.com", "Ada"))


anything: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
nasty = st.text() | st.sampled_from(
    [
        '"',
        '","bcc":"',
        "\\",
        "}}",
        "{{ to }}",
        "{% raw %}",
        "\r\nBcc: x",
        "..",
        "/",
        "?a=b",
        "#",
        "@evil.example",
        "\ud800",
        "</style>",
    ]
)
ITEMS: JsonValue = [{"$for": "item in profile.bought", "$each": {"name": "{{ item.name | append: '' }}", "n": 1}}, "last"]
REQUEST: dict[str, JsonValue] = {
    "url": "https://api.example.com:8443/v1/{{ profile.first_name }}/send?x=1",
    "headers": {"X-Name": "name: {{ profile.first_name }}", "X-Fixed": "y"},
    "body": {"to": {"name": "Hi {{ profile.first_name }}"}, "items": ITEMS, "html": "{{ message.html }}", "on": True, "n": 1.5},
}
PAGE: dict[str, JsonValue] = {
    "subject": "Hi {{ profile.first_name }}",
    "html": "<p title='{{ profile.first_name }}'>{% for item in profile.bought %}{{ item.name }}{% endfor %}</p>",
    "text": "{{ profile.first_name }}",
}


def shape(part: JsonValue) -> JsonValue:
    """Keys, numbers of elements, and what is of which type."""
    if isinstance(part, dict):
        return {key: shape(value) for key, value in part.items()}
    return [shape(value) for value in part] if isinstance(part, list) else type(part).__name__


@given(name=nasty, names=st.lists(anything, max_size=3))
def test_no_content_changes_the_structure_of_the_request(name: str, names: list[JsonValue]) -> None:
    """A request is refused, or it is the one that somebody harmless would get, with other texts in it."""
    bought: JsonValue = [{"name": one} for one in names]
    integration = Integration.model_validate({"name": "esp", **REQUEST})
    try:
        made = rendered(PAGE, REQUEST, first_name=name, bought=bought)
        request = CONNECTOR.request(integration, [Outgoing("m_1", made.url, made.body, made.headers)])
    except Permanent:
        assert name in ("", ".", "..") or not name.isascii() or not name.isprintable()
        return
    usual = rendered(PAGE, REQUEST, first_name="Ada", bought=[{"name": "x"} for _ in names])
    wanted = CONNECTOR.request(integration, [Outgoing("m_1", usual.url, usual.body, usual.headers)])
    assert shape(json.loads(request.body)) == shape(json.loads(wanted.body))
    assert request.headers.keys() == wanted.headers.keys()
    assert all(value.isascii() and value.isprintable() for value in request.headers.values())
    parts, others = urlsplit(request.url), urlsplit(wanted.url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == (
        others.scheme,
        others.netloc,
        others.query,
        others.fragment,
    )
    assert parts.path.count("/") == others.path.count("/")
    assert made.html.count("<") == usual.html.count("<")
    assert made.html.count("'") == usual.html.count("'")
    assert len(made.subject.splitlines()) == 1
