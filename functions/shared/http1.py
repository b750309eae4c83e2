"""HTTP/1.1 (RFC 9112) as bytes: a request's, and an answer's as it comes. `shared/http.py` sends and receives them.

An answer in the form that nearly all have (one piece of head, a length) is read here in a tenth of the time that h11 takes; any
other is left to h11, from its first byte on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import h11

Receive = Callable[[], bytes]
"""More of the answer; nothing once there is no more."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~]*")
_TARGET = re.compile(r"[^\x00-\x20\\\x7f]*")
_SAFE = "!$%&'()*+,/:;=?@[]"
_LONGEST_TARGET = 65_536
_OURS = {"user-agent": "sendbridge", "accept": "*/*", "accept-encoding": "identity"}

_HEAD = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?((?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*)*)\r\n\r\n"
)
_BODILESS = (204, 304)
_LONGEST_HEAD = 100 * 1024


class Malformed(Exception):
    """What came is not HTTP/1.1, ends too soon, or is longer than we read."""


@dataclass(frozen=True)
class Answer:
    """An answer, read whole. Header names are lower-case, values of the same name are joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reusable: bool
    """Whether another request may follow on the same connection."""


def request_bytes(method: str, host: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request as it goes out. `target` is what follows the host in the URL.

    Raises ValueError, quoting nothing, if any of it has characters that HTTP does not allow.
    """
    lines = [f"{method} {_target(target)} HTTP/1.1", f"host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if _is_header(name, value)]
    given = {name.lower() for name in headers}
    lines += [f"{name}: {value}" for name, value in _OURS.items() if name not in given]
    if body or method not in ("GET", "HEAD"):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "\r\n"]).encode("ascii") + body


def _is_header(name: str, value: str) -> bool:
    if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError("not a header")
    return True


def _target(text: str) -> str:
    target = text if text.startswith("/") else f"/{text}"
    if not _TARGET.fullmatch(target) or len(target) > _LONGEST_TARGET:
        raise ValueError("not a URL")
    return quote(target, safe=_SAFE)


def read_answer(method: str, receive: Receive, most: int) -> Answer:
    """Reads one answer to a request of this method, with a body of at most `most` bytes. Raises Malformed."""
    data = receive()
    if not data:
        raise Malformed("the connection was closed without an answer")
    answer = _plain(method, data, receive, most)
    return answer if answer is not None else _any(method, data, receive, most)


def _plain(method: str, data: bytes, receive: Receive, most: int) -> Answer | None:
    """An answer of the usual form; None, having received nothing more, if it has another."""
    head = _HEAD.match(data)
    if head is None:
        return None
    status, headers = int(head[1]), _headers(head[2])
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()) or "transfer-encoding" in headers or status in _BODILESS or method == "HEAD":
        return None
    body, wanted = data[head.end() :], int(length)
    if wanted > most:
        raise Malformed("the answer is too large")
    if len(body) < wanted:
        body = _whole(body, wanted, receive)
    stays = headers.get("connection", "keep-alive").lower() == "keep-alive"
    return Answer(status, headers, body[:wanted], stays and len(body) == wanted)


def _headers(lines: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        _add(headers, name.lower(), value.strip(" \t"))
    return headers


def _add(headers: dict[str, str], name: str, value: str) -> None:
    headers[name] = f"{headers[name]}, {value}" if name in headers else value


def _whole(body: bytes, wanted: int, receive: Receive) -> bytes:
    parts = bytearray(body)
    while len(parts) < wanted:
        data = receive()
        if not data:
            raise Malformed("the answer ends too soon")
        parts += data
    return bytes(parts)


def _any(method: str, data: bytes, receive: Receive, most: int) -> Answer:
    """An answer of any form."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "h")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    try:
        return _by_h11(connection, receive, most)
    except h11.RemoteProtocolError:
        raise Malformed("the answer is not HTTP/1.1, or ends too soon") from None


def _by_h11(connection: h11.Connection, receive: Receive, most: int) -> Answer:
    status, headers, body = 0, dict[str, str](), bytearray()
    while (event := connection.next_event()) is not h11.PAUSED:
        if event is h11.NEED_DATA:
            connection.receive_data(receive())
        elif isinstance(event, h11.Response):
            status = event.status_code
            for name, value in event.headers:
                _add(headers, name.decode("latin-1"), value.decode("latin-1"))
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > most:
                raise Malformed("the answer is too large")
        elif isinstance(event, h11.EndOfMessage):
            break
    reusable = connection.their_state is h11.DONE and connection.trailing_data == (b"", False)
    return Answer(status, headers, bytes(body), reusable)
