"""`$select`, `$filter`, `$orderby`, `$top`, `$count` and paging over a table's rows."""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl, quote

from tests.sandbox.dynamics_errors import ODataError, bad_query, no_property
from tests.sandbox.dynamics_filter import Filter, compile_filter
from tests.sandbox.dynamics_schema import Table
from tests.sandbox.dynamics_store import Row

PAGE = 5000
KNOWN = {"$select", "$filter", "$orderby", "$top", "$count", "$skiptoken"}
ANNOTATION = "Microsoft.Dynamics.CRM.lookuplogicalname"


@dataclass
class Query:
    """The query options of one request, checked against the table."""

    select: list[str]
    filter: Filter
    order: list[tuple[str, bool]]
    top: int | None
    count: bool
    token: str | None


def options_of(raw: str) -> dict[str, str]:
    """The query string's options. Raises `ODataError` for one the Web API does not know."""
    options = dict(parse_qsl(raw, keep_blank_values=True))
    for name in options:
        if name == "$skip":
            raise bad_query("The $skip query option isn't supported by Dataverse.")
        if name.startswith("$") and name not in KNOWN:
            raise bad_query(f"The query parameter {name} is not supported")
    return options


def parse_query(table: Table, raw: str) -> Query:
    """Read the options of a collection request."""
    options = options_of(raw)
    aliases = {name: value for name, value in options.items() if name.startswith("@")}
    text = options.get("$filter")
    return Query(
        select=selection(table, options),
        filter=compile_filter(table, text, aliases) if text is not None else Filter(lambda _: True),
        order=[_order(table, part) for part in options.get("$orderby", "").split(",") if part.strip()],
        top=_top(options.get("$top")),
        count=options.get("$count") == "true",
        token=options.get("$skiptoken"),
    )


def selection(table: Table, options: Mapping[str, str]) -> list[str]:
    """The columns asked for; all when none are."""
    names = [name.strip() for name in options.get("$select", "").split(",") if name.strip()]
    for name in names:
        if name not in table.columns:
            raise no_property(name, table.logical)
    return names or list(table.columns)


def _top(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise bad_query(f"Invalid value '{text[:20]}' for $top query option found.")
    return int(text)


def _order(table: Table, part: str) -> tuple[str, bool]:
    name, _, direction = part.strip().partition(" ")
    if name not in table.columns:
        raise no_property(name, table.logical)
    if direction not in {"", "asc", "desc"}:
        raise bad_query(f"Syntax error at '{part.strip()[:80]}' in $orderby.")
    return name, direction == "desc"


def page_size(prefer: str) -> int:
    """The page size a `Prefer` header asks for, at most 5000."""
    asked = re.search(r"odata\.maxpagesize=(\d+)", prefer)
    return min(int(asked[1]), PAGE) if asked and int(asked[1]) > 0 else PAGE


def shown(table: Table, row: Row, select: Iterable[str], prefer: str = "") -> Row:
    """A row as the API answers it: the selected columns, the key, the ETag, the annotations asked for."""
    body: Row = {"@odata.etag": etag(row), table.primary_id: row[table.primary_id]}
    for name in select:
        body[name] = row.get(name)
        target = row.get(f"{name}@table")
        if target and "odata.include-annotations" in prefer:
            body[f"{name}@{ANNOTATION}"] = target
    return body


def etag(row: Row) -> str:
    """The row's version as an ETag."""
    return f'W/"{row["@version"]}"'


class Pages:
    """Cuts results into pages; each nextLink holds a cookie that only this server can read."""

    def __init__(self) -> None:
        self.rest: dict[str, tuple[str, list[str]]] = {}

    def answer(self, table: Table, rows: list[Row], query: Query, request: tuple[str, str, str]) -> Row:
        """The body for one page. `request` is the collection's URL, its raw query and the `Prefer` header."""
        url, raw, prefer = request
        body: Row = {"@odata.context": f"{url.rsplit('/', 1)[0]}/$metadata#{table.entity_set}"}
        found = self._resume(table, rows, query, raw) if query.token else self._sorted(table, rows, query)
        if query.count:
            body["@odata.count"] = min(len(found), PAGE)
        size = PAGE if query.top is not None else page_size(prefer)
        body["value"] = [shown(table, row, query.select, prefer) for row in found[:size]]
        if len(found) > size:
            keys = [str(row[table.primary_id]) for row in found[size:]]
            body["@odata.nextLink"] = self._link(url, raw, keys)
        return body

    def _sorted(self, table: Table, rows: list[Row], query: Query) -> list[Row]:
        found = [row for row in rows if query.filter.passes(row)]
        found.sort(key=lambda row: str(row[table.primary_id]))
        for name, descending in reversed(query.order):
            found.sort(key=lambda row, name=name: _sortable(row.get(name)), reverse=descending)  # type: ignore[misc]
        return found[: query.top]

    def _link(self, url: str, raw: str, keys: list[str]) -> str:
        base = re.sub(r"&?\$skiptoken=[^&]*", "", raw)
        token = secrets.token_hex(16)
        self.rest[token] = (base, keys)
        cookie = f'<cookie pagenumber="2" pagingcookie="{token}" istracking="False" />'
        return f"{url}?{base}{'&' if base else ''}$skiptoken={quote(cookie, safe='')}"

    def _resume(self, table: Table, rows: list[Row], query: Query, raw: str) -> list[Row]:
        named = re.search(r'pagingcookie="(\w+)"', query.token or "")
        base, keys = self.rest.get(named[1] if named else "", (None, []))
        if base is None or base != re.sub(r"&?\$skiptoken=[^&]*", "", raw):
            raise ODataError(400, "0x80041129", "The paging cookie is malformed or does not belong to this query.")
        by_key = {str(row[table.primary_id]): row for row in rows}
        return [by_key[key] for key in keys if key in by_key]


def _sortable(value: object) -> tuple[int, str | float]:
    """Nulls first; text without regard to case."""
    if value is None:
        return 0, 0.0
    return (2, value.casefold()) if isinstance(value, str) else (1, float(cast("int", value)))
