"""HTTP answers of our own endpoints: JSON, and RFC 9457 problem documents for a caller's mistakes."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re

from pydantic import JsonValue

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
    return {
        "statusCode": error.status,
        "headers": {"content-type": "application/problem+json"},
        "body": json.dumps(document),
    }


_TITLES = {
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
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


def parse_json(raw: bytes) -> JsonValue:
    """The JSON value of a body. Raises BadRequest if it is not UTF-8, not JSON, or nested deeper than `MAX_DEPTH`."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body must be UTF-8: byte {error.start} is not", field="body") from error
    if _depth(text) > MAX_DEPTH:
        raise BadRequest(f"the body is nested deeper than {MAX_DEPTH}", field="body")
    try:
        value: JsonValue = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        if "\\ud" in text.lower():  # half of a character pair: no store and no queue takes it
            json.dumps(value, ensure_ascii=False).encode()
    except ValueError as error:
        raise BadRequest(f"the body must be JSON: {_why(error)}", field="body") from error
    return value


def _why(error: ValueError) -> str:
    """What is wrong and where, without what is there."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}: line {error.lineno} column {error.colno}"
    return "half of a surrogate pair" if isinstance(error, UnicodeEncodeError) else "a number is out of range"


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def _depth(text: str) -> int:
    """The deepest nesting. Text with fewer brackets than the limit, which is nearly all, is not looked at closer."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += _STEPS[bracket]
        deepest = max(deepest, depth)
    return deepest
