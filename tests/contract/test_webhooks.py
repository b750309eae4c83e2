"""Who may post, and what becomes of what was posted."""

from __future__ import annotations

import hmac
import json
from contextlib import nullcontext
from datetime import datetime, timedelta

import pytest
from pydantic import JsonValue

from shared.errors import BadRequest
from tests.contract.registered import Inbound, each_inbound
from tests.contract.sample import KEYS, NOW

TODAY, BEFORE, OTHERS = KEYS


ODD: tuple[JsonValue, ...] = (
    None,
    True,
    -1,
    1e308,
    10**300,
    "",
    "x" * 100_000,
    "\x00",
    "\u2028",
    [],
    {},
    [[{}]],
    {"a": {"b": None}},
)


def posted(inbound: Inbound, key: str = TODAY, at: datetime = NOW) -> tuple[dict[str, str], bytes]:
    """A post as the vendor makes it."""
    body = inbound.post(inbound.good)
    return inbound.sign(key, at, body), body


def refused(inbound: Inbound, headers: dict[str, str], body: bytes, now: datetime = NOW) -> None:
    with pytest.raises(BadRequest) as refusal:
        inbound.receive(headers, body, now)
    assert refusal.value.status == 401


@each_inbound()
@pytest.mark.parametrize("key", [TODAY, BEFORE], ids=["today's key", "the key before"])
def test_a_post_signed_with_either_key_is_taken(inbound: Inbound, key: str) -> None:
    taken, bad = inbound.receive(*posted(inbound, key), NOW)
    assert len(set(taken)) == (len(inbound.good) if inbound.batches else 1)
    assert bad == []


@each_inbound()
def test_any_other_key_is_refused(inbound: Inbound) -> None:
    refused(inbound, *posted(inbound, OTHERS))


