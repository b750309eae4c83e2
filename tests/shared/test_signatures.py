from __future__ import annotations

import hmac
from datetime import UTC, datetime

import pytest

from shared.errors import BadRequest
from shared.signatures import verify_standard_webhook
from tests.sandbox.standard_webhooks import headers, signature

SECRET = "whsec_" + "bmV3" * 8
OLD = "whsec_" + "b2xk" * 8
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
STAMP = int(NOW.timestamp())


def verify(signed: dict[str, str], *secrets: str) -> str:
    return verify_standard_webhook(signed, b"body", secrets or (SECRET, OLD), lambda: NOW)


def test_one_of_several_signatures_is_enough_and_its_place_does_not_matter() -> None:
    right = signature(OLD, "msg_1", STAMP, b"body")
    for listed in (f"v1,AAAA {right}", f"{right} v1,AAAA", f"v1a,AAAA {right} "):
        signed = headers(SECRET, "msg_1", STAMP, b"body") | {"webhook-signature": listed}
        assert verify(signed) == "msg_1"


@pytest.mark.parametrize(
    "listed", ["v1,", "v1", " ", "v2,AAAA", "v1,\ud800", "v1,\u00e9", ",", "v1," + "A" * 9_000, "v1,AAAA " * 1_000]
)
def test_whatever_stands_in_the_header_is_at_most_refused(listed: str) -> None:
    with pytest.raises(BadRequest) as refused:
        verify(headers(SECRET, "msg_1", STAMP, b"body") | {"webhook-signature": listed})
    assert refused.value.status == 401


def test_an_id_of_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(BadRequest):
        verify(headers(SECRET, "msg_1", STAMP, b"body") | {"webhook-id": "\ud800"})


@pytest.mark.parametrize("stamp", ["", "1e9", "-1", "\u0661", "\u00b2", "9" * 13, "9" * 5_000, "NaN", " 1", "0x1"])
def test_a_timestamp_that_is_none_is_refused(stamp: str) -> None:
    with pytest.raises(BadRequest) as refused:
        verify(headers(SECRET, "msg_1", STAMP, b"body") | {"webhook-timestamp": stamp})
    assert refused.value.field == "webhook-timestamp"


def test_a_stranger_who_lists_many_signatures_costs_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    real = hmac.digest

    def digest(key: bytes, msg: bytes, name: str) -> bytes:
        made.append(msg)
        return real(key, msg, name)

    monkeypatch.setattr(hmac, "digest", digest)
    with pytest.raises(BadRequest):
        verify(headers(SECRET, "msg_1", STAMP, b"body") | {"webhook-signature": "v1,AAAA " * 10})
    assert len(made) == 2
