from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import pytest

from admin_api.app import Admin
from cli.main import main
from shared.secrets import Secrets
from tests.admin_api.conftest import Vendors, settings_of
from tests.admin_api.samples import KEY, OTHER_KEY, PASSWORD
from tests.aws import REGION, Aws

DEFINITIONS = "events/definitions"

VENDOR = "http://127.0.0.1:8025"
VARIABLES = {
    "SHOP_SECRET": KEY,
    "ESP_URL": VENDOR,
    "ESP_CLIENT_ID": "sendbridge",
    "ESP_CLIENT_SECRET": PASSWORD,
    "ESP_WEBHOOK_SECRET": OTHER_KEY,
    "DYNAMICS_URL": VENDOR,
    "DYNAMICS_TOKEN_URL": f"{VENDOR}/token",
    "DYNAMICS_CLIENT_ID": "app",
    "DYNAMICS_CLIENT_SECRET": PASSWORD,
}


class Bridge(ThreadingHTTPServer):
    """API Gateway in a few lines: HTTP to payload 2.0 and back. Lets in what is signed for it, or has a bearer token."""

    daemon_threads = True

    def __init__(self, admin: Admin) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.admin = admin
        self.seen: list[tuple[str, str]] = []
        self.authorizations: list[str] = []
        self.answers: list[tuple[int, bytes]] = []
        """Given instead of the function's, once each."""


class _Request(BaseHTTPRequestHandler):
    server: Bridge

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        status, content, headers = self._given(self.rfile.read(length))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def _given(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        self.server.seen.append((self.command, self.path))
        authorization = self.headers.get("authorization", "")
        self.server.authorizations.append(authorization)
        if self.server.answers:
            return (*self.server.answers.pop(0), {})
        if not authorization.startswith(("AWS4-HMAC-SHA256 ", "Bearer ")):
            return 403, b'{"message": "Forbidden"}', {}
        url = urlsplit(self.path)
        event: dict[str, object] = {
            "rawPath": url.path,
            "queryStringParameters": dict(parse_qsl(url.query)) or None,
            "requestContext": {"http": {"method": self.command}},
            "body": body.decode(),
            "isBase64Encoded": False,
        }
        answer = self.server.admin.answer(event)
        return int(str(answer["statusCode"])), str(answer["body"]).encode(), cast("dict[str, str]", answer["headers"])

    def log_message(self, *_: object) -> None:
        """Not to stderr, which tests look at."""


@dataclass
class Run:
    """What a run of the command came to."""

    code: int
    out: str
    err: str = field(default="")

    @property
    def json(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.out)


Sendbridge = Callable[..., Run]


@pytest.fixture
def vendors() -> Vendors:
    return Vendors()


@pytest.fixture
def bridge(aws: Aws, vendors: Vendors) -> Iterator[Bridge]:
    """The admin API of this test's resources, over HTTP."""
    Secrets(aws.secretsmanager, aws.secret_prefix).write("links", {"key": "k"})
    with Bridge(Admin(settings_of(aws, allowed_origins=(VENDOR,)), aws.clock, vendors.send)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def sendbridge(bridge: Bridge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sendbridge:
    """Runs the command against the bridge, with the variables of the sample definitions set."""
    for name, value in {**VARIABLES, "SENDBRIDGE_URL": f"http://127.0.0.1:{bridge.server_port}", "AWS_REGION": REGION}.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object) -> Run:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Run(code, said.out, said.err)

    return run
