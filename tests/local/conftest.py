"""The embedded AWS with the stack deployed to it, once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.local.aws import EmbeddedAws, embedded_aws
from cli.local.deploy import Deployment, deploy


@pytest.fixture(scope="session")
def cloud() -> Iterator[EmbeddedAws]:
    with embedded_aws() as aws:
        yield aws


@pytest.fixture(scope="session")
def deployment(cloud: EmbeddedAws) -> Deployment:
    return deploy(cloud)
