"""What may be written to a row: names, types, lengths, ranges and references, as Dataverse checks them."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime

from tests.sandbox.dynamics_errors import ODataError, bad_key, bad_payload, too_long, undeclared
from tests.sandbox.dynamics_schema import BY_SET, EDM, Column, Table

GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,7})?)?(Z|[+-]\d\d:\d\d)")
_REFERENCE = re.compile(r"(?:https?://[^/]+/api/data/v9\.\d)?/?([a-z_]+)\(([^)]*)\)")
OLDEST = datetime(1753, 1, 1, tzinfo=UTC)
INT32 = 2**31
Values = dict[str, object]
Resolve = Callable[[str], str]


def checked(table: Table, payload: Values, find: Callable[[str, str], bool], content_id: Resolve) -> Values:
    """The columns a payload sets, by the names they are read by.

    `find(table, id)` says whether a referenced row exists; `content_id` turns `$1` into the URL it stands for.
    Raises `ODataError` as the Web API would.
    """
    values: Values = {}
    for name, value in payload.items():
        if name.endswith("@odata.bind"):
            values |= _bound(table, name.removesuffix("@odata.bind"), value, find, content_id)
        elif not name.startswith("@"):
            values |= _plain(table, name, value)
    _check_lengths(table, values)
    return values


def _plain(table: Table, name: str, value: object) -> Values:
    column = table.columns.get(name)
    if column is None or column.kind == "lookup":
        reason = f"Invalid property '{name}' was found in entity 'Microsoft.Dynamics.CRM.{table.logical}'."
        raise bad_payload(table.entity_set, f"InnerException : Microsoft.OData.ODataException: {reason}")
    if column.read_only:
        return {}
    return {name: None if value is None else _typed(table, column, value)}


def _typed(table: Table, column: Column, value: object) -> object:
    try:
        return PARSERS[column.kind](value)
    except (TypeError, ValueError, OverflowError):
        reason = (
            f"InnerException : Microsoft.OData.ODataException: Cannot convert the literal {ascii(value)[:80]} to the "
            f"expected type '{EDM[column.kind]}'."
        )
    raise bad_payload(table.entity_set, reason)


def _check_lengths(table: Table, values: Values) -> None:
    """Refuse text longer than its column, counted in UTF-16 units as SQL Server's nvarchar does."""
    for name, value in values.items():
        limit = table.columns[name].max_length if name in table.columns else 0
        if limit and isinstance(value, str) and len(value.encode("utf-16-le")) // 2 > limit:
            too_long(name, table.logical, limit)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # half a surrogate pair is not text
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -INT32 <= value < INT32:
        raise TypeError
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def guid(value: object) -> str:
    """A GUID in lower case. Raises `ValueError`."""
    if not isinstance(value, str) or not GUID.fullmatch(value):
        raise ValueError
    return value.lower()


def stamp(value: object) -> str:
    """A DateTimeOffset in UTC to the second, which is what a row keeps."""
    if not isinstance(value, str) or not _STAMP.fullmatch(value):
        raise ValueError
    moment = datetime.fromisoformat(value).astimezone(UTC)
    if moment < OLDEST:
        message = (
            "DateTime is less than minumum value supported by CrmDateTime. Actual value: "
            f"{moment:%m/%d/%Y %H:%M:%S}, Minimum value supported: 01/01/1753 00:00:00"
        )
        raise ODataError(400, "0x80040239", message)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def day(value: object) -> str:
    """A calendar day."""
    return date.fromisoformat(_text(value)).isoformat()


PARSERS: dict[str, Callable[[object], object]] = {
    "string": _text,
    "memo": _text,
    "integer": _integer,
    "boolean": _boolean,
    "datetime": stamp,
    "date": day,
    "guid": guid,
}


def _bound(table: Table, name: str, value: object, find: Callable[[str, str], bool], content_id: Resolve) -> Values:
    nav = table.navs.get(name)
    if nav is None:
        raise undeclared(name, table.entity_set)
    read_name = f"_{nav.column}_value"
    if value is None:
        return {read_name: None, f"{read_name}@table": None}
    target, key = _reference(table, content_id(_text_or_refuse(table, value)))
    if target.logical != nav.target:
        reason = f"the navigation property '{name}' expects '{nav.target}', not '{target.logical}'"
        raise bad_payload(table.entity_set, reason)
    if not find(target.logical, key):
        raise ODataError(404, "0x80040217", f"Entity '{target.logical}' With Id = {key} Does Not Exist")
    return {read_name: key, f"{read_name}@table": target.logical}


def _text_or_refuse(table: Table, value: object) -> str:
    if not isinstance(value, str):
        raise bad_payload(table.entity_set, "an odata.bind annotation takes a string")
    return value


def _reference(table: Table, url: str) -> tuple[Table, str]:
    matched = _REFERENCE.fullmatch(url)
    target = BY_SET.get(matched[1]) if matched else None
    if matched is None or target is None:
        raise bad_payload(table.entity_set, f"the URL '{url[:200]}' in odata.bind names no row")
    try:
        return target, guid(matched[2])
    except ValueError:
        raise bad_key(target.logical) from None
