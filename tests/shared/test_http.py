from __future__ import annotations

import gzip
import socket
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared.errors import Misconfigured, Transient, Unknown
from shared.exchange import Request
from shared.http import MAX_ANSWER
from tests.shared.http_server import MakeHttp, Server, reply, until_cut


def test_any_status_is_an_answer(server: Server, make_http: MakeHttp) -> None:
    server.answer = lambda handler: reply(handler, 429, b'{"a": 1}', **{"Retry-After": "7"})
    answer = make_http((server.url,)).send(Request("POST", f"{server.url}/x", {}, b"{}"))
    assert (answer.status, answer.json(), answer.headers["retry-after"]) == (429, {"a": 1}, "7")


def test_a_redirect_is_not_followed(server: Server, make_http: MakeHttp) -> None:
    server.answer = lambda handler: reply(handler, 302, b"", Location=f"{server.url}/elsewhere")
    assert make_http((server.url,)).send(Request("GET", f"{server.url}/x")).status == 302
    assert [path for path, _ in server.seen] == ["/x"]


def test_a_name_that_resolves_to_a_private_address_is_not_connected_to(server: Server, make_http: MakeHttp) -> None:
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


def test_no_connection_is_known_not_to_have_been_processed(server: Server, make_http: MakeHttp) -> None:
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


def test_a_connection_cut_after_the_request_leaves_the_outcome_unknown(server: Server, make_http: MakeHttp) -> None:
    server.answer = lambda handler: handler.connection.shutdown(socket.SHUT_RDWR)
    with pytest.raises(Unknown):
        make_http((server.url,)).send(Request("POST", server.url, {}, b"{}"))


def test_a_server_that_drips_is_left_at_the_deadline(server: Server, make_http: MakeHttp) -> None:
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


def test_an_answer_without_end_is_cut_off(server: Server, make_http: MakeHttp) -> None:
    server.answer = until_cut(lambda handler: reply(handler, 200, b"x" * (MAX_ANSWER + 1)))
    with pytest.raises(Unknown, match="too large"):
        make_http((server.url,)).send(Request("GET", server.url))


def test_an_http_address_that_is_not_allowed_by_name_is_refused(server: Server, make_http: MakeHttp) -> None:
    with pytest.raises(Misconfigured, match="https"):
        make_http().send(Request("GET", server.url))
    assert server.seen == []


def test_neither_headers_nor_body_are_in_a_repr() -> None:
    text = repr(Request("POST", "https://a.example.com/", {"authorization": "Bearer s3cret"}, b"s3cret"))
    assert "s3cret" not in text


def test_a_server_that_answers_quickly_but_never_ends_is_left_at_the_deadline(server: Server, make_http: MakeHttp) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        started = time.monotonic()
        while time.monotonic() - started < 3:
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 20)

    server.answer = until_cut(flood)
    started = time.monotonic()
    with pytest.raises(Unknown):
        make_http((server.url,)).send(Request("POST", server.url, {}, b"{}", timeout=0.3))
    assert time.monotonic() - started < 2


def test_what_is_compressed_unasked_does_not_grow(server: Server, make_http: MakeHttp) -> None:
    bomb = gzip.compress(gzip.compress(b"0" * 4 * MAX_ANSWER))
    server.answer = lambda handler: reply(handler, 200, bomb, **{"content-encoding": "gzip, gzip"})
    assert make_http((server.url,)).send(Request("GET", server.url)).body == bomb


def test_a_cookie_is_not_brought_back(server: Server, make_http: MakeHttp) -> None:
    cookies: list[str | None] = []

    def bake(handler: BaseHTTPRequestHandler) -> None:
        cookies.append(handler.headers["cookie"])
        reply(handler, 200, b"{}", **{"set-cookie": "session=1"})

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
    headers: dict[str, str], server: Server, make_http: MakeHttp
) -> None:
    with pytest.raises(Misconfigured) as refused:
        make_http((server.url,)).send(Request("GET", server.url, headers))
    assert server.seen == []
    assert "s3c" not in "".join(traceback.format_exception(refused.value))


def test_a_url_that_http_cannot_carry_is_not_sent(server: Server, make_http: MakeHttp) -> None:
    with pytest.raises(Misconfigured):
        make_http((server.url,)).send(Request("GET", f"{server.url}/\ud800"))
    with pytest.raises(Misconfigured):
        make_http((server.url,)).send(Request("GET", f"{server.url}/{'x' * 70_000}"))
    assert server.seen == []
