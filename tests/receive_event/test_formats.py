"""What every format has to bear, through the function: forged, old and repeated posts, packed, large and empty ones."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest

from connectors.bodies import LARGEST_POST
from connectors.registry import TRACKERS
from shared.trackers import Tracker
from tests.contract.registered import sample
from tests.contract.sample import KEYS, NOW, Inbound
from tests.receive_event.receiver import Receiver

TODAY, BEFORE, OTHERS = KEYS
BOM = b"\xef\xbb\xbf"


@cache
def _inbound(name: str) -> Inbound:
    inbound = sample(("tracker", name)).inbound
    assert inbound is not None
    return inbound


def _receiver(name: str) -> Receiver:
    definition = sample(("tracker", name)).definition
    assert isinstance(definition, Tracker)
    return Receiver(definition, fetch=_inbound(name).fetch)


def _ids(at: Receiver, body: bytes, headers: dict[str, str]) -> list[str]:
    status, _, said = at.ask(body, headers)
    assert status == 202, said
    assert said["rejected"] == []
    events = at.taken()
    assert len(events) == said["accepted"]
    return [event.id for event in events]


each_format = pytest.mark.parametrize("name", TRACKERS.rows)


@each_format
def test_a_good_post_is_taken_and_a_forged_one_goes_nowhere(name: str) -> None:
    at, inbound = _receiver(name), _inbound(name)
    body = inbound.post(inbound.good)
    good = inbound.sign(TODAY, NOW, body)
    assert len(_ids(at, body, good)) == (len(inbound.good) if inbound.batches else 1)
    forged = [(body, inbound.sign(OTHERS, NOW, body)), (body, {})]
    if inbound.covers_body:
        forged.append((body + b" ", good))
    for sent, headers in forged:
        assert at.ask(sent, headers)[0] == 401
    assert (at.taken(), at.kept.parked) == ([], [])


@each_format
def test_what_is_posted_twice_is_the_same(name: str) -> None:
    at, inbound = _receiver(name), _inbound(name)
    body = inbound.post(inbound.good)
    first = _ids(at, body, inbound.sign(TODAY, NOW, body))
    assert _ids(at, body, inbound.sign(TODAY, NOW, body)) == first
    at.now = NOW + timedelta(hours=2)  # posted again, signed anew, meanwhile by the older key
    assert _ids(at, body, inbound.sign(BEFORE, at.now, body)) == first


@pytest.mark.parametrize("name", [name for name in TRACKERS.rows if _inbound(name).dated])
def test_a_stale_post_is_refused(name: str) -> None:
    at, inbound = _receiver(name), _inbound(name)
    body = inbound.post(inbound.good)
    for off in (timedelta(seconds=301), timedelta(seconds=-301)):
        assert at.ask(body, inbound.sign(TODAY, NOW + off, body))[0] == 401


@pytest.mark.parametrize("name", [name for name in TRACKERS.rows if _inbound(name).batches])
def test_an_empty_batch_brings_nothing_and_is_no_mistake(name: str) -> None:
    at, inbound = _receiver(name), _inbound(name)
    body = inbound.post([])
    status, _, said = at.ask(body, inbound.sign(TODAY, NOW, body))
    if name == "standard_webhooks":  # our own body, which somebody has just written: what is wrong with it is said
        assert (status, said["field"]) == (400, "events")
    elif name == "adobe_io":  # it is its events that say for whom they are
        assert status == 401
    else:
        assert (status, said) == (202, {"accepted": 0, "rejected": []})
    assert at.taken() == []


@each_format
def test_two_megabytes_are_taken_and_not_a_byte_more(name: str) -> None:
    at, inbound = _receiver(name), _inbound(name)
    body = inbound.post(inbound.good)
    large = body + b" " * (LARGEST_POST - len(body))
    assert _ids(at, large, inbound.sign(TODAY, NOW, large))
    larger = large + b" "
    assert at.ask(larger, inbound.sign(TODAY, NOW, larger))[0] == 413
    packed = {**inbound.sign(TODAY, NOW, larger), "content-encoding": "gzip"}
    assert at.ask(gzip.compress(larger, 1), packed)[0] == 413


@each_format
def test_a_packed_post_is_what_is_in_it(name: str) -> None:
    at, inbound = _receiver(name), _inbound(name)
    body = inbound.post(inbound.good)
    headers = inbound.sign(TODAY, NOW, body)
    plain = _ids(at, body, headers)
    packed = gzip.compress(body)
    for encoding in ("gzip", "x-gzip", " GZIP"):
        assert _ids(at, packed, {**headers, "content-encoding": encoding}) == plain
    assert _ids(at, body, {**headers, "content-encoding": "identity"}) == plain
    assert _ids(at, packed, headers) == plain  # as browsers' libraries do, which say it nowhere
    for sent in (body, packed[:-9], packed + b"x", b""):
        assert at.ask(sent, {**headers, "content-encoding": "gzip"})[0] == 400
    status, answered, _ = at.ask(packed, {**headers, "content-encoding": "br"})
    assert (status, answered["accept-encoding"]) == (415, "gzip")
    assert at.taken() == []


@each_format
def test_a_byte_order_mark_is_passed_over(name: str) -> None:
    at, inbound = _receiver(name), _inbound(name)
    body = inbound.post(inbound.good)
    plain = _ids(at, body, inbound.sign(TODAY, NOW, body))
    assert _ids(at, BOM + body, inbound.sign(TODAY, NOW, BOM + body)) == plain


def test_these_take_an_event_by_itself_or_in_a_list() -> None:
    taken = {name for name in TRACKERS.rows if _alone_and_listed(name)}
    assert taken == {"adobe_io", "cloudevents", "posthog", "rudderstack", "snowplow"}


def _alone_and_listed(name: str) -> bool:
    """Whether both are taken, and are the same event; else it is the caller's mistake."""
    at, inbound = _receiver(name), _inbound(name)
    found: list[list[str]] = []
    for body in (json.dumps(inbound.good[0]).encode(), json.dumps([inbound.good[0]]).encode()):
        headers = {**inbound.sign(TODAY, NOW, body), "content-type": "application/json"}
        status, _, said = at.ask(body, headers)
        assert status in (202, 400, 401), said
        found.append([event.id for event in at.taken()])
    return bool(found[0]) and found[0] == found[1]


