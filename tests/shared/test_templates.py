from __future__ import annotations

import contextlib
import time

import pytest
from pydantic import JsonValue

from shared.errors import Permanent
from shared.templates import MAX_SOURCE, check, render

VARIABLES: dict[str, JsonValue] = {
    "profile": {"first_name": "Ada", "age": 36, "tags": ["a", "b"], "nothing": None, "evil": "<script>'\"&"},
    "cart": [{"name": "Lamp", "price": 49.5}, {"name": "Desk", "price": 100}],
    "big": "a" * 100_000,
    "text": "{{ profile.age }}{% if %}",
}


def plain(source: str) -> str:
    return render("t", source, VARIABLES)


def refused(source: str) -> str:
    with pytest.raises(Permanent) as refusal:
        render("template 't'", source, VARIABLES)
    return refusal.value.reason


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Hi {{ profile.first_name }}", "Hi Ada"),
        ("no template", "no template"),
        ("{% for item in cart %}{{ forloop.index }}.{{ item.name }} {% endfor %}", "1.Lamp 2.Desk "),
        ("{% for i in (1..3) reversed %}{{ i }}{% endfor %}", "321"),
        ("{{ profile.missing | default: 'you' }}", "you"),
        ("{% if profile.missing %}a{% else %}b{% endif %}", "b"),
        ("{{ profile.nothing }}", ""),
        ("{{ text }}", "{{ profile.age }}{% if %}"),
        ("{{ profile.tags | join: ', ' | upcase }}", "A, B"),
        ("{% assign x = 3 | times: 4 %}{{ x }}", "12"),
        ("{% capture x %}{{ profile.age }}!{% endcapture %}{{ x }}{{ x }}", "36!36!"),
        ("{{ cart | map: 'price' | sum }}", "149.5"),
        ("{{ 'a-b' | replace: '-', '+' }}", "a+b"),
        ("{{ '2026-11-21T12:00:00Z' | date: '%d.%m.%Y' }}", "21.11.2026"),
        ("{{ profile.first_name | date: '%Y' }}", "Ada"),
    ],
)
def test_liquid_renders(source: str, expected: str) -> None:
    assert plain(source) == expected


def test_html_is_escaped_and_text_is_not() -> None:
    assert render("t", "{{ profile.evil }}", VARIABLES, "html") == "&lt;script&gt;&#39;&#34;&amp;"
    assert plain("{{ profile.evil }}") == "<script>'\"&"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("one\ntwo {{ profile.frist_name }}", "template 't', line 2: 'profile.frist_name' is undefined"),
        ("{{ nobody }}", "template 't', line 1: 'nobody' is undefined"),
        ("{{ nobody | date: '%Y' }}", "template 't', line 1: 'nobody' is undefined"),
        ("{{ 'now' | date: '%Y' }}", "template 't', line 1: 'now' is undefined"),
        ("{% for x in carts %}{% endfor %}", "template 't', line 1: 'carts' is undefined"),
        ("{{ profile[profile.first_name] }}", "template 't', line 1: 'profile.…' is undefined"),
        ("{{ profile.first_name | nonsense }}", "unknown filter 'nonsense'"),
        ("{{ profile.first_name | divided_by: 0 }}", "the filter 'divided_by' cannot be used on this value"),
        ("\n\n{% if %}", "line 3"),
        ("{{ profile.first_name", "line 1"),
    ],
)
def test_an_error_names_template_line_and_variable(source: str, said: str) -> None:
    reason = refused(source)
    assert said in reason
    assert "Ada" not in reason


