"""Neither a secret nor an address is in any text that something else may keep."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import JsonValue, SecretStr, ValidationError

from shared.definitions import KINDS, kind_of
from shared.errors import SendbridgeError
from shared.exchange import Request, Response
from shared.validation import check, secrets_of
from tests.contract.asking import ended
from tests.contract.registered import Inbound, Operation, Row, each_inbound, each_operation, each_row, sample
from tests.contract.sample import ADDRESS, KEYS, NOW, Sample

TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


def forbidden(of: Sample) -> list[str]:
    """What no text may hold: the secrets, also without their prefix, and whom it is about."""
    return [*of.secrets, *(secret.removeprefix("whsec_") for secret in of.secrets), TOKEN, ADDRESS]


def silent(text: str, of: Sample) -> None:
    for secret in forbidden(of):
        assert secret not in text


def told(error: SendbridgeError) -> str:
    """Every text that an error can become."""
    return "\n".join((str(error), repr(error), error.reason, *traceback.format_exception(error)))


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever is logged on the way."""
    caplog.set_level(logging.DEBUG)
    yield
    text = "\n".join(str(vars(record)) for record in caplog.records)
    for row_secret in (*KEYS, TOKEN, ADDRESS):
        assert row_secret not in text


@each_row()
def test_a_sample_names_all_its_secrets(row: Row) -> None:
    of = sample(row)
    assert sorted(secrets_of(of.definition).values()) == sorted(of.secrets)
    assert min(map(len, of.secrets)) >= 10


@each_row()
def test_a_definition_shows_none(row: Row) -> None:
    definition = sample(row).definition
    for text in (repr(definition), str(definition), definition.model_dump_json(), str(definition.model_dump())):
        silent(text, sample(row))


@each_row()
def test_an_error_about_a_definition_shows_none(row: Row) -> None:
    of = sample(row)
    kind = kind_of(type(of.definition))
    open_body = _with_secrets(of)
    nameless = {key: value for key, value in open_body.items() if key != "name"}
    mistakes: list[dict[str, JsonValue]] = [{**open_body, "no_such": 1}, {**open_body, "name": list(of.secrets)}, nameless]
    for broken in mistakes:
        with pytest.raises(ValidationError) as refused:
            KINDS[kind].model_validate(broken)
        silent(str(refused.value) + repr(refused.value), of)
        silent(str(check(kind, broken)[1]), of)


def _with_secrets(of: Sample) -> dict[str, JsonValue]:

    def opened(value: Any) -> JsonValue:
        if isinstance(value, dict):
            return {key: opened(one) for key, one in value.items()}
        if isinstance(value, tuple):
            return [opened(one) for one in value]
        return value.get_secret_value() if isinstance(value, SecretStr) else value

    return {key: opened(value) for key, value in of.definition.model_dump().items()}


@each_operation()
def test_a_request_and_its_answer_show_none(row: Row, operation: Operation) -> None:
    for request in ended(operation).asked:
        text = repr(request) + str(request)
        for secret in sample(row).secrets:
            assert secret not in text
        assert TOKEN not in repr(Response(200, {"x": TOKEN}, TOKEN.encode()))


@each_operation()
def test_no_outcome_repeats_what_a_vendor_repeats(row: Row, operation: Operation) -> None:
    of = sample(row)
    asked = ended(operation).asked[-1]
    final = len(operation.answers) - 1
    for body in _echoes(asked):
        answers = [
            (final, operation.answer(status, {"x-echo": TOKEN}, body)) for status in (200, 400, 401, 403, 404, 409, 429, 500)
        ]
        answers += [(step, Response(400, {"x-echo": TOKEN}, body)) for step in range(final)]
        for step, answer in answers:
            error = ended(operation, {step: answer}).error
            silent(told(error) if error is not None else "", of)


def _echoes(asked: Request) -> Iterator[bytes]:
    """Error bodies of a vendor that repeats everything it was sent."""
    for said in (*asked.headers.values(), asked.body.decode(), f"Bearer {TOKEN}", TOKEN, ADDRESS, f"no {ADDRESS} for {TOKEN}"):
        fields = dict.fromkeys(("code", "error", "type", "field", "name", "status", "message", "detail", "id"), said)
        yield said.encode()
        yield f"<html>{said}</html>".encode()
        yield json.dumps(fields).encode()
        yield json.dumps({"error": fields, "errors": [fields], "value": said}).encode()


@each_inbound()
def test_a_refused_post_shows_none(inbound: Inbound) -> None:
    body = inbound.post([*inbound.good, inbound.bad])
    right = inbound.sign(KEYS[0], NOW, body)
    wrong = inbound.sign(KEYS[2], NOW, body)
    broken = body + b"]"
    posts = [(wrong, body), ({}, body), (inbound.sign(KEYS[0], NOW, broken), broken)]
    if inbound.covers_body:
        posts.append((right, body + b" "))
    for headers, raw in posts:
        with pytest.raises(SendbridgeError) as refused:
            inbound.receive(headers, raw, NOW)
        text = told(refused.value)
        for secret in (*KEYS, *(key.removeprefix("whsec_") for key in KEYS), ADDRESS):
            assert secret not in text
        for ours in inbound.headers:
            if headers is not right and ours in right and len(right[ours]) > 20:
                assert right[ours] not in text, "the signature that would have been right"
