"""The whole stack, really deployed on the embedded AWS, once for all tests that need it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from cli.local.world import World, world
from tests.deployed.shop import Shop

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def deployed() -> Iterator[World]:
    """One deployment for the session."""
    with world() as made:
        yield made


@pytest.fixture
def shop(deployed: World) -> Iterator[Shop]:
    """A shop whose visitors nobody has seen before; the vendors are well again after each test."""
    yield Shop(deployed, f"t{next(_numbers)}")
    for vendor in (deployed.vendors.esp, deployed.vendors.crm):
        vendor.command("clear")
