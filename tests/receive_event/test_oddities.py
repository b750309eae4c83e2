"""Whatever stands in the place of anything that a format knows: an answer that says what is wrong, or an event that can go on."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import JsonValue

from connectors.registry import TRACKERS
from shared.trackers import Tracker
from tests.contract.registered import sample
from tests.contract.sample import KEYS, NOW
from tests.receive_event.receiver import Receiver

ODD: list[JsonValue] = [None, True, -1, 1.5, 10**400, "", "x", "\0", "guest", [], [None], {}, {"a": [{"b": None}]}, "9" * 300]


def oddities(value: Any) -> Iterator[Any]:
    """The value with each of its parts, and itself, replaced by each odd one."""
    yield from ODD
    steps = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for step in steps:
        for odd in oddities(value[step]):
            changed = copy.copy(value)
            changed[step] = odd
            yield changed


@pytest.mark.parametrize("name", TRACKERS.rows)
def test_nothing_odd_is_answered_with_5xx_or_with_nothing(name: str) -> None:
    of = sample(("tracker", name))
    assert of.inbound is not None
    assert isinstance(of.definition, Tracker)
    at = Receiver(of.definition, fetch=of.inbound.fetch)
    for odd in oddities(of.inbound.good[0]):
        if name == "matomo" and not isinstance(odd, dict):
            continue  # its sample makes a query string of parameters
        body = of.inbound.post([odd])
        status, _, said = at.ask(body, of.inbound.sign(KEYS[0], NOW, body))
        if status != 202:
            assert (status in (400, 401), bool(said["detail"])) == (True, True), said
        for event in at.taken():
            assert event.name
            assert event.anonymous_id or event.user_id
