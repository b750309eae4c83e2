"""Whatever a vendor answers, an operation ends in success or in one outcome of `shared/errors.py`."""

from __future__ import annotations

import json

import pytest

from shared.errors import Misconfigured, Permanent, SendbridgeError, Transient, Unauthorized, Unknown
from shared.exchange import Response
from tests.contract.asking import ended, last
from tests.contract.registered import Operation, Row, each_operation

OUTCOMES: dict[int, tuple[type[SendbridgeError], ...]] = {
    301: (Permanent,),
    400: (Permanent,),
    401: (Misconfigured, Unauthorized),
    403: (Misconfigured,),
    404: (Misconfigured,),
    408: (Transient,),
    409: (Permanent,),
    413: (Permanent,),
    422: (Permanent,),
    429: (Transient,),
    500: (Transient,),
    502: (Transient,),
    503: (Transient,),
}

BODIES: dict[str, bytes] = {
    "empty": b"",
    "html": b"<!doctype html><title>502 Bad Gateway</title>",
    "truncated": b'{"error": {"code": "x", "mess',
    "a megabyte": json.dumps({"error": {"message": "x" * 1_000_000}, "value": 7}).encode(),
    "deep": b"[" * 100_000,
    "not UTF-8": b'{"error": "\xff\xfe"}',
    "half a character": b'{"error": {"code": "\\ud800", "message": "\\ud800"}, "id": {}}',
    "no object": b"[null, 7]",
    "wrong types": b'{"error": {"code": [], "message": {}}, "id": [], "value": {"a": 1}}',
    "a huge number": b'{"error": ' + b"9" * 5_000 + b"}",
}

RETRY_AFTER = {"17": 17, "Sat, 21 Nov 2026 12:00:17 GMT": 17, "99999999": 3600, "\u00b2": None, "soon": None, "-1": None}


@each_operation()
def test_it_succeeds(row: Row, operation: Operation) -> None:
    done = ended(operation)
    assert done.error is None
    assert len(done.asked) == len(operation.answers)


@each_operation()
@pytest.mark.parametrize("status", [200, 202])
def test_any_success_is_success(row: Row, operation: Operation, status: int) -> None:
    normal = operation.answers[-1]
    assert ended(operation, last(operation, Response(status, normal.headers, normal.body))).error is None


@each_operation()
@pytest.mark.parametrize("status", OUTCOMES)
def test_a_status_has_its_outcome_whatever_the_body(row: Row, operation: Operation, status: int) -> None:
    for name, body in BODIES.items():
        error = ended(operation, last(operation, operation.answer(status, {}, body))).error
        assert isinstance(error, OUTCOMES[status]), name
        assert str(status) in error.reason
        assert len(error.reason) < 500
        error.reason.encode()


@each_operation(lambda operation: operation.reads)
@pytest.mark.parametrize("status", [200, 202, 204])
@pytest.mark.parametrize("body", BODIES)
def test_success_that_cannot_be_read_is_not_success(row: Row, operation: Operation, status: int, body: str) -> None:
    error = ended(operation, last(operation, operation.answer(status, {}, BODIES[body]))).error
    assert isinstance(error, Unknown if operation.writes else Transient)


@each_operation()
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("text", RETRY_AFTER)
def test_the_wait_that_a_vendor_asks_for_is_kept(row: Row, operation: Operation, status: int, text: str) -> None:
    error = ended(operation, last(operation, operation.answer(status, {"retry-after": text}, b""))).error
    assert type(error) is Transient
    assert error.retry_after == RETRY_AFTER[text]


@each_operation()
def test_at_no_step_is_any_answer_a_crash(row: Row, operation: Operation) -> None:
    for step in range(len(operation.answers)):
        for status in (200, 204, *OUTCOMES):
            for body in BODIES.values():
                ended(operation, {step: Response(status, {}, body)})


@each_operation()
def test_an_answer_cut_off_anywhere_is_not_taken_for_another(row: Row, operation: Operation) -> None:
    whole = operation.answers[-1]
    for length in range(len(whole.body)):
        error = ended(operation, last(operation, Response(whole.status, whole.headers, whole.body[:length]))).error
        assert error is None or isinstance(error, Transient), length


@each_operation()
def test_what_the_network_raises_passes_through(row: Row, operation: Operation) -> None:
    exchange = operation.start()
    next(exchange)
    with pytest.raises(Unknown, match="cut"):
        exchange.throw(Unknown("cut"))
