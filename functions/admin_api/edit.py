"""Changing definitions: one change at a time, checked as a whole, secrets apart.

A definition in force always has its secrets: they are written before its row and removed after it. The secret remembers for
which version it was written, so that a change that was cut off between the two is seen and finished when it is put again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import BaseModel, JsonValue, ValidationError

from admin_api.changes import differences, masked
from admin_api.review import Exists, review
from admin_api.store import Body, Store, Stored, as_text
from shared.catalogue import unmask
from shared.clock import Clock, iso
from shared.definitions import KINDS, Definition, Kind
from shared.errors import BadRequest
from shared.observe import logger
from shared.secrets import Secrets
from shared.state import Leases
from shared.validation import Fault, check, dotted, marks_of, references_of, secrets_of

LARGEST_BODY = 390_000
"""Bytes: a DynamoDB item holds 400 KB, its other columns included."""

_LEASE = "definitions"
_VERSION = "version"


@dataclass(frozen=True)
class Put:
    """One definition to be put by somebody. Dry: says what would change. `assumed` are taken to exist, as (kind, name)."""

    kind: Kind
    name: str
    body: JsonValue
    by: str
    dry: bool = False
    assumed: Collection[tuple[str, str]] = ()


class Editor:
    """Puts and deletes definitions."""

    def __init__(
        self,
        store: Store,
        secrets: Secrets,
        leases: Leases,
        clock: Clock,
        *,
        lease_seconds: int,
        origins: tuple[str, ...],
        destinations: Collection[str],
    ) -> None:
        self._store, self._secrets, self._leases, self._clock = store, secrets, leases, clock
        self._lease_seconds, self._origins, self._destinations = lease_seconds, origins, set(destinations)

    def put(self, put: Put) -> Body:
        """Checks and stores a definition; changes nothing if it is the one in force. Returns the version and what changed.

        Raises BadRequest: 422 with all faults, 409 if somebody else is changing definitions.
        """
        if put.dry:
            return self._put(put)
        with self._alone():
            return self._put(put)

    def delete(self, kind: Kind, name: str, by: str) -> Body:
        """Takes a definition out of force, with its secrets; its history stays.

        Raises BadRequest: 404 if there is none, 409 if another definition uses it or somebody else is changing definitions.
        """
        with self._alone():
            current = self._store.current(kind, name)
            if current is not None:
                self._refuse_if_used(kind, name)
                tombstone = Stored(kind, name, current.version + 1, None, iso(self._clock()), by)
                self._store.delete(tombstone, current)
                logger.info("definition deleted", kind=kind, definition=name, version=tombstone.version)
            # Also if there is no row any more: an earlier deletion may have been cut off here.
            self._secrets.delete(_secret(kind, name))
            self._secrets.delete(f"token/{kind}/{name}")
        if current is None:
            raise BadRequest(f"there is no {kind} named {name!r}", status=404)
        return tombstone.summary()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One change at a time in the whole deployment: a reference that was checked stays good, a secret belongs to its row."""
        if not self._leases.take(_LEASE, self._lease_seconds):
            raise BadRequest("another change of definitions is being made: try again in a moment", status=409)
        try:
            yield
        finally:
            self._leases.give_back(_LEASE)

    def _refuse_if_used(self, kind: Kind, name: str) -> None:
        for other in KINDS:
            for row in self._store.all(other):
                if (kind, name) in {(k, n) for _, k, n in references_of(other, row.body or {})}:
                    raise BadRequest(f"{other} {row.name!r} uses this {kind}: change or delete it first", status=409)

    def _put(self, put: Put) -> Body:
        current = self._store.current(put.kind, put.name)
        kept = self._secrets.read(_secret(put.kind, put.name)) or {}
        definition = self._checked(put, kept)
        wanted = secrets_of(definition)
        body = masked(definition.model_dump(mode="json", exclude_unset=True), wanted.keys())
        changed = _changed(current, definition, wanted, kept)
        answer: Body = {"kind": put.kind, "name": put.name, "created": current is None, "changed": list(changed)}
        if current is not None and not changed:
            return {**answer, "version": current.version}
        version = (current.version if current else self._store.latest_version(put.kind, put.name)) + 1
        if not put.dry:
            stored = Stored(put.kind, put.name, version, _object(body), iso(self._clock()), put.by)
            self._write(stored, current, dict(wanted), kept)
        return {**answer, "version": version}

    def _checked(self, put: Put, kept: Body) -> Definition:
        if not isinstance(put.body, dict):
            raise BadRequest("the body must be a JSON object", field="body", status=422)
        body: Body = {"name": put.name, **put.body}
        missing = [path for path in marks_of(body) if path not in kept]
        faults = [Fault("name", "the name in the path, or none")] if body["name"] != put.name else []
        faults += [Fault(dotted(path), "a value: none is kept here") for path in missing]
        definition, wrong = check(put.kind, unmask(body, {**dict.fromkeys(missing, "missing"), **kept}))
        faults += wrong
        if definition is not None:
            faults += review(put.kind, definition, self._exists(put.assumed), self._origins, self._destinations)
        # One fault a field: the first is the cause of the others.
        faults = list({fault.field: fault for fault in reversed(faults)}.values())[::-1]
        if definition is None or faults:
            raise BadRequest(_summary(faults), field=faults[0].field, status=422, faults=tuple(faults))
        return definition

    def _exists(self, assumed: Collection[tuple[str, str]]) -> Exists:
        return lambda kind, name: (kind, name) in assumed or self._store.current(kind, name) is not None

    def _write(self, stored: Stored, current: Stored | None, wanted: Body, kept: Body) -> None:
        name = _secret(stored.kind, stored.name)
        if len(as_text(stored.body).encode()) > LARGEST_BODY:
            raise BadRequest(f"the definition has more than {LARGEST_BODY} bytes", field="body", status=413)
        if wanted and not wanted.items() <= kept.items():
            # What the row still in force needs stays in until it has been replaced.
            self._secrets.write(name, {**kept, **wanted, _VERSION: stored.version})
        self._store.put(stored, current)
        if kept.keys() - wanted.keys() - {_VERSION}:
            self._secrets.write(name, {**wanted, _VERSION: stored.version})
        logger.info("definition put", kind=stored.kind, definition=stored.name, version=stored.version)


def _changed(current: Stored | None, definition: Definition, wanted: dict[str, str], kept: Body) -> list[str]:
    """The fields in which a definition differs from the one in force; all that were given if there is none."""
    if current is None or current.body is None:
        return sorted(definition.model_fields_set - {"name"})
    new = masked(definition.model_dump(mode="json"), wanted.keys())
    fields = differences(_in_full(type(definition), current.body), new)
    cut_off = isinstance(written := kept.get(_VERSION), int) and written > current.version
    secret = [dotted(path) for path, value in wanted.items() if cut_off or kept.get(path) != value]
    return list(dict.fromkeys([*fields, *secret]))


def _in_full(model: type[BaseModel], body: Body) -> JsonValue:
    """A stored body with its defaults; as it is if it is from an older release and no longer valid."""
    try:
        definition = model.model_validate(unmask(body, {}))
    except ValidationError:
        return body
    return masked(definition.model_dump(mode="json"), marks_of(body))


def _object(body: JsonValue) -> Body:
    return body if isinstance(body, dict) else {}


def _secret(kind: str, name: str) -> str:
    return f"definition/{kind}/{name}"


def _summary(faults: list[Fault]) -> str:
    first = f"{faults[0].field}: expected {faults[0].expected}"
    return first if len(faults) == 1 else f"{first}; and {len(faults) - 1} more"
