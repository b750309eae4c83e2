"""Running sandboxes, and a receiver for webhooks."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.sandbox.dynamics import ROOT, DynamicsSandbox
from tests.sandbox.esp import EspSandbox, EspSettings
from tests.sandbox.server import serve


def until(ready: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "not within time"
        time.sleep(0.02)


@dataclass
class Receiver:
    """Answers webhooks with the statuses in `answers`, then 200, and keeps what came."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        self.received.append((dict(request.headers), await request.body()))
        return Response(status_code=self.answers.pop(0) if self.answers else 200)

    def events(self) -> list[dict[str, object]]:
        return [event for _, body in self.received for event in json.loads(body)["events"]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    hook = Receiver()
    with serve(Starlette(routes=[Route("/hook", hook.take, methods=["POST"])])) as url:
        hook.url = f"{url}/hook"
        yield hook


@dataclass
class Client:
    """Calls a sandbox as a client library would: `token` is sent when there is one."""

    http: httpx.Client
    token: str = ""

    def call(self, method: str, path: str, **options: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= options.pop("headers", {})  # type: ignore[call-overload]
        return self.http.request(method, path, headers=headers, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def running_esp() -> Iterator[EspSandbox]:
    with EspSandbox.run() as sandbox:
        yield sandbox


@pytest.fixture
def esp(running_esp: EspSandbox) -> EspSandbox:
    running_esp.control("events", mode="manual")
    running_esp.control("reset")
    running_esp.poster.webhook = None
    return running_esp


def esp_token(http: httpx.Client, settings: EspSettings) -> str:
    form = {"grant_type": "client_credentials", "client_id": settings.client_id, "client_secret": settings.client_secret}
    answer = http.post("/oauth/token", data=form)
    assert answer.status_code == 200
    return str(answer.json()["access_token"])


@pytest.fixture
def sender(esp: EspSandbox) -> Iterator[Client]:
    with httpx.Client(base_url=esp.url, trust_env=False) as http:
        yield Client(http, esp_token(http, esp.settings))


@pytest.fixture(scope="session")
def running_dynamics() -> Iterator[DynamicsSandbox]:
    with DynamicsSandbox.run() as sandbox:
        yield sandbox


@pytest.fixture
def dynamics(running_dynamics: DynamicsSandbox) -> DynamicsSandbox:
    running_dynamics.control("reset")
    return running_dynamics


def entra_form(sandbox: DynamicsSandbox, **changes: str) -> dict[str, str]:
    settings = sandbox.settings
    form = {"grant_type": "client_credentials", "client_id": settings.client_id}
    return {**form, "client_secret": settings.client_secret, "scope": f"{sandbox.url}/.default", **changes}


@pytest.fixture
def crm(dynamics: DynamicsSandbox) -> Iterator[Client]:
    with httpx.Client(base_url=dynamics.url, trust_env=False) as http:
        answer = http.post(f"/{dynamics.settings.tenant}/oauth2/v2.0/token", data=entra_form(dynamics))
        assert answer.status_code == 200
        http.base_url = httpx.URL(dynamics.url + ROOT)
        yield Client(http, answer.json()["access_token"])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The sandboxes' own tests are no part of `make check`: they change with the vendors, not with us."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.slow)
