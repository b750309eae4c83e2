"""One operation of the Web API on the store, whether it came alone or inside a `$batch`."""

import json
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from tests.sandbox.dynamics_errors import (
    ODataError,
    bad_key,
    bad_payload,
    bad_query,
    exists,
    missing,
    no_method,
    no_privilege,
    no_segment,
    not_allowed,
    stale,
)
from tests.sandbox.dynamics_metadata import definition
from tests.sandbox.dynamics_query import PAGE, Pages, etag, options_of, parse_query, selection, shown
from tests.sandbox.dynamics_schema import BY_SET, POINTER, Table
from tests.sandbox.dynamics_store import APP_USER, BUSINESS_UNIT, ORGANIZATION, Row, Store
from tests.sandbox.dynamics_values import guid

_RESOURCE = re.compile(r"(?P<name>[A-Za-z_$][\w$]*)(?:\((?P<key>[^()]*)\))?(?P<rest>(?:/.*)?)")
JSON_TYPE = "application/json; odata.metadata=minimal"


@dataclass
class Operation:
    """A request: `path` is below the service root and still percent-encoded, header names are in lower case."""

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    root: str = ""
    references: dict[str, str] = field(default_factory=dict)

    @property
    def prefer(self) -> str:
        return self.headers.get("prefer", "")

    def resolve(self, url: str) -> str:
        """The URL a `$1` of a changeset stands for; other URLs as they are."""
        if not url.startswith("$"):
            return url
        if url not in self.references:
            message = f"Content-ID Reference: '{url}' does not exist in the batch context."
            raise ODataError(400, "0x80060888", message)
        return self.references[url]


@dataclass
class Answer:
    """A response; `body` None means none."""

    status: int
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """The body's bytes."""
        if self.body is None:
            return b""
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False).encode()


