"""Fixtures for what talks HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.shared.http_server import MakeHttp, Server, made


@pytest.fixture
def make_http() -> Iterator[MakeHttp]:
    with made() as make:
        yield make


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()
