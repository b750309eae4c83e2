from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import JsonValue

from shared.errors import Permanent
from shared.request_templates import check_url_template, render_headers, render_url

VALUES: dict[str, JsonValue] = {"id": "m 1/2", "to": "ada@example.com", "name": "Zoë", "two": "a\nb", "empty": "", "n": 7}


@pytest.mark.parametrize(
    ("url", "made"),
    [
        ("https://api.example.com/v1/messages", "https://api.example.com/v1/messages"),
        ("https://api.example.com/users/{{ to }}/send", "https://api.example.com/users/ada%40example.com/send"),
        ("https://api.example.com/{{ id }}", "https://api.example.com/m%201%2F2"),
        ("https://api.example.com/a-{{ id }}.{{ n }}/x?y=/../z", "https://api.example.com/a-m%201%2F2.7/x?y=/../z"),
        ("https://api.example.com/{{ two }}", "https://api.example.com/a%0Ab"),
        ("https://api.example.com/{{ name | append: '/?#' }}", "https://api.example.com/Zo%C3%AB%2F%3F%23"),
        ("https://api.example.com/{{ nobody | default: 'x' }}?a#b", "https://api.example.com/x?a#b"),
    ],
)
def test_values_in_a_path_are_encoded(url: str, made: str) -> None:
    check_url_template("url", url)
    assert render_url("url", url, VALUES) == made


@pytest.mark.parametrize(
    "url",
    [
        "{{ id }}://api.example.com/",
        "{{ id }}",
        "https://{{ id }}/",
        "https://{{ id }}.example.com/",
        "https://api.example.com{{ id }}",
        "https://api.example.com{{ id }}/x",
        "https://api.example.com:{{ n }}/",
        "https://{{ id }}@api.example.com/",
        "https://user:{{ id }}@api.example.com/",
        "https://api.example.com?x={{ id }}",
        "https://api.example.com/?{{ id }}=x",
        "https://api.example.com/?x={{ id }}",
        "https://api.example.com/#{{ id }}",
        "https://api.example.com/{{ id }}?{{ id }}",
        "https://api.example.com/{% if id %}x{% endif %}",
        "https://api.example.com/{{ id }}/{% raw %}",
        "https://api.example.com/{{ id",
        "https://api.example.com/{{ id }}/\ue000",
    ],
)
def test_placeholders_elsewhere_than_in_the_path_are_refused(url: str) -> None:
    with pytest.raises(Permanent, match=r"^url: placeholders"):
        check_url_template("url", url)


@pytest.mark.parametrize("url", ["https://api.example.com/{{ }}", "https://api.example.com/{{ id | nonsense }}"])
def test_placeholders_of_a_path_are_checked(url: str) -> None:
    with pytest.raises(Permanent, match=r"^url, line 1: "):
        check_url_template("url", url)


@pytest.mark.parametrize("value", ["", ".", "..", "%2e%2e"])
@pytest.mark.parametrize("segment", ["{{ v }}", "{{ v }}{{ e }}", "{{ e }}{{ v }}"])
def test_no_segment_vanishes(value: str, segment: str) -> None:
    url = f"https://api.example.com/a/{segment}/b?c"
    if value == "%2e%2e":  # encoded once more, it is three letters and no step up
        assert render_url("u", url, {"v": value, "e": ""}) == "https://api.example.com/a/%252e%252e/b?c"
        return
    with pytest.raises(Permanent, match="a segment of the path"):
        render_url("u", url, {"v": value, "e": ""})


def test_parts_of_a_segment_do_not_make_a_step_up() -> None:
    with pytest.raises(Permanent, match="a segment of the path"):
        render_url("u", "https://api.example.com/a/{{ v }}{{ v }}", {"v": "."})
    with pytest.raises(Permanent, match="a segment of the path"):
        render_url("u", "https://api.example.com/a/%2E{{ v }}", {"v": "."})
    assert render_url("u", "https://api.example.com/a/.{{ v }}", {"v": "x"}).endswith("/a/.x")


def test_a_missing_value_is_named() -> None:
    with pytest.raises(Permanent, match="integration 'i', url, line 1: 'nobody' is undefined"):
        render_url("integration 'i', url", "https://api.example.com/{{ nobody }}", {})


@given(
    first=st.text(), second=st.text() | st.sampled_from(["..", "/", "?", "#", "\r\n", "@", "//evil.example", "\\", "%2f", ";"])
)
def test_no_content_changes_where_a_url_leads(first: str, second: str) -> None:
    assume(first not in ("", ".", ".."))
    url = render_url("u", "https://api.example.com:8443/a/{{ first }}/b-{{ second }}?q=1#f", {"first": first, "second": second})
    assert re.fullmatch(r"[!-~]+", url)
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "api.example.com:8443", "q=1", "f")
    _, a, one, b = parts.path.split("/")
    whole = first.encode(errors="replace").decode(), second.encode(errors="replace").decode()
    assert (a, unquote(one), unquote(b)) == ("a", whole[0], f"b-{whole[1]}")
    asked = httpx.URL(url)
    assert (asked.host, asked.port, asked.raw_path.decode().count("/")) == ("api.example.com", 8443, 3)


def test_only_headers_with_placeholders_are_rendered() -> None:
    made = render_headers("integration 'i'", {"X-Id": "id {{ n }}", "X-Fixed": "x", "X-Trimmed": "{{ n }}{{ empty }}"}, VALUES)
    assert made == {"X-Id": "id 7", "X-Trimmed": "7"}


@pytest.mark.parametrize("value", ["a\r\nBcc: x", "a\nb", "Zoë", "", " ", "\x00", "a\x7f", "\u2028", "x" * 4001])
def test_a_header_stays_one_line_of_ascii(value: str) -> None:
    with pytest.raises(Permanent, match=r"^integration 'i', header 'X-Name': ") as refusal:
        render_headers("integration 'i'", {"X-Name": "{{ v }}"}, {"v": value})
    assert not value.strip() or value not in refusal.value.reason


def test_a_missing_value_of_a_header_is_named() -> None:
    with pytest.raises(Permanent, match=r"header 'X-Name', line 1: 'profile\.nick' is undefined"):
        render_headers("i", {"X-Name": "{{ profile.nick }}"}, {"profile": {}})


@given(value=st.text())
def test_no_content_adds_a_header(value: str) -> None:
    try:
        made = render_headers("i", {"X-Name": "a{{ v }}b", "X-Fixed": "y"}, {"v": value})
    except Permanent:
        assert not re.fullmatch(r"[\t -~]*", value)
    else:
        assert made == {"X-Name": f"a{value}b"}
        assert re.fullmatch(r"[\t -~]*", made["X-Name"])
