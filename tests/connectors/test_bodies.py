from __future__ import annotations

import gzip
import zlib

import pytest

from connectors.bodies import LARGEST_POST, parsed, unzipped
from shared.errors import BadRequest


def test_what_was_zipped_comes_out_whole() -> None:
    for body in (b"", b"{}", b"x" * LARGEST_POST):
        assert unzipped(gzip.compress(body)) == body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{}", 400),
        (zlib.compress(b"{}"), 400),
        (gzip.compress(b"{}")[:-1], 400),
        (gzip.compress(b"{}" * 1000)[:-9], 400),
        (gzip.compress(b"{}") + gzip.compress(b"{}"), 400),
        (gzip.compress(b"{}") + b"x", 400),
        (gzip.compress(b"x" * (LARGEST_POST + 1)), 413),
    ],
    ids=["nothing", "plain", "zlib", "cut in its check", "cut", "two", "more behind", "large"],
)
def test_what_is_not_one_whole_gzip_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as refused:
        unzipped(body)
    assert refused.value.status == status


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(gzip.compress(b"\x00" * 500_000_000, 1), 9)
    with pytest.raises(BadRequest):
        unzipped(gzip.decompress(bomb), 1_000)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\ud83d cut"', "\ufffd cut"),
        (b'"cut \\ude00"', "cut \ufffd"),
        (b'"\\\\ud83d"', "\\ud83d"),
    ],
)
def test_neither_a_mark_nor_half_a_character_costs_the_post(raw: bytes, value: object) -> None:
    assert parsed(raw) == value


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf{}", b"[" * 1000, b'{"a": 1e999}']
)
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        parsed(raw)
    assert refused.value.status == 400
