"""HTTP answers of our own endpoints: JSON, and RFC 9457 problem documents for a caller's mistakes."""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import math
from urllib.parse import parse_qsl

from pydantic import JsonValue, ValidationError
from pydantic_core import ErrorDetails, from_json

from shared.errors import BadRequest

MAX_DEPTH = 50


def answer(status: int, body: JsonValue) -> dict[str, object]:
    """An API Gateway (payload 2.0) answer with a JSON body."""
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}


def problem(error: BadRequest) -> dict[str, object]:
    """The problem document of a caller's mistake."""
    document: dict[str, JsonValue] = {
        "type": "about:blank",
        "status": error.status,
        "title": _TITLES.get(error.status, "Bad Request"),
    }
    document["detail"] = error.reason
    if error.field is not None:
        document["field"] = error.field
    if error.faults:
        document["errors"] = [{"field": field, "expected": expected} for field, expected in error.faults]
    headers = {"content-type": "application/problem+json", **dict(error.headers)}
    if error.status == 401 and error.field == "authorization":
        # Some send the user and password of a URL only when they are asked for them (RFC 9110, section 11.6.1).
        headers["www-authenticate"] = 'Basic realm="sendbridge"'
    return {"statusCode": error.status, "headers": headers, "body": json.dumps(document)}


_TITLES = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    503: "Service Unavailable",
}


def raw_body(event: dict[str, object], limit: int) -> bytes:
    """The request's bytes as they were posted. Raises BadRequest (413) if there are more than `limit`."""
    body = event.get("body") or ""
    if not isinstance(body, str):
        raise BadRequest("the body must be text")
    if len(body) > limit * 4 // 3 + 4:
        raise BadRequest(f"the body has more than {limit} bytes", field="body", status=413)
    try:
        raw = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadRequest("the body must be UTF-8", field="body") from error
    if len(raw) > limit:
        raise BadRequest(f"the body has more than {limit} bytes", field="body", status=413)
    return raw


def url_of(event: dict[str, object]) -> str:
    """The address that a request (API Gateway payload 2.0) was made to."""
    context = event.get("requestContext")
    domain = context.get("domainName", "") if isinstance(context, dict) else ""
    query = event.get("rawQueryString") or ""
    return f"https://{domain}{event.get('rawPath') or ''}" + (f"?{query}" if query else "")


def headers_of(event: dict[str, object]) -> dict[str, str]:
    """The headers of a request (API Gateway payload 2.0), their names in lower case."""
    headers = event.get("headers")
    return {name.lower(): value for name, value in headers.items()} if isinstance(headers, dict) else {}


def query_of(event: dict[str, object]) -> dict[str, str]:
    """The parameters in a request's URL (API Gateway payload 2.0); of one that is there twice, the first."""
    text = event.get("rawQueryString")
    if not isinstance(text, str) or not text:
        return {}
    return dict(reversed(parse_qsl(text, keep_blank_values=True)))


def method_of(event: dict[str, object]) -> str:
    """The method of a request (API Gateway payload 2.0)."""
    context = event.get("requestContext")
    http = context.get("http") if isinstance(context, dict) else None
    return str(http.get("method", "POST")) if isinstance(http, dict) else "POST"


def parse_json(raw: bytes) -> JsonValue:
    """The JSON value of a body. Raises BadRequest if it is not UTF-8, not JSON, or nested deeper than `MAX_DEPTH`.

    A byte order mark before it is passed over, as RFC 8259 (section 8.1) lets a reader do.
    """
    raw = raw.removeprefix(codecs.BOM_UTF8)
    if not raw:
        raise BadRequest("the body must be JSON: there is none", field="body")
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body must be UTF-8: byte {error.start} is not", field="body") from error
    try:
        # Several times as fast as `json`, and it refuses half surrogate pairs, which no store and no queue takes.
        value: JsonValue = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        if "recursion limit" in str(error):
            raise BadRequest(_TOO_DEEP, field="body") from error
        raise BadRequest(f"the body must be JSON: {error}", field="body") from error
    _check(value, MAX_DEPTH)
    return value


_INFINITE = (math.inf, -math.inf)
_TOO_DEEP = f"the body is nested deeper than {MAX_DEPTH}"


def _check(value: JsonValue, levels: int) -> None:
    """Raises BadRequest if the value has more levels than this, or a number too large for a float (the parser lets both pass)."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        _check_number(value)
        return
    if levels == 0:
        raise BadRequest(_TOO_DEEP, field="body")
    for one in inner:
        kind = type(one)  # a parser makes no subclasses, and each value of each post comes by here
        if kind is dict or kind is list:
            _check(one, levels - 1)
        elif kind is float and (one in _INFINITE):
            _check_number(one)


def _check_number(value: JsonValue) -> None:
    if isinstance(value, float) and math.isinf(value):
        raise BadRequest("the body must be JSON: a number is out of range", field="body")


def first_problem(error: ValidationError) -> str:
    """The first problem of a validation error as `field: expected …`, without the value that was given."""
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: expected {expected(problem)}"


_SENTENCES = {
    "extra_forbidden": "no such field",
    "missing": "a value: the field is required",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "timezone_aware": "a time with its zone, as 2026-01-31T10:00:00Z",
    "datetime_from_date_parsing": "a time in ISO 8601 with its zone, as 2026-01-31T10:00:00Z",
    "datetime_parsing": "a time in ISO 8601 with its zone, as 2026-01-31T10:00:00Z",
}

_BEGINNINGS = (
    ("Input should be greater than", "a number greater than"),
    ("Input should be less than", "a number less than"),
    ("Input should be ", ""),
    ("String should have ", "a text of "),
    ("String should match pattern ", "a text that matches "),
    ("Tuple should have ", "a list of "),
    ("List should have ", "a list of "),
    ("Value error, ", ""),
)

_COUNTED = " after validation, not "
"""What pydantic says after how long a list should be: how long it is without the elements that are wrong."""


def expected(problem: ErrorDetails) -> str:
    """What a validation error expected, as what follows `expected`; never the value that was given."""
    kind = problem["type"]
    if kind in _SENTENCES:
        return _SENTENCES[kind]
    if kind == "union_tag_invalid":  # the usual sentence repeats what was given
        return f"a type that is one of {problem['ctx']['expected_tags']}"
    text = problem["msg"].split(_COUNTED)[0]
    return next((new + text.removeprefix(old) for old, new in _BEGINNINGS if text.startswith(old)), text)
