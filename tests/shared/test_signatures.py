from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.errors import BadRequest, Misconfigured
from shared.signatures import basic_user, is_one_of, standard_webhook_key, verify_standard_webhook
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


def _public(key: Ed25519PrivateKey) -> str:
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return "whpk_" + base64.b64encode(raw).decode()


def _signed_by(key: Ed25519PrivateKey, body: bytes = b"body") -> dict[str, str]:
    signed = headers(SECRET, "msg_1", STAMP, body)
    given = base64.b64encode(key.sign(f"msg_1.{STAMP}.".encode() + body)).decode()
    return signed | {"webhook-signature": f"v1a,{given}"}


def test_a_public_key_is_enough_to_verify_what_its_private_one_signed() -> None:
    ours, before, others = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2, 3))
    for key in (ours, before):
        assert verify(_signed_by(key), _public(ours), _public(before)) == "msg_1"
        assert verify(_signed_by(key), _public(ours), _public(before), SECRET) == "msg_1"
    for signed in (_signed_by(others), _signed_by(ours, b"other"), headers(SECRET, "msg_1", STAMP, b"body")):
        with pytest.raises(BadRequest) as refused:
            verify(signed, _public(ours), _public(before))
        assert refused.value.status == 401


def test_a_public_key_is_no_shared_secret() -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"1" * 32)
    forged = base64.b64encode(hmac.digest(standard_webhook_key(_public(key)), f"msg_1.{STAMP}.body".encode(), "sha256")).decode()
    with pytest.raises(BadRequest):
        verify(headers(SECRET, "msg_1", STAMP, b"body") | {"webhook-signature": f"v1,{forged}"}, _public(key))


@pytest.mark.parametrize("listed", ["v1a,", "v1a,AAAA", "v1a,\ud800", "v1a,!", "v1a," + "A" * 9_000])
def test_whatever_stands_for_a_public_keys_signature_is_at_most_refused(listed: str) -> None:
    public = _public(Ed25519PrivateKey.from_private_bytes(b"1" * 32))
    with pytest.raises(BadRequest) as refused:
        verify(headers(SECRET, "msg_1", STAMP, b"body") | {"webhook-signature": listed}, public)
    assert refused.value.status == 401


@pytest.mark.parametrize("secret", ["whpk_", "whpk_AAAA", "whpk_" + "A" * 44, "whpk_!", "whpk_\u00e9", "whsec_AAAA", "\ud800"])
def test_a_secret_that_is_no_key_is_misconfigured(secret: str) -> None:
    with pytest.raises(Misconfigured):
        standard_webhook_key(secret)


@pytest.mark.parametrize(("given", "same"), [(b"one", True), (b"two", True), (b"three", False), (b"", False)])
def test_a_key_is_one_of_the_secrets(given: bytes, same: bool) -> None:
    assert is_one_of(given, ["one", "two"]) == same


def test_nothing_is_no_key_even_where_a_secret_is_empty() -> None:
    assert not is_one_of(b"", [""])


@pytest.mark.parametrize(
    ("header", "user"),
    [
        ("Basic a2V5Og==", "key"),
        ("basic a2V5OnBhc3M=", "key"),
        ("Bearer a2V5Og==", ""),
        ("Basic !", ""),
        ("Basic \ud800", ""),
        ("", ""),
    ],
)
def test_the_user_of_a_login(header: str, user: str) -> None:
    assert basic_user({"authorization": header}) == user