class WebApi:
    """Executes operations. `denied` are the tables the application user may not write."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.pages = Pages()
        self.denied: set[str] = set()

    def execute(self, op: Operation) -> Answer:
        """The answer to one operation; a refusal is an answer too."""
        mark = self.store.mark()
        try:
            check_headers(op)
            return self._dispatch(op)
        except ODataError as error:
            self.store.rollback(mark)
            return refused(error)

    def _dispatch(self, op: Operation) -> Answer:
        found = _RESOURCE.fullmatch(unquote(op.path))
        if found is None:
            raise no_segment(op.path.partition("/")[0])
        name, key, rest = found["name"], found["key"], found["rest"]
        if name == "WhoAmI":
            return self._who_am_i(op)
        if name == "EntityDefinitions":
            return Answer(200, definition(op.method, key, rest, op.query, op.root))
        if name == POINTER.entity_set and key is None:
            return self._collection(op, POINTER, rest)
        table = BY_SET.get(name)
        if table is None:
            raise no_segment(name)
        return self._collection(op, table, rest) if key is None else self._single(op, table, key, rest)

    def _who_am_i(self, op: Operation) -> Answer:
        if op.method != "GET":
            raise no_method(f"{op.root}WhoAmI")
        body: Row = {"@odata.context": f"{op.root}$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse"}
        body |= {"BusinessUnitId": BUSINESS_UNIT, "UserId": APP_USER, "OrganizationId": ORGANIZATION}
        return Answer(200, body)

    def _collection(self, op: Operation, table: Table, rest: str) -> Answer:
        if op.method == "GET" and rest in {"", "/$count"}:
            return self._list(op, table, counting=bool(rest))
        if rest:
            raise no_segment(rest.removeprefix("/"))
        if op.method != "POST":
            raise not_allowed(op.method)
        self._may_write(table, "Create")
        key = self.store.create(table, payload_of(op, table), op.resolve)
        return self._written(op, table, key, created=True, quiet=204)

    def _list(self, op: Operation, table: Table, counting: bool) -> Answer:
        query = parse_query(table, op.query)
        rows = self._candidates(table, query.filter.equals)
        if counting:
            return Answer(200, str(min(sum(map(query.filter.passes, rows)), PAGE)), {"Content-Type": "text/plain"})
        url = f"{op.root}{table.entity_set}"
        return Answer(200, self.pages.answer(table, rows, query, (url, op.query, op.prefer)), _applied(op))

    def _candidates(self, table: Table, equals: dict[str, str]) -> list[Row]:
        if table is POINTER:
            return list(self.store.activities())
        rows = self.store.rows[table.logical]
        if table.primary_id in equals:
            return [rows[equals[table.primary_id]]] if equals[table.primary_id] in rows else []
        for column in ("emailaddress1", "_regardingobjectid_value"):
            if column in equals:
                return self.store.having(table.logical, column, equals[column])
        return list(rows.values())

    def _single(self, op: Operation, table: Table, key: str, rest: str) -> Answer:
        if rest:
            raise no_segment(rest.removeprefix("/"))
        name, _, value = key.rpartition("=")
        if name not in {"", table.primary_id}:
            raise bad_key(table.logical)
        try:
            key = guid(value)
        except ValueError:
            raise bad_key(table.logical) from None
        act = {"GET": self._read, "PATCH": self._upsert, "DELETE": self._delete}.get(op.method)
        if act is None:
            raise not_allowed(op.method)
        return act(op, table, key)

    def _read(self, op: Operation, table: Table, key: str) -> Answer:
        select = selection(table, options_of(op.query))
        row = self.store.get(table, key)
        if op.headers.get("if-none-match") == etag(row):
            return Answer(304, None, {"ETag": etag(row)})
        context = {"@odata.context": f"{op.root}$metadata#{table.entity_set}/$entity"}
        return Answer(200, context | shown(table, row, select, op.prefer), {"ETag": etag(row), **_applied(op)})

    def _upsert(self, op: Operation, table: Table, key: str) -> Answer:
        known = self._conditions(op, table, key)
        self._may_write(table, "Write" if known else "Create")
        payload = payload_of(op, table)
        if known:
            self.store.update(table, key, payload, op.resolve)
        else:
            self._check_same_key(table, key, payload)
            self.store.create(table, payload, op.resolve, key=key)
        return self._written(op, table, key, created=not known, quiet=204)

    def _delete(self, op: Operation, table: Table, key: str) -> Answer:
        self._conditions(op, table, key)
        self._may_write(table, "Delete")
        self.store.delete(table, key)
        return Answer(204)

    def _conditions(self, op: Operation, table: Table, key: str) -> bool:
        """Obey If-Match and If-None-Match; whether the row is there."""
        known = self.store.exists(table.logical, key)
        wanted = op.headers.get("if-match")
        if wanted and not known:
            raise missing(table.logical, key)
        if wanted and wanted not in {"*", etag(self.store.get(table, key))}:
            raise stale()
        if op.headers.get("if-none-match") == "*" and known:
            raise exists()
        return known

    def _check_same_key(self, table: Table, key: str, payload: Row) -> None:
        if str(payload.get(table.primary_id, key)).lower() != key:
            raise ODataError(400, "0x80048d19", "The primary key in the body is not the one in the URL.")

    def _may_write(self, table: Table, action: str) -> None:
        if not table.writable or table.logical in self.denied:
            raise no_privilege(action, table.logical, APP_USER)

    def _written(self, op: Operation, table: Table, key: str, created: bool, quiet: int) -> Answer:
        url = f"{op.root}{table.entity_set}({key})"
        headers = {"OData-EntityId": url} | ({"Location": url} if op.method == "POST" else {})
        if "return=representation" not in op.prefer:
            return Answer(quiet, None, headers)
        row = self.store.get(table, key)
        select = selection(table, options_of(op.query))
        context = {"@odata.context": f"{op.root}$metadata#{table.entity_set}/$entity"}
        body = context | shown(table, row, select, op.prefer)
        return Answer(201 if created else 200, body, {**headers, "ETag": etag(row), **_applied(op)})


def check_headers(op: Operation) -> None:
    """Refuse versions and types the Web API does not speak. An absent version means the newest, as OData says."""
    for name in ("odata-version", "odata-maxversion"):
        if op.headers.get(name, "4.0") not in {"4.0", "4.01"}:
            raise bad_query(f"The header {name} has the value '{op.headers[name][:20]}'; expected 4.0.")
    accepted = op.headers.get("accept", "*/*")
    if not any(part in accepted for part in ("application/json", "*/*", "application/*")):
        message = "A supported MIME type could not be found that matches the acceptable MIME types for the request."
        raise ODataError(415, "0x80060888", message)


def payload_of(op: Operation, table: Table) -> Row:
    """The JSON object in a request's body. Raises `ODataError` when it is none, or not declared to be."""
    if op.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        message = "A supported MIME type could not be found that matches the content type of the request."
        raise ODataError(415, "0x80060888", message)
    try:
        payload = json.loads(op.body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise bad_payload(table.entity_set, "InnerException : the payload is not valid JSON") from None
    if not isinstance(payload, dict):
        raise bad_payload(table.entity_set, "InnerException : a JSON object was expected")
    return payload


def refused(error: ODataError) -> Answer:
    """The answer an error makes."""
    return Answer(error.status, error.body(), dict(error.headers))


def _applied(op: Operation) -> dict[str, str]:
    honoured = ("return=representation", "odata.maxpagesize", "odata.include-annotations")
    parts = [part.strip() for part in op.prefer.split(",") if part.strip().startswith(honoured)]
    return {"Preference-Applied": ",".join(parts)} if parts else {}
