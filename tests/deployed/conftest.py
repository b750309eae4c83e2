"""The whole stack, really deployed on the embedded AWS, once for all tests that need it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

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


@pytest.fixture(scope="session")
def admin(deployed: World) -> Iterator[httpx.Client]:
    """A client of the admin API whose requests are signed by the account's owner."""
    credentials = boto3.Session("test", "test").get_credentials()
    assert credentials is not None

    def sign(request: httpx.Request) -> None:
        signed = AWSRequest(request.method, str(request.url), data=request.content)
        SigV4Auth(credentials, "execute-api", deployed.environment["AWS_REGION"]).add_auth(signed)
        request.headers.update(dict(signed.headers.items()))

    hooks = {"request": [sign]}
    with httpx.Client(base_url=f"{deployed.deployment.url}/v1/admin", event_hooks=hooks, timeout=30) as client:
        yield client
