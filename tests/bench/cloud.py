"""AWS and an ESP that answer at once, at the transport: everything above the socket is what it is in production.

boto3 builds, serialises and signs every request and parses every answer, as `shared/http.py` does for the ESP, through the
address guard. Only the network and its waiting are missing.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO, cast
from unittest import mock

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.httpsession import URLLib3Session

from shared import http
from shared.http import Http
from shared.observe import logger

Answer = Callable[[str, Any], object]
"""From an operation's name and its request to its answer."""

_SETTINGS = {
    "SENDBRIDGE_ENVIRONMENT": "bench",
    "SENDBRIDGE_DEFINITIONS_TTL": "30",
    "SENDBRIDGE_VISIT_DAYS": "30",
    "SENDBRIDGE_PROFILE_DAYS": "730",
    "SENDBRIDGE_RETENTION_DAYS": "400",
    "SENDBRIDGE_MIRROR_BUCKET": "mirror",
    "SENDBRIDGE_SECRET_PREFIX": "sendbridge-bench",
    "SENDBRIDGE_BASE_URL": "https://sendbridge.example",
    "SENDBRIDGE_ALLOWED_ORIGINS": "",
    "SENDBRIDGE_LEASE_SECONDS": "60",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
}
_TABLES = ("definitions", "profiles", "visits", "messages", "state")
_QUEUES = ("events", "timers", "messages", "engagements")


_DONE = b'{"TableName":"messages"}'


class _Raw(io.BytesIO):
    """An answer's body as botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


class Cloud:
    """AWS, answered at once. `requests` counts what was asked of it, by operation; `items` the DynamoDB rows in that."""

    def __init__(self, answer: Answer) -> None:
        self.requests: Counter[str] = Counter()
        self.items: Counter[str] = Counter()
        self._answer = answer

    def forget(self) -> None:
        """Counts from nothing again."""
        self.requests.clear()
        self.items.clear()

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """The answer to a request."""
        target = request.headers.get("X-Amz-Target", b"S3.PutObject")
        name = (target.decode() if isinstance(target, bytes) else str(target)).partition(".")[2]
        self.requests[name] += 1
        if name == "PutObject":
            return AWSResponse(request.url, 200, HTTPHeaders(), _Raw(b""))
        content = cast("bytes", request.body)
        if name == "BatchExecuteStatement":
            statements = content.count(b'"Statement":')
            self.items["written"] += statements
            return AWSResponse(request.url, 200, HTTPHeaders(), _Raw(b'{"Responses":[%s]}' % b",".join([_DONE] * statements)))
        body: Any = json.loads(content)
        if name == "BatchGetItem":
            self.items["read"] += sum(len(wanted["Keys"]) for wanted in body["RequestItems"].values())
        elif name in ("PutItem", "UpdateItem"):
            self.items["written"] += 1
        return AWSResponse(request.url, 200, HTTPHeaders(), _Raw(json.dumps(self._answer(name, body)).encode()))


@contextlib.contextmanager
def answered_by(cloud: Cloud) -> Iterator[None]:
    """Within the block every AWS client talks to `cloud`; the settings of every function are in the environment.

    Logs and metrics are formatted and written as ever, to where nobody reads them.
    """

    tables = {f"SENDBRIDGE_{name.upper()}_TABLE": name for name in _TABLES}
    with (
        mock.patch.dict(os.environ, {**_SETTINGS, **tables, **_queue_urls()}),
        mock.patch.object(URLLib3Session, "send", lambda _, request: cloud.send(request)),
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        _logged_to(nowhere),
    ):
        yield


@contextlib.contextmanager
def _logged_to(stream: TextIO) -> Iterator[None]:
    handler = cast("logging.StreamHandler[TextIO]", logger.registered_handler)
    before = handler.setStream(stream)
    try:
        yield
    finally:
        if before is not None:
            handler.setStream(before)


def _queue_urls() -> Mapping[str, str]:
    root = "https://sqs.eu-west-1.amazonaws.com/1"
    urls = {f"SENDBRIDGE_{name.upper()}_QUEUE_URL": f"{root}/{name}" for name in _QUEUES}
    return urls | {f"SENDBRIDGE_{name.upper()}_PARKED_URL": f"{root}/{name}-parked" for name in _QUEUES}


Answering = Callable[[bytes], bytes]
"""From the request's bytes to the JSON of the answer."""


def one_taken(request: bytes) -> bytes:
    """The answer of an ESP that takes one message a call."""
    return b'{"id":"pb_1","status":"accepted"}'


class Esp:
    """An ESP that takes every message, after so many seconds; `calls` counts what it was asked."""

    def __init__(self, answering: Answering = one_taken, seconds: float = 0) -> None:
        self.calls = 0
        self.answering, self.seconds = answering, seconds

    def dial(self, *_: object) -> Line:
        """A connection to it."""
        return Line(self)


class Line:
    """A connection to an ESP."""

    def __init__(self, esp: Esp) -> None:
        self._esp = esp
        self._quiet = socket.socketpair()
        self._asked = b""

    def __del__(self) -> None:
        for end in self._quiet:
            end.close()

    def sendall(self, data: bytes) -> None:
        self._esp.calls += data.startswith(b"POST ")
        self._asked = data if data.startswith(b"POST ") else self._asked + data

    def recv(self, most: int) -> bytes:
        if self._esp.seconds:
            time.sleep(self._esp.seconds)
        body = self._esp.answering(self._asked)
        return b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    def settimeout(self, seconds: float) -> None:
        return

    def fileno(self) -> int:
        """A descriptor on which nothing ever comes."""
        return self._quiet[0].fileno()

    def close(self) -> None:
        return


@contextlib.contextmanager
def way_to(esp: Esp) -> Iterator[Http]:
    """The functions' way out, on which whoever is called is `esp`."""
    with mock.patch.object(http, "dial", esp.dial), mock.patch.object(http, "secure", lambda line, *_: line):
        out = Http(resolver=lambda host, port: ["93.184.215.14"])
        yield out
        out.close()
