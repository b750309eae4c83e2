"""Connections: many at a time, kept and not kept, and TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from shared.clock import utc_now
from shared.errors import Misconfigured, Transient, Unknown
from shared.exchange import Request
from tests.shared.http_server import MakeHttp, Server, reply, until_cut


def test_one_slow_answer_takes_no_time_from_the_others(server: Server, make_http: MakeHttp) -> None:
    def by_path(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(float(handler.path.rpartition("/")[2]))
        with contextlib.suppress(OSError):
            reply(handler, 200, handler.path.encode())

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


def test_a_connection_serves_many_requests(server: Server, make_http: MakeHttp) -> None:
    http = make_http((server.url,))
    for _ in range(5):
        http.send(Request("POST", server.url, {}, b"{}"))
    assert server.connections == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_connection_that_the_other_side_ends_is_not_used_again(chunked: bool, server: Server, make_http: MakeHttp) -> None:
    def last(handler: BaseHTTPRequestHandler) -> None:
        if chunked:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
        else:
            reply(handler, 200, b"{}", Connection="close")
        handler.close_connection = True

    server.answer = last
    http = make_http((server.url,))
    for _ in range(3):
        assert http.send(Request("POST", server.url, {}, b"{}")).body == b"{}"
    assert server.connections == 3


def test_a_connection_that_was_closed_meanwhile_is_not_used_again(server: Server, make_http: MakeHttp) -> None:
    def then_close(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, b"{}")
        handler.close_connection = True

    server.answer = then_close
    http = make_http((server.url,))
    for _ in range(3):
        assert http.send(Request("POST", server.url, {}, b"{}")).status == 200
        time.sleep(0.05)


def test_a_connection_with_more_on_it_than_was_asked_for_is_not_used_again(server: Server, make_http: MakeHttp) -> None:
    def twice(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, handler.path.encode())
        reply(handler, 200, b"not asked for")

    server.answer = until_cut(twice)
    http = make_http((server.url,))
    for number in range(3):
        assert http.send(Request("POST", f"{server.url}/{number}", {}, b"{}")).body == f"/{number}".encode()
        time.sleep(0.02)


def test_a_connection_is_not_used_after_the_function_was_frozen(server: Server, make_http: MakeHttp) -> None:
    now = [utc_now()]
    http = make_http((server.url,), clock=lambda: now[0])
    for seconds in (0, 3.9, 4.1, -60):
        now[0] += timedelta(seconds=seconds)
        http.send(Request("POST", server.url, {}, b"{}"))
    assert server.connections == 3


def test_idle_connections_are_closed_when_others_are_kept(make_http: MakeHttp) -> None:
    now = [utc_now()]
    one, other = Server(), Server()
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


def test_the_next_address_is_tried_when_one_does_not_answer(server: Server, make_http: MakeHttp) -> None:
    name = f"http://esp.example.com:{server.port}"
    http = make_http((name,), resolver=lambda host, port: ["127.0.0.2", "127.0.0.1"])
    assert http.send(Request("GET", name)).status == 200
    assert server.seen == [("/", f"esp.example.com:{server.port}")]


def test_a_request_that_did_not_go_out_whole_was_surely_not_processed(server: Server, make_http: MakeHttp) -> None:
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


def test_an_answer_that_comes_before_the_request_is_over_is_read(server: Server, make_http: MakeHttp) -> None:
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
def secure_server(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server(context)
    yield server
    server.stop()


def _trusting(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr("shared.http._tls", lambda: context)


def test_over_tls_the_name_is_proven(
    secure_server: Server, certificate: Path, make_http: MakeHttp, monkeypatch: pytest.MonkeyPatch
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


def test_a_certificate_that_nobody_vouches_for_is_refused(secure_server: Server, make_http: MakeHttp) -> None:
    url = f"https://esp.example.com:{secure_server.port}"
    http = make_http((url,), resolver=lambda host, port: ["127.0.0.1"])
    with pytest.raises(Misconfigured, match="certificate is not valid"):
        http.send(Request("POST", url, {}, b"{}"))
    assert secure_server.seen == []


def test_what_speaks_no_tls_was_surely_not_reached(server: Server, make_http: MakeHttp) -> None:
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
