"""Rows of custom entities: put one by one or many at once, looked at and deleted. They are kept until they are deleted."""

from __future__ import annotations

from urllib.parse import unquote

from pydantic import JsonValue, ValidationError

from admin_api.reading import read_as
from admin_api.routes import Call
from shared.clock import Clock, iso
from shared.entities import Entities, EntityRow, Key
from shared.errors import BadRequest, Transient
from shared.problem import first_problem, parse_json, raw_body

_LARGEST_BODY = 1_000_000
_MOST_ROWS = 1_000
_MOST_FAULTS = 50


class Shelf:
    """What a deployment knows of the things that its messages are about."""

    def __init__(self, entities: Entities, clock: Clock) -> None:
        self._entities, self._clock = entities, clock

    def get(self, call: Call) -> JsonValue:
        """One row. Raises BadRequest (404)."""
        key = _key(call)
        known = self._entities.get(key)
        if known is None:
            raise BadRequest(f"there is no row with this key in {key.entity}", status=404)
        return {"entity": key.entity, "key": key.key, "attributes": known.attributes, "changed_at": iso(known.changed_at)}

    def put(self, call: Call) -> JsonValue:
        """Writes one row over what is there: the body is its attributes. Raises BadRequest."""
        return self._write(call, [read_as(EntityRow, {"key": _key(call).key, "attributes": _body(call)})])

    def put_all(self, call: Call) -> JsonValue:
        """Writes the rows of a list, each over what is there, unless one of them is wrong: then none. Raises BadRequest."""
        body = _body(call)
        if not isinstance(body, list) or not 0 < len(body) <= _MOST_ROWS:
            raise BadRequest(f"must be a list of 1 to {_MOST_ROWS} rows", field="body", status=422)
        read = [_read(posted) for posted in body]
        faults = [
            (f"{index}.{fault.partition(': ')[0]}", fault.partition(": ")[2]) for index, (_, fault) in enumerate(read) if fault
        ]
        rows = [row for row, _ in read if row is not None]
        first = {row.key: index for index, row in reversed([*enumerate(rows)])}
        if not faults:
            faults = [
                (f"{index}.key", "another key than of a row before") for index, row in enumerate(rows) if first[row.key] < index
            ]
        if faults:
            raise BadRequest(
                f"{len(faults)} rows are wrong, so none was written", status=422, faults=tuple(faults[:_MOST_FAULTS])
            )
        return self._write(call, rows)

    def _write(self, call: Call, rows: list[EntityRow]) -> JsonValue:
        now = self._clock()
        try:
            self._entities.put(call.path["name"], rows, now)
        except Transient as error:
            raise BadRequest(f"{error}: put the rows again, as only some were written", status=503) from error
        return {"entity": call.path["name"], "put": len(rows), "changed_at": iso(now)}

    def delete(self, call: Call) -> JsonValue:
        """Deletes a row. Raises BadRequest (404)."""
        self.get(call)
        key = _key(call)
        try:
            self._entities.delete(key)
        except Transient as error:
            raise BadRequest(f"{error}: try again", status=503) from error
        return {"entity": key.entity, "deleted": key.key}


def _key(call: Call) -> Key:
    """The row that the path names, decoded as API Gateway does it: no key has what a second decoding would change."""
    key = Key(call.path["name"], unquote(call.path["key"]))
    if not key.is_possible:
        raise BadRequest("there can be no row with this key", field="key", status=404)
    return key


def _body(call: Call) -> JsonValue:
    return parse_json(raw_body(call.event, _LARGEST_BODY))


def _read(posted: JsonValue) -> tuple[EntityRow | None, str]:
    """A row; or None, and what is wrong with it."""
    try:
        return EntityRow.model_validate(posted), ""
    except ValidationError as error:
        return None, first_problem(error)[:300]
