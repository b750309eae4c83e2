"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.aws import REGION, Aws, ministack


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    """One MiniStack for the whole session, started when the first test needs it."""
    with ministack() as url, pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }.items():
            patch.setenv(name, value)
        yield url


@pytest.fixture
def aws(aws_endpoint: str) -> Aws:
    """Fresh tables, queues and a bucket."""
    assert aws_endpoint
    return Aws()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make check` asks no embedded AWS: what does is left to `make test`."""
    for item in items:
        if "aws_endpoint" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
