from __future__ import annotations

import contextlib
import time
from html.parser import HTMLParser

import css_inline
import pytest
from pydantic import JsonValue

from shared.email_html import prepared
from shared.errors import Permanent
from shared.templates import render

VARIABLES: dict[str, JsonValue] = {
    "brand": "teal",
    "hot": True,
    "cart": [{"name": "<Lamp>", "url": "/p/1"}, {"name": "Desk", "url": "https://other.example.com/p/2"}],
    "mirror_url": "https://sendbridge.example/v1/mirror/m/s",
}


def html_of(source: str, base_url: str = "") -> str:
    return prepared("html", source, base_url).html


@pytest.mark.parametrize(
    ("css", "body", "made"),
    [
        (".a { color: red }", '<p class="a">x</p>', '<p style="color: red;" class="a">x</p>'),
        (".a { color: red }", '<p class="a" style="color: blue">', '<p class="a" style="color: red; color: blue">'),
        (".a { color: red !important }", "<p class=a style='x:y'>", "<p class=a style='color: red !important; x:y'>"),
        (
            ".a { color: red }",
            '<p class="a" style="{% if hot %}x:y{% endif %}">',
            'style="color: red; {% if hot %}x:y{% endif %}"',
        ),
        (".a { color: red }", '<p class="{% if hot %}a{% endif %}">', '<p class="{% if hot %}a{% endif %}">'),
        (".a { color: red }", '<p {% if hot %}class="a"{% endif %}>', '<p {% if hot %}class="a"{% endif %}>'),
        ("p { color: {{ brand }} }", "<p>", '<p style="color: {{ brand }};">'),
        ('p { font: "Open Sans" }', "<p>", '<p style="font: &#x27;Open Sans&#x27;;">'),
        ("p:first-child, b + p, b ~ p { color: red }", "<b></b><p>x</p>", "<b></b><p>x</p>"),
        ("p:first-child, .a { color: red }", "<p>x</p><p class=a>", '<p>x</p><p style="color: red;" class=a>'),
        ("@media print { p { color: red } } p { x: y }", "<p>", '<p style="x: y;">'),
        ("{% if hot %}p { color: red }{% endif %}", "<p>", "<p>"),
        ("/* p { color: red } */", "<p>", "<p>"),
        (
            "td { x: y }",
            "<table>{% for i in cart %}<tr><td>{{ i }}</tr>{% endfor %}</table>",
            '<td style="x: y;">{{ i }}</tr>{% endfor %}',
        ),
        ("a { x: y }", "<a href={{ mirror_url }}>", '<a style="x: y;" href={{ mirror_url }}>'),
        (
            "p { x: y }",
            "<br/>&nbsp;<p>\n<P\n>{% raw %}<p>{% endraw %}",
            '<br/>&nbsp;<p style="x: y;">\n<P style="x: y;"\n>{% raw %}<p>{% endraw %}',
        ),
    ],
)
def test_rules_are_copied_and_nothing_else_is_touched(css: str, body: str, made: str) -> None:
    source = f"<!doctype html><style>{css}</style>{body}"
    done = html_of(source)
    assert made in done
    assert done.startswith(f"<!doctype html><style>{css}</style>")


@pytest.mark.parametrize("attributes", ["media='print'", "data-css-inline=ignore"])
def test_some_style_elements_are_left_alone(attributes: str) -> None:
    source = f"<style {attributes}>p {{ color: red }}</style><p>x</p>"
    assert html_of(source) == source


def test_nothing_is_fetched() -> None:
    source = '<link rel="stylesheet" href="http://127.0.0.1:1/x.css"><style>p { x: y }</style><p>'
    assert html_of(source).endswith('<p style="x: y;">')


class _Declared(HTMLParser):
    """What each element's style attribute says, the last of equal names only, and the important before the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said: dict[str, str] = {}
        for one in (dict(attrs).get("style") or "").split(";"):
            name, _, value = one.partition(":")
            if name.strip() and ("!important" in value or "!important" not in said.get(name.strip(), "")):
                said[name.strip()] = value.strip()
        if tag not in ("html", "head", "body", "tbody", "style"):
            self.found.append((tag, said))


def declared(document: str) -> list[tuple[str, dict[str, str]]]:
    reader = _Declared()
    reader.feed(document)
    return reader.found


EMAIL = """<!doctype html><html><head><style>
  body, td { font-family: sans-serif } .row { color: {{ brand }}; padding: 2px !important } table .row td { color: red }
  h1 { margin: 0 } a { text-decoration: none } .row a { color: blue } #top { x: y }
  @media (max-width: 600px) { .row { display: block } }
