"""Forms and queries: what some vendors take, and post, instead of JSON."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import JsonValue

from connectors.base import Post
from shared.errors import BadRequest

FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 1000


def form(body: JsonValue) -> tuple[str, bytes]:
    """The content type and the bytes of a body as a form: a list repeats its field, an object is JSON, null is left out."""
    fields = body.items() if isinstance(body, dict) else ()
    pairs = [(name, _text(one)) for name, value in fields for one in (value if isinstance(value, list) else [value])]
    return FORM, urlencode([pair for pair in pairs if pair[1] is not None], errors="replace").encode()


def _text(value: JsonValue) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def query_of(post: Post) -> list[tuple[str, str]]:
    """The fields of a post's query, in their order. Raises BadRequest if there are too many."""
    return _fields(urlsplit(post.url).query)


def form_of(post: Post) -> list[tuple[str, str]]:
    """The fields of a post's body, in their order. Raises BadRequest if there are too many."""
    return _fields(post.body.decode(errors="replace"))


def _fields(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise BadRequest(f"expected a form of at most {_MOST_FIELDS} fields", field="body") from error
