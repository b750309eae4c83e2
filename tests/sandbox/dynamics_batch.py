"""`$batch`: multipart/mixed as strictly as Dataverse reads it, changesets that are all or nothing."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import urlsplit

from tests.sandbox.dynamics_errors import ODataError, bad_query
from tests.sandbox.dynamics_webapi import Answer, Operation, WebApi

MAX_OPERATIONS = 1000
_BOUNDARY = re.compile(r'multipart/mixed\s*;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*', re.IGNORECASE)
_REQUEST_LINE = re.compile(r"(GET|POST|PATCH|PUT|DELETE) (\S+) HTTP/1\.1")
_ROOT = re.compile(r"/api/data/v9\.\d/")
Headers = dict[str, str]
# A fault of the sandbox that an operation meets instead of being executed.
Spoil = Callable[[], Answer | None]


@dataclass
class Part:
    """One operation of a batch and its Content-ID."""

    operation: Operation
    content_id: str | None


Batch = list[Part | list[Part]]


def parse_batch(content_type: str, body: bytes, root: str) -> Batch:
    """The operations of a batch; a list among them is a changeset. Raises `ODataError` 400."""
    batch: Batch = []
    for headers, content in _parts(content_type, body):
        if headers.get("content-type", "").lower().startswith("multipart/mixed"):
            batch.append(_changeset(headers["content-type"], content, root))
        else:
            batch.append(_part(headers, content, root))
    size = sum(len(item) if isinstance(item, list) else 1 for item in batch)
    if size > MAX_OPERATIONS:
        raise bad_query(f"The batch request has {size} operations; the maximum is {MAX_OPERATIONS}.")
    return batch


def _changeset(content_type: str, content: bytes, root: str) -> list[Part]:
    parts = [_part(headers, part, root) for headers, part in _parts(content_type, content)]
    if any(part.operation.method == "GET" for part in parts):
        raise bad_query("A change set may not contain a GET request.")
    ids = [part.content_id for part in parts if part.content_id]
    if len(ids) != len(set(ids)):
        raise bad_query("The same Content-ID was found more than once in a change set.")
    return parts


def _parts(content_type: str, body: bytes) -> list[tuple[Headers, bytes]]:
    found = _BOUNDARY.fullmatch(content_type)
    if found is None:
        raise bad_query("Content-Type must be multipart/mixed with a boundary.")
    if b"\n" in body.replace(b"\r\n", b""):
        raise bad_query("Invalid multipart body: lines must end with CRLF.")
    mark = b"--" + (found[1] or found[2]).encode()
    pieces = (b"\r\n" + body).split(b"\r\n" + mark)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise bad_query("Invalid multipart body: the boundary that Content-Type names does not enclose any part.")
    return [_headers_and_content(piece) for piece in pieces[1:-1]]


def _headers_and_content(piece: bytes) -> tuple[Headers, bytes]:
    if not piece.startswith(b"\r\n"):
        raise bad_query("Invalid multipart body: a boundary must stand on a line of its own.")
    head, blank, content = piece[2:].partition(b"\r\n\r\n")
    if not blank:
        raise bad_query("Invalid multipart body: an empty line must follow the headers of a part.")
    return _headers(head), content


def _headers(head: bytes) -> Headers:
    headers = {}
    for line in head.decode("latin-1").split("\r\n") if head else []:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise bad_query(f"Invalid header line '{line[:80]}' in a batch part.")
        headers[name.strip().lower()] = value.strip()
    return headers


def _part(headers: Headers, content: bytes, root: str) -> Part:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/http":
        raise bad_query("Content-Type of a batch part must be application/http.")
    if headers.get("content-transfer-encoding", "").lower() != "binary":
        raise bad_query("Content-Transfer-Encoding of a batch part must be binary.")
    line, _, rest = content.partition(b"\r\n")
    request = _REQUEST_LINE.fullmatch(line.decode("latin-1"))
    if request is None:
        raise bad_query(f"Invalid request line '{line.decode('latin-1')[:80]}' in a batch part.")
    head, blank, body = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if not blank:
        raise bad_query("An empty line must follow the headers of a request in a batch.")
    path, query = _below_root(request[2])
    operation = Operation(request[1], path, query, _headers(head.removeprefix(b"\r\n")), body, root)
    return Part(operation, headers.get("content-id"))


def _below_root(url: str) -> tuple[str, str]:
    split = urlsplit(url)
    path = _ROOT.sub("", split.path, count=1) if split.path.startswith("/") else split.path
    if path == "$batch" or path.startswith("/"):
        raise bad_query(f"'{url[:200]}' is not a valid URL in a batch request.")
    return path, split.query


def run_batch(api: WebApi, batch: Batch, go_on: bool, spoil: Spoil) -> Answer:
    """Execute in order. Without `go_on` the first failure stops the batch and makes the outer status 400."""
    boundary, done, failed = f"batchresponse_{uuid.uuid4()}", b"", False
    for item in batch:
        text, failed = _item(api, item, go_on, spoil)
        done += f"--{boundary}\r\n".encode() + text
        if failed and not go_on:
            break
    status = 400 if failed and not go_on else 200
    headers = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
    return Answer(status, (done + f"--{boundary}--\r\n".encode()).decode(), headers)


def _item(api: WebApi, item: Part | list[Part], go_on: bool, spoil: Spoil) -> tuple[bytes, bool]:
    if isinstance(item, list):
        return _run_changeset(api, item, go_on, spoil)
    answer = spoil() or api.execute(item.operation)
    return _written(answer, item.content_id, go_on), answer.status >= 400


def _run_changeset(api: WebApi, parts: list[Part], go_on: bool, spoil: Spoil) -> tuple[bytes, bool]:
    """All or nothing: a failure undoes what came before it and is the change set's only answer."""
    mark, references = api.store.mark(), dict[str, str]()
    boundary, done = f"changesetresponse_{uuid.uuid4()}", b""
    for part in parts:
        answer = spoil() or _referring(api, part.operation, references)
        if answer.status >= 400:
            api.store.rollback(mark)
            return _written(answer, part.content_id, go_on), True
        if part.content_id and "OData-EntityId" in answer.headers:
            references[f"${part.content_id}"] = answer.headers["OData-EntityId"]
        done += f"--{boundary}\r\n".encode() + _written(answer, part.content_id, go_on)
    head = f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n".encode()
    return head + done + f"--{boundary}--\r\n".encode(), False


def _referring(api: WebApi, operation: Operation, references: dict[str, str]) -> Answer:
    """Execute an operation whose URL may begin with the `$1` of an earlier one."""
    operation = replace(operation, references=references)
    if operation.path.startswith("$"):
        name, slash, rest = operation.path.partition("/")
        try:
            operation.path = operation.resolve(name).removeprefix(operation.root) + slash + rest
        except ODataError as error:
            return Answer(error.status, error.body())
    return api.execute(operation)


def _written(answer: Answer, content_id: str | None, go_on: bool) -> bytes:
    content = answer.content()
    headers = {"OData-Version": "4.0", **answer.headers}
    if content:
        headers.setdefault("Content-Type", "application/json; odata.metadata=minimal")
    if answer.status >= 400 and go_on:
        headers["REQ_ID"] = str(uuid.uuid4())
    outer = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
    outer += f"Content-ID: {content_id}\r\n" if content_id else ""
    inner = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
    inner += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{outer}\r\n{inner}\r\n".encode() + content + b"\r\n"
