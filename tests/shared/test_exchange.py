from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.errors import Transient
from shared.exchange import Response

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("9" * 5000, 3600),
        ("Sat, 21 Nov 2026 12:00:09 GMT", 9),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Mon, 99999999999999999999 Nov 2026 00:00:00 GMT", None),
        ("1 Jan 99999999999 00:00:00 GMT", None),
        ("Sat, 21 Nov 2026 12:00:09", None),
        ("\u00b2", None),
        ("\u0663", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_anything_else_is_none(text: str, seconds: float | None) -> None:
    assert Response(503, {"retry-after": text}).retry_after(lambda: NOW) == seconds


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b"\xff", b"[" * 100_000, b"1" * 5_000])
def test_what_is_no_json_is_no_answer(body: bytes) -> None:
    with pytest.raises(Transient):
        Response(200, {}, body).json()
