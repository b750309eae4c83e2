from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http1 import Answer, Malformed, _any, _plain, read_answer, request_bytes

MOST = 5_000


def read(*parts: bytes, method: str = "POST") -> Answer:
    """The answer that comes in these pieces, then ends."""
    left = list(parts)
    return read_answer(method, lambda: left.pop(0) if left else b"", MOST)


def head(*lines: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([status, *lines, "\r\n"]).encode("latin-1")


def test_a_request_as_it_goes_out() -> None:
    sent = request_bytes("POST", "a.example.com", "/x?y=1", {"Authorization": "Bearer t", "Accept": "application/json"}, b"{}")
    assert sent == (
        b"POST /x?y=1 HTTP/1.1\r\nhost: a.example.com\r\nAuthorization: Bearer t\r\nAccept: application/json\r\n"
        b"user-agent: sendbridge\r\naccept-encoding: identity\r\ncontent-length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("", "/"),
        ("?a=b", "/?a=b"),
        ("/a/%2f%20", "/a/%2f%20"),
        ("/é", "/%C3%A9"),
        ('/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D"),
        ("/a+b;c=d,e@f:g!$&'()*~[]", "/a+b;c=d,e@f:g!$&'()*~[]"),
    ],
)
def test_what_a_url_asks_for(target: str, asked: str) -> None:
    assert request_bytes("GET", "a", target, {}, b"").split(b" ")[1] == asked.encode()


@pytest.mark.parametrize("target", ["/a b", "/a\r\nx: y", "/\x00", "/\ud800", "/\\", "/" + "x" * 65_536])
def test_what_no_request_can_ask_for(target: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # any: UnicodeEncodeError is one
        request_bytes("GET", "a", target, {}, b"")
    assert isinstance(refused.value, UnicodeError) or "x: y" not in str(refused.value)


@given(
    st.sampled_from(["POST", "PUT", "GET"]),
    st.text(max_size=20),
    st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=3),
    st.binary(max_size=30),
)
def test_whatever_goes_out_is_one_request_with_just_these_headers(
    method: str, target: str, headers: dict[str, str], body: bytes
) -> None:
    try:
        sent = request_bytes(method, "a.example.com", f"/{target}", headers, body)
    except ValueError:
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(sent)
    request, *events = _events(server)
    assert isinstance(request, h11.Request)
    given_names = {name.lower() for name in headers}
    ours = {"host", "user-agent", "accept", "accept-encoding", "content-length"} - given_names
    assert sorted(name.decode() for name, _ in request.headers if name.decode() not in ours) == sorted(
        name.lower() for name in headers
    )
    assert b"".join(event.data for event in events if isinstance(event, h11.Data)) == (body if method != "GET" or body else b"")
    assert server.trailing_data == (b"", False)


def _events(connection: h11.Connection) -> list[object]:
    found: list[object] = []
    while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        found.append(event)
        if isinstance(event, h11.EndOfMessage):
            break
    return found


def test_an_answer_of_the_usual_form() -> None:
    answer = read(head("Content-Length: 2", "X-A:  b ", "x-a: c") + b"{}")
    assert answer == Answer(200, {"content-length": "2", "x-a": "b, c"}, b"{}", reusable=True)


CHUNKED = head("transfer-encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "status", "body", "reusable"),
    [
        (CHUNKED, 200, b"{}", True),
        (head("content-length: 2", "transfer-encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n", 200, b"{}", False),
        (head("content-length: 2", "connection: close") + b"{}", 200, b"{}", False),
        (head("content-length: 2", "connection: Keep-Alive") + b"{}", 200, b"{}", True),
        (head("content-length: 2", status="HTTP/1.0 200 OK") + b"{}", 200, b"{}", False),
        (head("content-length: 2", status="HTTP/1.1 202") + b"{}", 202, b"{}", True),
        (head() + b"{}", 200, b"{}", False),
        (head(status="HTTP/1.1 204 No Content"), 204, b"", True),
        (head("content-length: 7", status="HTTP/1.1 304 Not Modified"), 304, b"", True),
        (head(status="HTTP/1.1 100 Continue") + CHUNKED, 200, b"{}", True),
        (head("content-length: 2") + b"{}HTTP/1.1 200 OK\r\n", 200, b"{}", False),
        (CHUNKED + b"more", 200, b"{}", False),
        (head("content-length: 2, 2") + b"{}", 200, b"{}", True),
    ],
)
def test_each_form_of_an_answer(data: bytes, status: int, body: bytes, reusable: bool) -> None:
    answer = read(data)
    assert (answer.status, answer.body, answer.reusable) == (status, body, reusable or (answer.reusable and b"chunked" in data))
    in_pieces = read(*[data[at : at + 1] for at in range(len(data))])
    assert (in_pieces.status, in_pieces.body) == (status, body)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        head("content-length: 3") + b"{}",
        head("content-length: -2") + b"{}",
        head("content-length: 2", "content-length: 3") + b"{}",
        head("content-length: \xb2") + b"{}",
        head("transfer-encoding: chunked") + b"2\r\n{}",
        head("transfer-encoding: chunked") + b"x\r\n{}",
        head("x: a\x00b", "content-length: 2") + b"{}",
        head("content-length: 5001"),
        head("content-length: 5001") + b"x" * 5001,
        head("transfer-encoding: chunked") + b"1389\r\n" + b"x" * 5001 + b"\r\n0\r\n\r\n",
        head() + b"x" * 5001,
    ],
)
def test_what_is_no_answer(data: bytes) -> None:
    for parts in ([data], [data[:7], data[7:]]):
        with pytest.raises(Malformed) as refused:
            read(*parts)
        assert "{}" not in str(refused.value)


def test_a_head_without_end_is_left() -> None:
    pieces = 0

    def endless() -> bytes:
        nonlocal pieces
        pieces += 1
        return b"HTTP/1.1 200 OK\r\nx: " if pieces == 1 else b"y" * 10_000

    with pytest.raises(Malformed):
        read_answer("POST", endless, MOST)
    assert pieces < 20


def test_an_answer_to_head_has_no_body() -> None:
    assert read(head("content-length: 7"), method="HEAD").body == b""


LINES = st.lists(
    st.one_of(
        st.sampled_from(["connection: close", "connection: keep-alive", "content-type: application/json", "content-length: 2"]),
        st.builds("{}:{}".format, st.text("abX-_ ", min_size=1, max_size=4), st.text("a b\t:é\x01\r\n", max_size=6)),
    ),
    max_size=4,
)


@given(st.sampled_from(["HTTP/1.1 200 OK", "HTTP/1.1 404", "HTTP/1.1 503  é ", "HTTP/1.0 200 OK", "HTTP/1.1 2000 X"]), LINES)
def test_both_ways_of_reading_agree(status: str, lines: list[str]) -> None:
    data = head(*lines, "content-length: 3", status=status) + b"abc"

    def said(way: Callable[..., Answer | None]) -> tuple[object, ...]:
        try:
            answer = way("POST", data, lambda: b"", MOST)
        except Malformed:
            return ("malformed", False)
        return (replace(answer, reusable=False), answer.reusable) if answer is not None else ()

    fast, thorough = said(_plain), said(_any)
    assert fast == () or fast[0] == thorough[0]
    assert fast == () or thorough[1] or not fast[1], "a connection is never kept that h11 would not keep"
