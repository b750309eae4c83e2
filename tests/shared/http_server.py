"""A server that answers as a test says, and what sends to it."""

from __future__ import annotations

import contextlib
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shared.clock import Clock, utc_now
from shared.http import Http, Resolver, resolve

Answer = Callable[[BaseHTTPRequestHandler], None]
MakeHttp = Callable[..., Http]


class _Quiet(ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that the client breaks off are what some tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # handed on as it came


class Server:
    """Answers each request by whatever the test put in `answer`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[tuple[str, str]] = []
        self.connections = 0
        self.answer: Answer = lambda handler: reply(handler, 200, b"{}")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections += 1

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.seen.append((self.path, self.headers["host"]))
                outer.answer(self)

            do_GET = do_POST  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server: ThreadingHTTPServer = _Quiet(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        """Closes it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def until_cut(answer: Answer) -> Answer:
    def quiet(handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            answer(handler)
        handler.close_connection = True

    return quiet


@contextlib.contextmanager
def made() -> Iterator[MakeHttp]:
    """Makes what sends, and closes it in the end."""
    all_made: list[Http] = []

    def make(origins: tuple[str, ...] = (), resolver: Resolver = resolve, clock: Clock = utc_now) -> Http:
        all_made.append(Http(origins, resolver=resolver, clock=clock))
        return all_made[-1]

    yield make
    for http in all_made:
        http.close()
