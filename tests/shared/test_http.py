from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shared.clock import Clock, utc_now
from shared.errors import Misconfigured, Transient, Unknown
from shared.exchange import Request
from shared.http import MAX_ANSWER, Http, Resolver, resolve

Answer = Callable[[BaseHTTPRequestHandler], None]
MakeHttp = Callable[..., Http]


class _Quiet(ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that the client breaks off are what some tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # handed on as it came


class _Server:
    """Answers each request by whatever the test put in `answer`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[tuple[str, str]] = []
        self.connections = 0
        self.answer: Answer = lambda handler: _reply(handler, 200, b"{}")
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
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def make_http() -> Iterator[Callable[..., Http]]:
    made: list[Http] = []

    def make(origins: tuple[str, ...] = (), resolver: Resolver = resolve, clock: Clock = utc_now) -> Http:
        made.append(Http(origins, resolver=resolver, clock=clock))
        return made[-1]

    yield make
    for http in made:
        http.close()


@pytest.fixture
def server() -> Iterator[_Server]:
    server = _Server()
    yield server
    server.stop()


def test_any_status_is_an_answer(server: _Server, make_http: MakeHttp) -> None:
    server.answer = lambda handler: _reply(handler, 429, b'{"a": 1}', **{"Retry-After": "7"})
    answer = make_http((server.url,)).send(Request("POST", f"{server.url}/x", {}, b"{}"))
    assert (answer.status, answer.json(), answer.headers["retry-after"]) == (429, {"a": 1}, "7")


def test_a_redirect_is_not_followed(server: _Server, make_http: MakeHttp) -> None:
    server.answer = lambda handler: _reply(handler, 302, b"", Location=f"{server.url}/elsewhere")
    assert make_http((server.url,)).send(Request("GET", f"{server.url}/x")).status == 302
    assert [path for path, _ in server.seen] == ["/x"]


def test_a_name_that_resolves_to_a_private_address_is_not_connected_to(server: _Server, make_http: MakeHttp) -> None:
    for address in ("127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"):
        http = make_http(resolver=lambda host, port, address=address: [address])
        with pytest.raises(Misconfigured, match="not a public host"):
            http.send(Request("POST", "https://rebound.example.com/"))
    assert server.seen == []


def test_a_name_is_looked_up_once_a_connection_so_that_it_cannot_change_in_between(make_http: MakeHttp) -> None:
    answers = [["8.8.8.8", "127.0.0.1"]]
    http = make_http(resolver=lambda host, port: answers.pop(0))
    with pytest.raises(Misconfigured):
        http.send(Request("POST", "https://rebound.example.com/"))
    assert answers == []


def test_no_connection_is_known_not_to_have_been_processed(server: _Server, make_http: MakeHttp) -> None:
    server.stop()
    with pytest.raises(Transient) as failed:
        make_http((server.url,)).send(Request("POST", server.url))
    assert not isinstance(failed.value, Unknown)
    server._server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)  # for the fixture to stop
    server._thread = threading.Thread(target=server._server.serve_forever, kwargs={"poll_interval": 0.02})
    server._thread.start()


def test_an_unknown_name_is_known_not_to_have_been_processed(make_http: MakeHttp) -> None:
    def nowhere(host: str, port: int) -> list[str]:
        raise OSError(-2, "unknown")

    with pytest.raises(Transient) as failed:
        make_http(resolver=nowhere).send(Request("POST", "https://nowhere.example.com/"))
    assert not isinstance(failed.value, Unknown)


def test_a_connection_cut_after_the_request_leaves_the_outcome_unknown(server: _Server, make_http: MakeHttp) -> None:
    server.answer = lambda handler: handler.connection.shutdown(socket.SHUT_RDWR)
    with pytest.raises(Unknown):
        make_http((server.url,)).send(Request("POST", server.url, {}, b"{}"))


def test_a_server_that_drips_is_left_at_the_deadline(server: _Server, make_http: MakeHttp) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        for letter in b"HTTP/1.1 200 OK\r\nx-slow: " + b"a" * 100:
            handler.wfile.write(bytes([letter]))
            handler.wfile.flush()
            time.sleep(0.05)

    server.answer = drip
    started = time.monotonic()
    with pytest.raises(Unknown):
        make_http((server.url,)).send(Request("POST", server.url, {}, b"{}", timeout=0.3))
    assert time.monotonic() - started < 2


def test_an_answer_without_end_is_cut_off(server: _Server, make_http: MakeHttp) -> None:
    server.answer = _until_cut(lambda handler: _reply(handler, 200, b"x" * (MAX_ANSWER + 1)))
    with pytest.raises(Unknown, match="too large"):
        make_http((server.url,)).send(Request("GET", server.url))


def test_an_http_address_that_is_not_allowed_by_name_is_refused(server: _Server, make_http: MakeHttp) -> None:
    with pytest.raises(Misconfigured, match="https"):
        make_http().send(Request("GET", server.url))
    assert server.seen == []


def test_neither_headers_nor_body_are_in_a_repr() -> None:
    text = repr(Request("POST", "https://a.example.com/", {"authorization": "Bearer s3cret"}, b"s3cret"))
    assert "s3cret" not in text


def test_a_server_that_answers_quickly_but_never_ends_is_left_at_the_deadline(server: _Server, make_http: MakeHttp) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        started = time.monotonic()
        while time.monotonic() - started < 3:
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 20)

    server.answer = _until_cut(flood)
    started = time.monotonic()
    with pytest.raises(Unknown):
        make_http((server.url,)).send(Request("POST", server.url, {}, b"{}", timeout=0.3))
    assert time.monotonic() - started < 2


def _until_cut(answer: Answer) -> Answer:
    def quiet(handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            answer(handler)
        handler.close_connection = True

    return quiet


def test_what_is_compressed_unasked_does_not_grow(server: _Server, make_http: MakeHttp) -> None:
    bomb = gzip.compress(gzip.compress(b"0" * 4 * MAX_ANSWER))
    server.answer = lambda handler: _reply(handler, 200, bomb, **{"content-encoding": "gzip, gzip"})
    assert make_http((server.url,)).send(Request("GET", server.url)).body == bomb


def test_a_cookie_is_not_brought_back(server: _Server, make_http: MakeHttp) -> None:
    cookies: list[str | None] = []

    def bake(handler: BaseHTTPRequestHandler) -> None:
        cookies.append(handler.headers["cookie"])
        _reply(handler, 200, b"{}", **{"set-cookie": "session=1"})

    server.answer = bake
    http = make_http((server.url,))
    for _ in range(2):
        http.send(Request("GET", server.url))
    assert cookies == [None, None]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-key": "s3cret\r\nx-more: 1"},
        {"x-key": "s3cret\n"},
        {"x-key": "s3cret\x00"},
        {"x-key": "s3cr\u00e9t\u2028"},
        {"x-key\r\nx-more": "s3cret"},
        {"x key": "s3cret"},
        {"": "s3cret"},
    ],
)
def test_a_header_that_holds_more_than_itself_is_not_sent_nor_quoted(
    headers: dict[str, str], server: _Server, make_http: MakeHttp
) -> None:
    with pytest.raises(Misconfigured) as refused:
        make_http((server.url,)).send(Request("GET", server.url, headers))
    assert server.seen == []
    assert "s3c" not in "".join(traceback.format_exception(refused.value))


def test_a_url_that_http_cannot_carry_is_not_sent(server: _Server, make_http: MakeHttp) -> None:
    with pytest.raises(Misconfigured):
        make_http((server.url,)).send(Request("GET", f"{server.url}/\ud800"))
    with pytest.raises(Misconfigured):
        make_http((server.url,)).send(Request("GET", f"{server.url}/{'x' * 70_000}"))
    assert server.seen == []


def test_one_slow_answer_takes_no_time_from_the_others(server: _Server, make_http: MakeHttp) -> None:
    def by_path(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(float(handler.path.rpartition("/")[2]))
        with contextlib.suppress(OSError):
            _reply(handler, 200, handler.path.encode())

    server.answer = by_path
    http = make_http((server.url,))

    def ask(number: int) -> bytes | str:
        slow, allowed = number % 4 == 0, 1 if number % 4 == 0 else 10
        path = f"{number}/{2 if slow else 0}"
        try:
            return http.send(Request("POST", f"{server.url}/{path}", {}, b"{}", timeout=allowed)).body
        except Unknown as error:
            return error.reason

    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(ask, range(64)))
    for number, answer in enumerate(answers):
        expected = f"/{number}/0".encode() if number % 4 else "127.0.0.1: no answer (TimeoutError)"
        assert answer == expected


def test_a_connection_serves_many_requests(server: _Server, make_http: MakeHttp) -> None:
    http = make_http((server.url,))
    for _ in range(5):
        http.send(Request("POST", server.url, {}, b"{}"))
    assert server.connections == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_connection_that_the_other_side_ends_is_not_used_again(chunked: bool, server: _Server, make_http: MakeHttp) -> None:
    def last(handler: BaseHTTPRequestHandler) -> None:
        if chunked:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
        else:
            _reply(handler, 200, b"{}", Connection="close")
        handler.close_connection = True

    server.answer = last
    http = make_http((server.url,))
    for _ in range(3):
        assert http.send(Request("POST", server.url, {}, b"{}")).body == b"{}"
    assert server.connections == 3


def test_a_connection_that_was_closed_meanwhile_is_not_used_again(server: _Server, make_http: MakeHttp) -> None:
    def then_close(handler: BaseHTTPRequestHandler) -> None:
        _reply(handler, 200, b"{}")
        handler.close_connection = True

    server.answer = then_close
    http = make_http((server.url,))
    for _ in range(3):
        assert http.send(Request("POST", server.url, {}, b"{}")).status == 200
        time.sleep(0.05)


def test_a_connection_with_more_on_it_than_was_asked_for_is_not_used_again(server: _Server, make_http: MakeHttp) -> None:
    def twice(handler: BaseHTTPRequestHandler) -> None:
        _reply(handler, 200, handler.path.encode())
        _reply(handler, 200, b"not asked for")

    server.answer = _until_cut(twice)
    http = make_http((server.url,))
    for number in range(3):
        assert http.send(Request("POST", f"{server.url}/{number}", {}, b"{}")).body == f"/{number}".encode()
        time.sleep(0.02)


def test_a_connection_is_not_used_after_the_function_was_frozen(server: _Server, make_http: MakeHttp) -> None:
    now = [utc_now()]
    http = make_http((server.url,), clock=lambda: now[0])
    for seconds in (0, 3.9, 4.1, -60):
        now[0] += timedelta(seconds=seconds)
        http.send(Request("POST", server.url, {}, b"{}"))
    assert server.connections == 3


def test_idle_connections_are_closed_when_others_are_kept(make_http: MakeHttp) -> None:
    now = [utc_now()]
    one, other = _Server(), _Server()
    http = make_http((one.url, other.url), clock=lambda: now[0])
    http.send(Request("GET", one.url))
    ((kept,),) = http._idle._kept.values()
    now[0] += timedelta(seconds=10)
    http.send(Request("GET", other.url))
    assert kept[1].fileno() == -1
    one.stop()
    other.stop()


def test_a_name_that_is_looked_up_for_too_long_is_given_up_at_the_deadline(make_http: MakeHttp) -> None:
    looked_up: list[str] = []
    go_on = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        looked_up.append(host)
        go_on.wait(5)
        return ["127.0.0.1"]

    http = make_http(resolver=slow)

    def ask() -> None:
        with pytest.raises(Transient, match="TimeoutError") as failed:
            http.send(Request("POST", "https://slow.example.com/", timeout=0.1))
        assert not isinstance(failed.value, Unknown)

    started = time.monotonic()
    ask()
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(ask) for _ in range(4)]:
            done.result()
    assert time.monotonic() - started < 2
    assert looked_up == ["slow.example.com"], "whoever comes later waits for the look-up that is under way"
    go_on.set()


def test_the_next_address_is_tried_when_one_does_not_answer(server: _Server, make_http: MakeHttp) -> None:
    name = f"http://esp.example.com:{server.port}"
    http = make_http((name,), resolver=lambda host, port: ["127.0.0.2", "127.0.0.1"])
    assert http.send(Request("GET", name)).status == 200
    assert server.seen == [("/", f"esp.example.com:{server.port}")]


def test_a_request_that_did_not_go_out_whole_was_surely_not_processed(server: _Server, make_http: MakeHttp) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def refuse() -> None:
        connection, _ = listener.accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.recv(10)
        connection.close()

    refusing = threading.Thread(target=refuse)
    refusing.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(Transient, match="before the request was sent") as failed:
        make_http((url,)).send(Request("POST", url, {}, b"x" * 30_000_000))
    assert not isinstance(failed.value, Unknown)
    refusing.join()
    listener.close()


def test_an_answer_that_comes_before_the_request_is_over_is_read(server: _Server, make_http: MakeHttp) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def too_large() -> None:
        connection, _ = listener.accept()
        connection.recv(10)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1_000_000):
            pass
        connection.close()

    refusing = threading.Thread(target=too_large)
    refusing.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    http = make_http((url,))
    assert http.send(Request("POST", url, {}, b"x" * 30_000_000)).status == 413
    http.close()
    refusing.join()
    listener.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of `esp.example.com`, signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    name = ["-subj", "/CN=esp.example.com", "-addext", "subjectAltName=DNS:esp.example.com"]
    out = ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name, *out], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + path.with_suffix(".key").read_bytes())
    return path


@pytest.fixture
def secure_server(certificate: Path) -> Iterator[_Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = _Server(context)
    yield server
    server.stop()


def _trusting(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr("shared.http._tls", lambda: context)


def test_over_tls_the_name_is_proven(
    secure_server: _Server, certificate: Path, make_http: MakeHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    _trusting(monkeypatch, certificate)
    known, other = (f"https://{name}.example.com:{secure_server.port}" for name in ("esp", "other"))
    http = make_http((known, other), resolver=lambda host, port: ["127.0.0.1"])
    for _ in range(3):
        assert http.send(Request("POST", known, {}, b"{}")).body == b"{}"
    assert secure_server.connections == 1
    with pytest.raises(Misconfigured, match=r"other\.example\.com: its certificate is not valid"):
        http.send(Request("POST", other, {}, b"{}"))
    assert len(secure_server.seen) == 3


def test_a_certificate_that_nobody_vouches_for_is_refused(secure_server: _Server, make_http: MakeHttp) -> None:
    url = f"https://esp.example.com:{secure_server.port}"
    http = make_http((url,), resolver=lambda host, port: ["127.0.0.1"])
    with pytest.raises(Misconfigured, match="certificate is not valid"):
        http.send(Request("POST", url, {}, b"{}"))
    assert secure_server.seen == []


def test_what_speaks_no_tls_was_surely_not_reached(server: _Server, make_http: MakeHttp) -> None:
    url = f"https://esp.example.com:{server.port}"
    http = make_http((url,), resolver=lambda host, port: ["127.0.0.1"])
    with pytest.raises(Transient, match="no connection") as failed:
        http.send(Request("POST", url, {}, b"{}", timeout=1))
    assert not isinstance(failed.value, Unknown)


def test_a_tls_handshake_that_never_ends_is_left_at_the_deadline(make_http: MakeHttp) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"https://esp.example.com:{listener.getsockname()[1]}"
    http = make_http((url,), resolver=lambda host, port: ["127.0.0.1"])
    started = time.monotonic()
    with pytest.raises(Transient, match="no connection"):
        http.send(Request("POST", url, {}, b"{}", timeout=0.2))
    assert time.monotonic() - started < 2
    listener.close()
