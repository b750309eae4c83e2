"""Dataverse's `$batch`: many create-only writes in one request.

OData 4.0, part 1, section 11.7; Microsoft, "Execute batch operations using the Web API": CRLF everywhere, at most 1000
operations, `Prefer: odata.continue-on-error` for an answer to each of them, in their order.
"""

from __future__ import annotations

import email
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message

from pydantic import JsonValue

from shared.errors import Unknown
from shared.exchange import Response
from shared.ids import digest

MAX_OPERATIONS = 1000
_MOST_MULTIPARTS = 100
"""A batch answer is one. Parsing those within each other takes the square of their number."""
_STATUS = re.compile(rb"HTTP/[0-9.]+ ([2-5][0-9]{2})\b")


@dataclass(frozen=True)
class Create:
    """One record to create under an id that we chose."""

    entity_set: str
    id: str
    values: Mapping[str, JsonValue]


def build(path: str, operations: Sequence[Create]) -> tuple[str, bytes]:
    """The content type and the body of a batch. `path` is that of the Web API (`/api/data/v9.2/`)."""
    boundary = "batch_" + digest(*(operation.id for operation in operations))
    lines: list[str] = []
    for operation in operations:
        lines += [
            f"--{boundary}",
            "Content-Type: application/http",
            "Content-Transfer-Encoding: binary",
            "",
            f"PATCH {path}{operation.entity_set}({operation.id}) HTTP/1.1",
            "Content-Type: application/json; type=entry",
            "If-None-Match: *",
            "",
            json.dumps(operation.values),
        ]
    lines += [f"--{boundary}--", ""]
    return f'multipart/mixed; boundary="{boundary}"', "\r\n".join(lines).encode("ascii")


def parse(answer: Response) -> list[Response]:
    """The answer to each operation, in order; fewer than were asked if the answer breaks off.

    Raises Unknown if it is no batch answer at all.
    """
    content_type = answer.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/mixed"):
        raise Unknown(f"the answer (HTTP {answer.status}) is not that of a batch")
    if answer.body.lower().count(b"multipart/") > _MOST_MULTIPARTS:
        raise Unknown(f"the answer (HTTP {answer.status}) has parts within parts")
    message = email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace") + answer.body)
    read = (_part(part) for part in message.walk() if part.get_content_type() == "application/http")
    return [part for part in read if part is not None]


def _part(part: Message) -> Response | None:
    """The HTTP answer in a part; None if it is cut off before its status."""
    line, _, rest = _payload(part).partition(b"\n")
    status = _STATUS.match(line)
    if status is None:
        return None
    inner = email.message_from_bytes(rest)
    return Response(int(status[1]), {name.lower(): str(value) for name, value in inner.items()}, _payload(inner))


def _payload(message: Message) -> bytes:
    payload = message.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
