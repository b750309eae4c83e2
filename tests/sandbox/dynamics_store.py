"""The rows of the environment, their versions, and every write that was made to them."""

import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from tests.sandbox.clock import Clock, iso
from tests.sandbox.dynamics_errors import ODataError, exists, missing
from tests.sandbox.dynamics_schema import BY_LOGICAL, TABLES, Table
from tests.sandbox.dynamics_values import Resolve, Values, checked
from tests.sandbox.journal import Journal

APP_USER = "7f3a1c52-0b6e-4d57-9a83-5f1f0c6a2e11"
SALES_USER = "c0ffee00-1111-4222-8333-444455556666"
ORGANIZATION = "0a0b0c0d-1e1f-4a4b-8c8d-9e9f0a1b2c3d"
BUSINESS_UNIT = "1b2c3d4e-5f60-4171-8283-94a5b6c7d8e9"
INDEXED = {"emailaddress1", "_regardingobjectid_value"}
Row = dict[str, object]
Op = Literal["create", "update", "delete"]


@dataclass
class Write:
    """One change that was committed. `values` are the columns it set; `by` is `api` or `seed`."""

    time: str
    table: str
    id: str
    op: Op
    values: Values
    version: int
    by: str


@dataclass
class _Undo:
    table: str
    id: str
    row: Row | None
    writes: int


class Store:
    """Rows by table and id. A row is kept as it is read; its version is under `@version`."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self.clock, self.journal = clock, journal
        self.clear()
        for record in journal.read():
            self._restore(record)

    def clear(self) -> None:
        """An environment as new: two users, nothing else."""
        self.rows: dict[str, dict[str, Row]] = {table.logical: {} for table in TABLES}
        self.index: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self.writes: list[Write] = []
        self.undo: list[_Undo] = []
        self.version = 12_770
        self._add_user(APP_USER, "# Sendbridge", "app@sandbox.example")
        self._add_user(SALES_USER, "Hedy Sales", "hedy@sandbox.example")
        self.undo.clear()
        self.writes.clear()

    def exists(self, table: str, key: str) -> bool:
        """Whether a row is there."""
        return key in self.rows[table]

    def get(self, table: Table, key: str) -> Row:
        """A row; an `ODataError` 404 when it is not there."""
        row = self.rows[table.logical].get(key)
        if row is None:
            raise missing(table.logical, key)
        return row

    def activities(self) -> Iterator[Row]:
        """Every activity of every kind."""
        for table in TABLES:
            if table.activity:
                yield from self.rows[table.logical].values()

    def having(self, table: str, column: str, value: str) -> list[Row]:
        """The rows whose indexed column has this value."""
        rows = self.rows[table]
        return [rows[key] for key in self.index[(table, column, value.casefold())] if key in rows]

    def create(self, table: Table, payload: Values, content_id: Resolve, by: str = "api", key: str = "") -> str:
        """Add a row; its id. 412 when the id is taken."""
        values = self._checked(table, payload, content_id)
        key = str(values.get(table.primary_id) or key or uuid.uuid4())
        if self.exists(table.logical, key):
            raise exists()
        values = {**_defaults(table), **values, table.primary_id: key}
        _check_state(table, values)
        now = iso(self.clock(), "seconds")
        row: Row = dict.fromkeys(table.columns) | {"createdon": now} | values
        self._put(self._write(table, key, "create", values, by), row)
        return key

    def update(self, table: Table, key: str, payload: Values, content_id: Resolve) -> None:
        """Change a row's columns."""
        row = self.get(table, key)
        values = self._checked(table, payload, content_id)
        if values.get(table.primary_id, key) != key:
            raise ODataError(400, "0x80048d19", "The primary key of a row cannot be changed.")
        if "statecode" in values and "statuscode" not in values:
            values["statuscode"] = table.states[_state(table, values)][0]
        merged = {**row, **values}
        _check_state(table, merged)
        self._put(self._write(table, key, "update", values), merged)

    def delete(self, table: Table, key: str) -> None:
        """Remove a row."""
        self.get(table, key)
        self._put(self._write(table, key, "delete", {}), None)

    def mark(self) -> int:
        """A point to roll back to."""
        return len(self.undo)

    def rollback(self, mark: int) -> None:
        """Undo everything since `mark`."""
        while len(self.undo) > mark:
            undo = self.undo.pop()
            self._set(undo.table, undo.id, undo.row)
            del self.writes[undo.writes :]

    def commit(self) -> None:
        """Make the writes since the last commit lasting."""
        if self.undo:
            for write in self.writes[self.undo[0].writes :]:
                row = self.rows[write.table].get(write.id)
                self.journal.append({"write": asdict(write), "row": row})
            self.undo.clear()

    def _checked(self, table: Table, payload: Values, content_id: Resolve) -> Values:
        return checked(table, payload, self.exists, content_id)

    def _write(self, table: Table, key: str, op: Op, values: Values, by: str = "api") -> Write:
        self.version += 1
        return Write(iso(self.clock(), "seconds"), table.logical, key, op, values, self.version, by)

    def _put(self, write: Write, row: Row | None) -> None:
        self.undo.append(_Undo(write.table, write.id, self.rows[write.table].get(write.id), len(self.writes)))
        if row is not None:
            row = {**row, "modifiedon": write.time, "@version": write.version}
            if write.table == "contact":
                row["fullname"] = " ".join(str(row[n]) for n in ("firstname", "lastname") if row[n]) or None
        self._set(write.table, write.id, row)
        self.writes.append(write)

    def _set(self, table: str, key: str, row: Row | None) -> None:
        old = self.rows[table].pop(key, None)
        for column in INDEXED:
            if old and old.get(column):
                self.index[(table, column, str(old[column]).casefold())].discard(key)
            if row and row.get(column):
                self.index[(table, column, str(row[column]).casefold())].add(key)
        if row is not None:
            self.rows[table][key] = row

    def _restore(self, record: dict[str, object]) -> None:
        write, row = Write(**record["write"]), record["row"]  # type: ignore[arg-type]
        self.version = max(self.version, write.version)
        self.writes.append(write)
        self._set(write.table, write.id, row)  # type: ignore[arg-type]

    def _add_user(self, key: str, name: str, mail: str) -> None:
        payload: Values = {"systemuserid": key, "fullname": name, "internalemailaddress": mail, "isdisabled": False}
        self.create(BY_LOGICAL["systemuser"], payload, str, by="seed")


def _defaults(table: Table) -> Values:
    """What a new row has without being told: open, owned by whoever creates it, its kind of activity."""
    if not table.states:
        return {}
    values: Values = {"statecode": 0, "_ownerid_value": APP_USER, "_ownerid_value@table": "systemuser"}
    if table.activity:
        values |= {"activitytypecode": table.logical, "prioritycode": 1}
    else:
        values |= {name: False for name, column in table.columns.items() if column.kind == "boolean"}
    return values


def _state(table: Table, values: Values) -> int:
    state = values["statecode"]
    if not isinstance(state, int) or state not in table.states:
        raise ODataError(400, "0x80048408", f"{state} is not a valid state code on {table.logical}.")
    return state


def _check_state(table: Table, values: Values) -> None:
    """Fill in the status a state implies, and refuse one it does not allow."""
    if table.states:
        allowed = table.states[_state(table, values)]
        status = values.setdefault("statuscode", allowed[0])
        if status not in allowed:
            message = f"{status} is not a valid status code for state code {values['statecode']} on {table.logical}."
            raise ODataError(400, "0x80048408", message)