@each_format
def test_a_bad_event_is_parked_or_refused_as_the_format_wants(name: str) -> None:
    at, inbound = _receiver(name), _inbound(name)
    body = inbound.post([inbound.bad])
    status, _, said = at.ask(body, inbound.sign(TODAY, NOW, body))
    assert at.taken() == []
    if TRACKERS.load(name).forgiving:
        assert (status, said["accepted"], len(said["rejected"]), len(at.kept.parked)) == (202, 0, 1, 1)
    else:
        assert (status, len(said["errors"]), at.kept.parked) == (400, 1, [])


@each_format
def test_methods_that_bring_no_events_are_answered(name: str) -> None:
    at, methods = _receiver(name), TRACKERS.load(name).methods
    assert "POST" in methods
    status, headers, _ = at.ask(method="PATCH")
    assert (status, headers["allow"]) == (405, ", ".join(methods))
    if "HEAD" not in methods:
        assert at.ask(method="HEAD")[::2] == (204, "")


@each_format
def test_there_is_a_sample_of_what_is_posted(name: str) -> None:
    path = Path("events/receive_event") / ("cart.json" if name == "standard_webhooks" else f"{name}.json")
    assert json.loads(path.read_text())


@pytest.mark.parametrize(("name", "taken"), [("json", "Order Completed"), ("cloudevents", "com.example.cart.item-added")])
def test_the_sample_is_taken(name: str, taken: str) -> None:
    at, body = _receiver(name), (Path("events/receive_event") / f"{name}.json").read_bytes()
    status, _, said = at.ask(body, _inbound(name).sign(TODAY, NOW, body))
    assert (status, said) == (202, {"accepted": 1, "rejected": []})
    (event,) = at.taken()
    assert (event.name, event.traits["email"]) == (taken, "ada@example.com")