@each_inbound(lambda inbound: inbound.covers_body)
def test_a_body_altered_anywhere_is_refused(inbound: Inbound) -> None:
    headers, body = posted(inbound)
    for at in range(0, len(body), 7):
        refused(inbound, headers, body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
    for other in (b"", body + b" ", body[:-1], body * 2):
        refused(inbound, headers, other)


@each_inbound()
def test_a_header_altered_anywhere_is_refused(inbound: Inbound) -> None:
    headers, body = posted(inbound)
    for name in inbound.headers:
        value = headers[name]
        for at in range(len(value)):
            other = "1" if value[at] != "1" else "2"
            refused(inbound, {**headers, name: value[:at] + other + value[at + 1 :]}, body)
            refused(inbound, {**headers, name: value[:at]}, body)


@each_inbound()
def test_without_any_one_of_the_headers_it_is_refused(inbound: Inbound) -> None:
    headers, body = posted(inbound)
    for name in inbound.headers:
        refused(inbound, {key: value for key, value in headers.items() if key != name}, body)
        for nothing in ("", " ", ",", "v1,", "\x00", "null", "\ud800", "\u00e9", "x" * 10_000):
            refused(inbound, {**headers, name: nothing}, body)
    refused(inbound, {}, body)


@each_inbound()
def test_an_unsigned_post_is_refused_before_its_body_is_looked_at(inbound: Inbound) -> None:
    for body in (b"", b"[" * 100_000, b"\xff", b"{}"):
        refused(inbound, {}, body)
        refused(inbound, inbound.sign(OTHERS, NOW, body), body)


@each_inbound(lambda inbound: inbound.covers_body and inbound.batches)
def test_the_signature_of_one_post_is_not_good_for_another(inbound: Inbound) -> None:
    first, second = inbound.post(inbound.good[:1]), inbound.post(inbound.good[1:])
    refused(inbound, inbound.sign(TODAY, NOW, first), second)


@each_inbound(lambda inbound: inbound.dated)
@pytest.mark.parametrize("off", [timedelta(seconds=301), timedelta(days=1), timedelta(days=20_000)])
def test_a_post_from_another_time_is_refused(inbound: Inbound, off: timedelta) -> None:
    headers, body = posted(inbound)
    refused(inbound, headers, body, NOW + off)
    refused(inbound, headers, body, NOW - off)


@each_inbound()
def test_clocks_may_differ_a_little(inbound: Inbound) -> None:
    headers, body = posted(inbound)
    for off in (timedelta(seconds=200), timedelta(seconds=-200)):
        assert inbound.receive(headers, body, NOW + off)[0]


@each_inbound(lambda inbound: inbound.compares)
def test_signatures_are_compared_in_constant_time_and_by_nothing_else(inbound: Inbound, monkeypatch: pytest.MonkeyPatch) -> None:
    real, compared = hmac.compare_digest, []

    def says(answer: bool | None) -> None:
        def compare(ours: bytes, theirs: bytes) -> bool:
            compared.append(len(ours))
            return real(ours, theirs) if answer is None else answer

        monkeypatch.setattr(hmac, "compare_digest", compare)

    says(None)
    for key in (TODAY, BEFORE, OTHERS):
        compared.clear()
        with pytest.raises(BadRequest) if key == OTHERS else nullcontext():
            inbound.receive(*posted(inbound, key), NOW)
        assert len(compared) == 2, "each secret is compared, also after one that matches"
        assert min(compared) >= 28, "a whole digest: that of SHA-1 in base64 is the shortest"
    says(False)
    refused(inbound, *posted(inbound))  # what `==` would have taken
    says(True)
    assert inbound.receive(*posted(inbound, OTHERS), NOW)[0]  # what `==` would have refused


@each_inbound(lambda inbound: inbound.batches)
def test_a_bad_event_does_not_cost_its_neighbours(inbound: Inbound) -> None:
    others: list[JsonValue] = [None, 7, "event", [], {}, [[]], True]
    for bad in (inbound.bad, *others):
        body = inbound.post([inbound.good[0], bad, *inbound.good[1:]])
        taken, unusable = inbound.receive(inbound.sign(TODAY, NOW, body), body, NOW)
        assert len(taken) == len(inbound.good)
        assert unusable == [1]


@each_inbound(lambda inbound: inbound.batches)
def test_every_field_of_an_event_may_be_anything(inbound: Inbound) -> None:
    for good in inbound.good:
        assert isinstance(good, dict)
        for name in good:
            changed: list[JsonValue] = [{**good, name: value} for value in ODD]
            body = inbound.post([inbound.good[0], *changed, inbound.good[-1]])
            taken, unusable = inbound.receive(inbound.sign(TODAY, NOW, body), body, NOW)
            assert len(taken) + len(unusable) == len(ODD) + 2
            assert 0 not in unusable
            assert len(ODD) + 1 not in unusable


@each_inbound(lambda inbound: inbound.batches)
def test_ids_do_not_depend_on_when_or_with_whom_an_event_arrives(inbound: Inbound) -> None:
    ids, _ = inbound.receive(*posted(inbound), NOW)
    later = NOW + timedelta(hours=5)
    assert inbound.receive(*posted(inbound, BEFORE, later), later)[0] == ids
    body = inbound.post([*reversed(inbound.good), *inbound.good])
    assert inbound.receive(inbound.sign(TODAY, NOW, body), body, NOW)[0] == [*reversed(ids), *ids]
    alone = [inbound.post([event]) for event in inbound.good]
    assert [inbound.receive(inbound.sign(TODAY, NOW, body), body, NOW)[0] for body in alone] == [[one] for one in ids]


@each_inbound(lambda inbound: not inbound.batches)
def test_a_post_of_one_event_has_the_same_id_whenever_it_arrives(inbound: Inbound) -> None:
    bodies = [inbound.post([event]) for event in inbound.good]
    ids = [inbound.receive(inbound.sign(TODAY, NOW, body), body, NOW)[0] for body in bodies]
    later = NOW + timedelta(hours=5)
    assert [inbound.receive(inbound.sign(BEFORE, later, body), body, later)[0] for body in bodies] == ids
    assert len({one for [one] in ids}) == len(bodies)


@pytest.mark.slow
@each_inbound(lambda inbound: not inbound.batches)
def test_every_field_of_the_one_event_may_be_anything(inbound: Inbound) -> None:
    for good in inbound.good:
        assert isinstance(good, dict)
        for name in good:
            for value in ODD:
                body = inbound.post([{**good, name: value}])
                taken, unusable = inbound.receive(inbound.sign(TODAY, NOW, body), body, NOW)
                assert len(taken) + len(unusable) <= 1


@each_inbound(lambda inbound: inbound.is_json)
def test_ids_do_not_depend_on_how_json_is_written(inbound: Inbound) -> None:
    ids, _ = inbound.receive(*posted(inbound), NOW)
    shuffled = [dict(reversed(event.items())) for event in inbound.good if isinstance(event, dict)]
    body = json.dumps(json.loads(inbound.post(shuffled)), indent=3, ensure_ascii=False).encode()
    assert inbound.receive(inbound.sign(TODAY, NOW, body), body, NOW)[0] == ids


@each_inbound()
@pytest.mark.parametrize(
    "body", [b"", b"null", b"7", b"<html>", b'{"events": [', b"\xff\xfe", b"[" * 100_000, b'"' + b"x" * 1_000_000 + b'"']
)
def test_a_signed_body_that_holds_no_events_is_the_callers_mistake(inbound: Inbound, body: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        inbound.receive(inbound.sign(TODAY, NOW, body), body, NOW)
    assert 400 <= refusal.value.status < 500
    assert len(refusal.value.reason) < 500