HOSTILE = [
    "{% for i in (1..1000000000) %}x{% endfor %}",
    "{% for i in (1..1000000000) reversed %}x{% endfor %}",
    "{% for i in (1..1000000000) offset: 999999999 %}x{% endfor %}",
    "{% for i in (1..99999999999999999999999) %}x{% endfor %}",
    "{% for i in (1..9999) %}{% for j in (1..9999) %}{% endfor %}{% endfor %}",
    "{% for i in (1..9999) %}{% endfor %}" * 5000,
    "{% for i in (1..9999) %}" + "{{ '' }}" * 20_000 + "{% endfor %}",
    "{% for i in (1..9999) %}" + "{% if false %}{% endif %}" * 5_000 + "{% endfor %}",
    "{% for i in (1..9999) %}{% if big == big %}{% endif %}{% endfor %}",
    "{% for i in (1..9999) %}{% if big contains 'b' %}{% endif %}{% endfor %}",
    "{% if (1..10000000000) contains 'x' %}{% endif %}",
    "{{ (1..10000000000) | join: ',' }}",
    "{% assign r = (1..10000000000) %}",
    "{{ big" + " | replace: 'a', 'aa'" * 30 + " }}",
    "{{ big | replace: 'a', big }}",
    "{{ big | replace: '', big }}",
    "{{ big | split: '' | join: big }}",
    "{% assign x = 'ab' %}" + "{% assign x = x | append: x %}" * 60,
    "{% assign x = cart %}" + "{% assign x = x | concat: x %}" * 60,
    "{{ 9" + " | times: 99999999999999999999999999" * 50 + " }}",
    "{% assign x = 99999999 %}" + "{% assign x = x | times: x %}" * 60,
    "{{ big | split: '' | uniq | size }}",
    "{% for i in (1..9999) %}{{ big | split: '' | sort | size }}{% endfor %}",
    "{{ big | replace: 'a', '<a ' | strip_html }}",
    "{{ big | replace: 'a', '<!>' | strip_html }}",
    "{{ big | date: '%Y' }}",
    "{{ big }}" * 20,
    "{% capture x %}" + "{{ big }}" * 30 + "{% endcapture %}",
    "{% for i in (1..9999) %}{% capture x %}{{ big }}{% endcapture %}{% endfor %}",
    "{% for i in (1..40000) %}{% cycle big, 'b' %}{% endfor %}",
]


@pytest.mark.parametrize("source", HOSTILE, ids=lambda source: source[:50])
def test_no_template_runs_for_ever(source: str) -> None:
    began = time.process_time()
    with pytest.raises(Permanent, match=r"too much work|becomes more than|at most"):
        render("t", source, VARIABLES)
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    "source",
    [
        "{{" * 100_000,
        "{% " * 66_000,
        "{% if a %}" * 20_000,
        "{{ a" + ".b" * 99_000 + " }}",
        "{{ a" + "[a" * 60_000 + "]" * 60_000 + " }}",
        "{% if a" + " and a" * 30_000 + " %}{% endif %}",
        "{{ 'x'" + " | upcase" * 20_000 + " }}",
        "{% raw %}" + "{% endra " * 20_000,
        "{% comment %}" * 14_000,
        "{{ '" + "\\" * 190_000,
        "{%" + " " * 199_000,
        "{{ a " + "|" * 190_000 + " }}",
        "{%-" * 60_000,
        "{{" + " " * 190_000 + "}}",
        ("{{" + " " * 1_990 + "}}") * 100,
        ("{{ " + "(" * 1_990 + "}}") * 100,
        ("{{ " + "x " * 990 + "}}") * 100,
        "{% raw %}" * 20_000,
        "{% raw %}" * 20_000 + "{% endraw %}" + "{% raw %}" * 10,
        "{% doc %}" * 20_000,
        "{% comment %}{% endcomment %}" * 6_000,
        "{{ a }}" * 25_000,
    ],
    ids=lambda source: source[:20],
)
def test_parsing_ends(source: str) -> None:
    began = time.process_time()
    with contextlib.suppress(Permanent):
        render("t", source, VARIABLES)
    assert time.process_time() - began < 5


def test_the_size_of_a_template_is_bounded() -> None:
    with pytest.raises(Permanent, match="at most"):
        check("t", "{{ a }}" + "x" * MAX_SOURCE)


@pytest.mark.parametrize(
    "source",
    [
        "{{ profile.__class__ }}",
        "{{ profile.first_name.__class__.__mro__ }}",
        "{{ profile.keys }}",
        "{{ cart.append }}",
        "{{ forloop.__init__ }}",
        "{% include 'x' %}",
        "{% render 'x' %}",
        "{% include '/etc/passwd' %}",
        "{% liquid echo 1 %}",
    ],
)
def test_templates_reach_neither_code_nor_files(source: str) -> None:
    assert "undefined" in refused(source) or "unexpected tag" in refused(source)