</style></head><body><h1 id="top" style="margin: 1px; color: {{ brand }}">Hello</h1>
<table>{% for item in cart %}<tr class="row" style="padding: 9px"><td>{{ item.name }}</td><td><a href="x">buy</a></td></tr>
{% endfor %}</table>{% if hot %}<p class="row">hot</p>{% else %}<p>cold</p>{% endif %}</body></html>"""


def test_it_is_what_inlining_each_message_would_make() -> None:
    """Elements and styles are the same as if each message were rendered first and its styles copied then."""
    once = render("t", html_of(EMAIL), VARIABLES, "html")
    each = css_inline.inline(render("t", EMAIL, VARIABLES, "html"), load_remote_stylesheets=False)
    assert declared(once) == declared(each)
    assert len(declared(once)) == 11
    assert "@media (max-width: 600px) { .row { display: block } }" in once


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ('<a href="/cart?a=1&amp;b">', '<a href="https://shop.example.com/cart?a=1&amp;b">'),
        ("<a href=cart>", '<a href="https://shop.example.com/de/cart">'),
        ("<img src='../x.png'>", '<img src="https://shop.example.com/x.png">'),
        ('<img src="//cdn.example.com/x.png">', '<img src="https://cdn.example.com/x.png">'),
        ('<a href="{{ item.url }}">', '<a href="{{ item.url | absolute_url: "https://shop.example.com/de/" }}">'),
        ('<a href="{{- item.url -}}?x">', '<a href="{{- item.url | absolute_url: "https://shop.example.com/de/" -}}?x">'),
        ('<a href="/p/{{ item.id }}">', '<a href="https://shop.example.com/p/{{ item.id }}">'),
    ],
)
def test_links_become_absolute(source: str, made: str) -> None:
    assert html_of(source, "https://shop.example.com/de/") == made


@pytest.mark.parametrize(
    "source",
    [
        '<a href="https://x.example.com/">',
        '<a href="mailto:a@example.com">',
        '<a href="#top">',
        '<a href="">',
        "<a href>",
        '<img src="cid:1">',
        '<img src="data:image/png;base64,x">',
        '<a href="{{ mirror_url }}">',
        '<a href="{{ unsubscribe_url }}">',
        '<a href="{% if hot %}x{% endif %}">',
        '<p title="/x">',
    ],
)
def test_other_links_stay(source: str) -> None:
    assert html_of(source, "https://shop.example.com/") == source
    assert prepared("html", source, "").relative == ()


def test_links_of_items_become_absolute_when_they_are_rendered() -> None:
    source = '{% for item in cart %}<a href="{{ item.url }}">{% endfor %}'
    made = render("t", html_of(source, 'https://shop.example.com/"}}'), VARIABLES, "html")
    assert made == '<a href="https://shop.example.com/p/1"><a href="https://other.example.com/p/2">'


def test_relative_links_without_a_base_are_told_with_their_line() -> None:
    source = '<p>\n<a href="/cart">x</a>\n<img src="x{{ n }}.png"><a href="{{ url }}"><img src="//cdn.example.com/x">'
    assert prepared("html", source, "").relative == ((2, "/cart"), (3, "x{{ n }}.png"))


def text(source: str, base_url: str = "") -> str:
    return prepared("html", source, base_url).text


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("<p>Hello &amp; <b>good</b>\n  day</p><p>x</p>", "Hello & good day\n\nx"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<ul>\n<li>one</li>\n <li> two </li></ul>end", "- one\n- two\n\nend"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ('<a href="https://x.example.com/">Shop</a>!', "Shop (https://x.example.com/)!"),
        ('<a href="https://x.example.com/">https://x.example.com/</a>', "https://x.example.com/"),
        ('<a href="https://x.example.com/"><img src="x"></a>', "https://x.example.com/"),
        ('<a href="mailto:a@example.com">a@example.com</a>', "a@example.com"),
        ('<a href="#top">up</a>', "up"),
        ('<img alt="Our logo" src="x">', "Our logo"),
        ("<head><title>no</title></head><style>p {}</style><script>x()</script><p>yes", "yes"),
        ('<div style="display:none">no<div>no</div>no</div>yes', "yes"),
        ("<p>a</p><hr><p>b</p>", "a\n\n---\n\nb"),
        ("<!doctype html><!-- no --><?no?>yes <3 < 4", "yes <3 < 4"),
        ("Hello {{ name | escape }},", "Hello {{ name | escape }},"),
        ("<p>a</p>{%- if hot -%}<p>b</p>{% endif %}<p>c</p>", "a\n\n{% if hot %}b\n\n{% endif %}c"),
        ("<ul>{% for i in cart %}<li>{{ i }}</li>{% endfor %}</ul>x", "{% for i in cart %}- {{ i }}\n{% endfor %}\nx"),
        ("<ul>{% for i in cart %}<li>{{ i }}{% endfor %}</ul>x", "{% for i in cart %}- {{ i }}\n{% endfor %}\nx"),
        ("<p>Hi {% if hot %}<b>you</b>{% endif %}!", "Hi {% if hot %}you{% endif %}!"),
        ("{% for i in cart %}{{ i }}, {% endfor %}x", "{% for i in cart %}{{ i }}, {% endfor %}x"),
        ("<style>{% assign a = 1 %}{{ a }}</style>{{ a }}", "{% assign a = 1 %}{{ a }}"),
        ("<p>{% raw %}{{ x }}{% endraw %}</p>", "{% raw %}{{ x }}{% endraw %}"),
    ],
)
def test_a_text_part_is_made(source: str, made: str) -> None:
    assert text(source) == made


def test_a_made_text_shows_values_as_they_are() -> None:
    source = '<p>{{ name | escape }} {{ note | newline_to_br }}</p><a href="{{ url }}">x</a>'
    variables: dict[str, JsonValue] = {"name": "<Ada & Co>", "note": "a\nb", "url": "/x"}
    made = render("t", text(source, "https://shop.example.com/"), variables, "text_of_html")
    assert made == "<Ada & Co> a\nb\n\nx (https://shop.example.com/x)"


HOSTILE = [
    "<p>" * 66_000,
    "<" * 200_000,
    "<p " + "a " * 99_000,
    "<p " + "a=" * 99_000 + ">",
    "<p style='" * 20_000,
    "<!--" * 50_000,
    "<style>" * 28_000,
    "<style>p{x:y}</style>" * 4_000 + "<p>" * 20_000,
    "<style>" + "{" * 199_000,
    "<style>" + "@" * 199_000 + "</style>",
    "<style>@a{" + "b{" * 99_000 + "</style><p>",
    "<style>" + "/*" * 99_000 + "</style><p>",
    "<style>" + "a," * 90_000 + "a{x:y}</style><p>",
    "<style>" + "a " * 90_000 + "a{x:y}</style><a>",
    "<style>p{" + "x:y;" * 40_000 + "}</style>" + "<p>" * 10,
    "<div>" * 40_000,
    "<table>" * 28_000,
    "<a href=x>" * 20_000,
    "&" * 200_000,
    "{{ a }}" * 20_000,
    "{% comment %}" + "<p>" * 60_000 + "{% endcomment %}",
    "{% raw %}" + "}}" * 90_000 + "{% endraw %}",
    "".join(chr(code) for code in range(0xE000, 0xF8FF - 1)) + "{{ a }}",
]


@pytest.mark.slow
@pytest.mark.parametrize("source", HOSTILE, ids=lambda source: source[:25])
def test_preparing_ends(source: str) -> None:
    began = time.process_time()
    with contextlib.suppress(Permanent):
        prepared("html", source, "https://shop.example.com/")
        prepared("html", source, "")
    assert time.process_time() - began < 5


def test_too_much_css_is_refused() -> None:
    with pytest.raises(Permanent, match=r"^html: \d+ characters of CSS are too much for"):
        prepared("html", "<style>" + "p{x:y}" * 10_000 + "</style>" + "<p>" * 10_000, "")


def test_what_is_not_liquid_is_refused_first() -> None:
    with pytest.raises(Permanent, match="html, line 1: "):
        prepared("html", "{% if %}", "")
