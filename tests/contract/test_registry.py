"""Every connector is in the suite."""

from __future__ import annotations

import importlib

import pytest

from connectors.esps.base import Esp
from connectors.registry import CRMS, ESPS, TRACKERS, Family
from connectors.trackers.base import TrackerFormat
from shared.errors import Misconfigured
from tests.contract.registered import FAMILIES, ROWS, Row
from tests.contract.samples import SAMPLES


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_every_row_has_a_sample(row: Row) -> None:
    assert row in SAMPLES, f"the {row[0]} connector {row[1]!r} has no sample: see tests/contract/samples.py"


def test_every_sample_has_a_row() -> None:
    assert set(SAMPLES) <= set(ROWS)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.kind)
def test_what_is_not_registered_is_misconfigured(family: Family[object]) -> None:
    with pytest.raises(Misconfigured, match=f"there is no {family.kind} connector named 'nobody'"):
        family.load("nobody")


def test_each_row_loads_what_its_family_is_asked_for() -> None:
    for name in TRACKERS.rows:
        connector: TrackerFormat = TRACKERS.load(name)
        assert callable(connector.verify)
        assert callable(connector.events)
    for name in ESPS.rows:
        assert isinstance(ESPS.load(name), Esp)
    for name in CRMS.rows:
        assert {"contacts", "write", "test_connection"} <= set(dir(CRMS.load(name)))


@pytest.mark.parametrize(("kind", "name"), ROWS)
def test_a_connectors_module_says_what_it_is(kind: str, name: str) -> None:
    path = next(family.rows[name] for family in FAMILIES if family.kind == kind)
    assert importlib.import_module(path.partition(":")[0]).__doc__
