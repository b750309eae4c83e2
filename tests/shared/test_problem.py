from __future__ import annotations

import base64
import json

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from shared.errors import BadRequest
from shared.problem import MAX_DEPTH, first_problem, headers_of, parse_json, problem, query_of, raw_body


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "must be JSON: there is none"),
        (b"{", "must be JSON"),
        (b"\xff\xfe", "must be UTF-8"),
        (b'"\xc3"', "must be UTF-8"),
        (b"NaN", "must be JSON"),
        (b'{"a": Infinity}', "must be JSON"),
        (b"[" * 10_000 + b"]" * 10_000, "nested deeper"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested deeper"),
        (b"[" * 10_000, "nested deeper"),
        (b'{"a": 1} trailing', "must be JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "must be JSON"),
    ],
)
def test_what_is_not_a_json_body_is_refused_by_what_it_is_not(raw: bytes, expected: str) -> None:
    with pytest.raises(BadRequest, match=expected):
        parse_json(raw)


def test_brackets_within_strings_are_no_nesting() -> None:
    text = json.dumps({"html": "[{" * 1000, "quote": '\\"[[[' * 100, "end": "\\"})
    assert parse_json(text.encode()) == json.loads(text)


def test_nesting_up_to_the_limit_is_accepted() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None


def test_a_body_is_the_bytes_that_were_posted() -> None:
    posted = '{"a": "é"}'.encode()
    assert raw_body({"body": posted.decode()}, 100) == posted
    assert raw_body({"body": base64.b64encode(posted).decode(), "isBase64Encoded": True}, 100) == posted
    assert raw_body({}, 100) == b""


@pytest.mark.parametrize("event", [{"body": "x" * 101}, {"body": base64.b64encode(b"x" * 101).decode(), "isBase64Encoded": True}])
def test_too_large_a_body_is_413(event: dict[str, object]) -> None:
    with pytest.raises(BadRequest) as refused:
        raw_body(event, 100)
    assert refused.value.status == 413


def test_broken_base64_is_refused() -> None:
    with pytest.raises(BadRequest):
        raw_body({"body": "a", "isBase64Encoded": True}, 100)


def test_a_problem_document_names_the_field() -> None:
    answer = problem(BadRequest("must be a string", field="events.0.name", status=422))
    assert answer["statusCode"] == 422
    assert answer["headers"] == {"content-type": "application/problem+json"}
    assert json.loads(str(answer["body"])) == {
        "type": "about:blank",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "must be a string",
        "field": "events.0.name",
    }


def test_names_of_headers_are_in_lower_case() -> None:
    assert headers_of({"headers": {"X-Key": "A", "b": "c"}}) == {"x-key": "A", "b": "c"}
    assert headers_of({}) == headers_of({"headers": None}) == {}


@pytest.mark.parametrize(
    ("raw", "query"),
    [
        ("a=1&b=%C3%A9+x&a=2", {"a": "1", "b": "é x"}),
        ("a=&b", {"a": "", "b": ""}),
        ("a=1,2&c=%2C", {"a": "1,2", "c": ","}),
        ("%ff=%", {"\ufffd": "%"}),
        ("", {}),
        (None, {}),
    ],
)
def test_parameters_of_an_url(raw: str | None, query: dict[str, str]) -> None:
    assert query_of({"rawQueryString": raw}) == query


def test_an_answer_has_the_headers_of_its_mistake() -> None:
    made = problem(BadRequest("no", status=429, headers=(("retry-after", "7"),)))
    assert made["headers"] == {"content-type": "application/problem+json", "retry-after": "7"}


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")
    key: str
    tags: tuple[int, ...] = ()
    at: AwareDatetime | None = None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "key: expected a value: the field is required"),
        ({"key": 5}, "key: expected a text"),
        ({"key": "a", "colour": "secret"}, "colour: expected no such field"),
        ({"key": "a", "tags": "secret"}, "tags: expected a list"),
        ({"key": "a", "tags": ["secret"]}, "tags.0: expected a whole number"),
        ({"key": "a", "at": "2026-11-16T09:04:00"}, "at: expected a time with its zone, as 2026-01-31T10:00:00Z"),
        ({"key": "a", "at": "secret"}, "at: expected a time in ISO 8601 with its zone, as 2026-01-31T10:00:00Z"),
        ([], "body: expected an object"),
    ],
)
def test_a_model_s_problem_is_told_in_our_words_without_the_value(row: object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _Row.model_validate(row)
    assert first_problem(caught.value) == said
