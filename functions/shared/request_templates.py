"""What a request is besides its body, with placeholders: the path of a URL, and header values.

A value can add nothing to the structure of a request: in a URL it is percent-encoded and stays within its segment of the path,
and a header stays one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, unquote, urlsplit

from pydantic import TypeAdapter, ValidationError

from shared.errors import Permanent
from shared.fields import HeaderValue
from shared.template_limits import Budget
from shared.templates import Source, Variables, is_template

_PLACEHOLDER = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_HOLE = "\ue000"
"""Stands for a placeholder where what is in it must not be looked at."""

_VALUE: TypeAdapter[str] = TypeAdapter(HeaderValue)


def render_url(name: str, url: str, variables: Variables) -> str:
    """The URL, each of its placeholders replaced by the percent-encoded value.

    Raises Permanent if a value is missing, or leaves of a segment of the path nothing, `.` or `..`.
    """
    if not is_template(url):
        return url
    budget = Budget()
    values = iter([_encoded(name, found, variables, budget) for found in _PLACEHOLDER.findall(url)])
    bare = _bare(url)
    path = re.match("[^?#]*", bare)
    assert path is not None  # noqa: S101  # it matches whatever there is
    return "/".join(_segment(name, segment, values) for segment in path[0].split("/")) + bare[path.end() :]


def check_url_template(name: str, url: str) -> None:
    """Raises Permanent if there is Liquid in this URL that is not `{{ … }}` in its path."""
    if not is_template(url):
        return
    bare = _bare(url)
    parts = urlsplit(bare)
    elsewhere = parts.scheme + parts.netloc + parts.query + parts.fragment
    if _HOLE in url or is_template(bare) or _HOLE in elsewhere or not parts.netloc:
        raise Permanent(f"{name}: placeholders, `{{{{ … }}}}`, in its path only")
    for source in placeholders(name, url):
        source.check()


def placeholders(name: str, url: str) -> list[Source]:
    """The placeholders of a URL."""
    return [Source(name, found) for found in _PLACEHOLDER.findall(url)]


def _bare(url: str) -> str:
    return _PLACEHOLDER.sub(_HOLE, url)


def _segment(name: str, segment: str, values: Iterator[str]) -> str:
    if _HOLE not in segment:
        return segment
    made = re.sub(_HOLE, lambda _: next(values), segment)
    if unquote(made) in ("", ".", ".."):
        raise Permanent(f"{name}: a value makes a segment of the path empty, or `.` or `..`")
    return made


def render_headers(name: str, headers: Mapping[str, str], variables: Variables) -> dict[str, str]:
    """Those of these headers that have placeholders, filled in.

    Raises Permanent if a value is missing, or makes of a header more than one line of ASCII.
    """
    return {
        header: _header(f"{name}, header {header!r}", value, variables) for header, value in headers.items() if is_template(value)
    }


def _header(name: str, source: str, variables: Variables) -> str:
    made = Source(name, source).render(variables, Budget()).strip(" \t")
    try:
        return _VALUE.validate_python(made)
    except ValidationError:
        raise Permanent(f"{name}: a value makes it other than one line of ASCII of at most 4000 characters") from None


def _encoded(name: str, placeholder: str, variables: Variables, budget: Budget) -> str:
    return quote(Source(name, placeholder).render(variables, budget), safe="", errors="replace")
