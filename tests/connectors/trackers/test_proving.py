"""Every proof, with either of two secrets, and refused in every other case."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import Post
from connectors.registry import TRACKERS
from connectors.trackers.proving import prove
from shared.errors import BadRequest
from shared.trackers import Tracker
from tests.sandbox import standard_webhooks

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRETS = tuple("whsec_" + base64.b64encode(name.encode() * 6).decode() for name in ("today", "before"))
OTHER = "whsec_" + base64.b64encode(b"other" * 6).decode()
BODY = b'{"name": "caf\xc3\xa9"}'


def tracker(proof: str, **changes: Any) -> Tracker:
    secrets = [f"user:{secret}" for secret in SECRETS] if proof == "basic" else list(SECRETS)
    wanted = {"name": "pos", "format": "json", "mapping": {}, "proof": proof, "secrets": secrets, **changes}
    return Tracker.model_validate(wanted)


def accepted(of: Tracker, post: Post, now: datetime = NOW) -> bool:
    try:
        assert prove(TRACKERS.load(of.format), of, post, lambda: now) is None
    except BadRequest as error:
        refused = error
    else:
        return True
    assert refused.status == 401
    assert not any(secret in refused.reason for secret in SECRETS)
    return False


def login(user: str) -> str:
    return "Basic " + base64.b64encode(user.encode()).decode()


def post_with(proof: str, secret: str) -> Post:
    """A post as who knows the secret makes it."""
    headers = {
        "standard_webhooks": standard_webhooks.headers(secret, "m", int(NOW.timestamp()), BODY),
        "hmac": {"x-signature": hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()},
        "basic": {"authorization": login(f"user:{secret}")},
        "bearer": {"authorization": f"Bearer {secret}"},
        "header": {"x-api-key": secret},
        "write_key": {"authorization": login(f"{secret}:")},
        "query": {},
    }[proof]
    return Post(headers, BODY, query={"key": secret} if proof == "query" else {})


PROOFS = ("standard_webhooks", "hmac", "basic", "bearer", "header", "query", "write_key")


@pytest.mark.parametrize("proof", PROOFS)
def test_either_secret_proves_it_and_nothing_else_does(proof: str) -> None:
    of = tracker(proof)
    assert all(accepted(of, post_with(proof, secret)) for secret in SECRETS)
    assert not accepted(of, post_with(proof, OTHER))
    assert not accepted(of, post_with(proof, SECRETS[0][:-1] + "Q"))
    assert not accepted(of, Post({}, BODY))


@pytest.mark.parametrize("proof", PROOFS)
def test_each_secret_is_compared_in_constant_time(proof: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, compared = hmac.compare_digest, []

    def compare(ours: bytes, theirs: bytes) -> bool:
        compared.append((ours, theirs))
        return real(ours, theirs)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for secret in (*SECRETS, OTHER):
        compared.clear()
        accepted(tracker(proof), post_with(proof, secret))
        assert len(compared) == 2
    monkeypatch.setattr(hmac, "compare_digest", lambda ours, theirs: False)
    assert not accepted(tracker(proof), post_with(proof, SECRETS[0]))


@pytest.mark.parametrize("proof", PROOFS)
@pytest.mark.parametrize("nothing", ["", " ", "\x00", "\ud800", "é", "x" * 10_000, "Basic", "Basic ", "Bearer ", "Basic Og=="])
def test_whatever_stands_in_its_place_is_refused(proof: str, nothing: str) -> None:
    post = post_with(proof, SECRETS[0])
    headers = dict.fromkeys(post.headers, nothing)
    query = dict.fromkeys(post.query, nothing)
    assert not accepted(tracker(proof), Post(headers, BODY, query=query))


def test_no_proof_lets_everybody_in() -> None:
    assert accepted(tracker("none", secrets=[]), Post({}, b""))


def test_a_header_and_a_parameter_have_the_names_that_the_tracker_says() -> None:
    header, query = tracker("header", header="X-Shop-Key"), tracker("query", parameter="access_token")
    assert accepted(header, Post({"x-shop-key": SECRETS[0]}, BODY))
    assert not accepted(header, Post({"x-api-key": SECRETS[0]}, BODY))
    assert accepted(query, Post({}, BODY, query={"access_token": SECRETS[0]}))
    assert not accepted(query, Post({"access_token": SECRETS[0]}, BODY, query={"key": SECRETS[0]}))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_a_signature_of_any_kind(algorithm: str, encoding: str) -> None:
    how = {
        "header": "X-Sig",
        "algorithm": algorithm,
        "encoding": encoding,
        "prefix": "v=",
        "timestamp_header": "X-At",
        "separator": ":",
    }
    of, time = tracker("hmac", hmac=how), str(int(NOW.timestamp()))
    digest = hmac.new(SECRETS[1].encode(), f"{time}:".encode() + BODY, algorithm).digest()
    text = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    good = {"x-sig": f"v={text}", "x-at": time}
    assert accepted(of, Post(good, BODY))
    assert accepted(of, Post(good, BODY), NOW + timedelta(seconds=299))
    for later in (timedelta(seconds=301), timedelta(days=-1)):
        assert not accepted(of, Post(good, BODY), NOW + later)
    for wrong in (
        Post(good, BODY + b" "),
        Post({**good, "x-at": str(int(time) + 1)}, BODY),
        Post({**good, "x-sig": text}, BODY),
        Post({"x-sig": good["x-sig"]}, BODY),
        Post({"x-at": time}, BODY),
        Post({**good, "x-at": "soon"}, BODY),
    ):
        assert not accepted(of, wrong)
    with pytest.raises(BadRequest, match="x-sig must begin with v="):
        prove(TRACKERS.load(of.format), of, Post({**good, "x-sig": text}, BODY), lambda: NOW)


def test_the_formats_own_way_is_asked_if_that_is_the_proof() -> None:
    of = Tracker.model_validate({"name": "pos", "secrets": list(SECRETS)})
    assert accepted(of, post_with("standard_webhooks", SECRETS[0]))
    assert not accepted(of, post_with("standard_webhooks", OTHER))
    assert not accepted(of, post_with("bearer", SECRETS[0]))
