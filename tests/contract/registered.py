"""The rows of the registry with their samples, as parameters of tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from connectors.registry import CRMS, ESPS, TRACKERS, Family
from tests.contract.sample import Inbound, Operation, Sample
from tests.contract.samples import SAMPLES

Row = tuple[str, str]

FAMILIES: tuple[Family[object], ...] = (TRACKERS, ESPS, CRMS)  # type: ignore[assignment]  # whatever they load
ROWS: tuple[Row, ...] = tuple((family.kind, name) for family in FAMILIES for name in family.rows)


@cache
def sample(row: Row) -> Sample:
    """The sample of a registered connector."""
    return SAMPLES[row]()


@cache
def _sampled() -> tuple[Row, ...]:
    return tuple(row for row in ROWS if row in SAMPLES)


def each_row() -> pytest.MarkDecorator:
    """Every connector."""
    return pytest.mark.parametrize("row", _sampled(), ids=" ".join)


def each_inbound(where: Callable[[Inbound], bool] = lambda _: True) -> pytest.MarkDecorator:
    """Every connector that is posted to."""
    found = [(row, inbound) for row in _sampled() if (inbound := sample(row).inbound) is not None and where(inbound)]
    return pytest.mark.parametrize("inbound", [inbound for _, inbound in found], ids=[" ".join(row) for row, _ in found])


def each_operation(where: Callable[[Operation], bool] = lambda _: True) -> pytest.MarkDecorator:
    """Every operation of every connector, as the connector's sample and the operation."""
    found = [(row, name, one) for row in _sampled() for name, one in sample(row).operations.items() if where(one)]
    return pytest.mark.parametrize(
        ("row", "operation"), [(row, one) for row, _, one in found], ids=[f"{' '.join(row)} {name}" for row, name, _ in found]
    )


__all__ = ["FAMILIES", "ROWS", "Inbound", "Operation", "Sample", "each_inbound", "each_operation", "each_row", "sample"]
