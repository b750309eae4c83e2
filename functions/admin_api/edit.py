"""Changing definitions: put, rolled back, deleted.

An integration, a template and a trigger are drafts until they are published (`publishing.py`). An edit that changes nothing of
what a test or a proof shows, nor of what visitors get, is in force at once, as is the switch `enabled`.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel, JsonValue, ValidationError

from admin_api.changes import differences, masked
from admin_api.desk import Desk, Known, Put, absent
from admin_api.drafts import DRAFTED, at_once, proves
from admin_api.kept import Values
from admin_api.store import Body, Standing, Stored
from shared.auth import Auth
from shared.catalogue import unmask
from shared.clock import iso
from shared.definitions import KINDS, Destination, Integration, Kind
from shared.errors import BadRequest, Transient
from shared.fields import Definition
from shared.observe import logger
from shared.tokens import Send, try_credentials
from shared.trackers import Tracker
from shared.validation import dotted, marks_of, references_of, secrets_of

_MOST_CHANGED = 50


class Editor:
    """Puts and deletes definitions."""

    def __init__(self, desk: Desk, send: Send) -> None:
        self._desk, self._store, self._send = desk, desk.store, send

    def put(self, put: Put) -> Body:
        """Checks and stores a definition; changes nothing if there is nothing to change. Returns the version and what changed.

        New OAuth 2.0 credentials are tried at their token URL. Raises BadRequest: 422 with all faults, or with what the token
        URL says; 503 if it says nothing; 409 if somebody else is changing definitions.
        """
        if put.dry:
            return self._put(put)
        with self._desk.alone():
            return self._put(put)

    def roll_back(self, kind: Kind, name: str, version: int, by: str) -> Body:
        """Makes the content of an earlier version the newest one, as `put` does; whether it is switched on stays as it is.

        Raises BadRequest: 404 if there is no such version, else as `put`.
        """
        with self._desk.alone():
            newest, earlier = self._store.standing(kind, name).newest, self._store.version(kind, name, version)
            if newest is None or newest.body is None or earlier is None or earlier.body is None:
                raise BadRequest(f"there is no version {version} of {kind} {name!r}", field="to", status=404)
            body = {key: value for key, value in earlier.body.items() if key != "enabled"}
            switch = {"enabled": newest.body["enabled"]} if "enabled" in newest.body else {}
            return self._put(Put(kind, name, {**body, **switch}, by), earlier)

    def delete(self, kind: Kind, name: str, by: str) -> Body:
        """Takes a definition out of force, with its secrets; its history stays.

        Raises BadRequest: 404 if there is none, 409 if another definition uses it, if it is a trigger or template in force, or
        if somebody else is changing definitions.
        """
        with self._desk.alone():
            standing = self._store.standing(kind, name)
            if standing.newest is not None:
                _refuse_if_in_force(standing)
                self._refuse_if_used(kind, name)
                tombstone = Stored(kind, name, standing.latest + 1, None, iso(self._desk.clock()), by)
                self._store.delete(tombstone, standing)
                logger.info("definition deleted", kind=kind, definition=name, version=tombstone.version)
            # Also if there is no row any more: an earlier deletion may have been cut off here.
            self._desk.forget(kind, name)
        if standing.newest is None:
            raise absent(kind, name)
        return tombstone.summary()

    def _refuse_if_used(self, kind: Kind, name: str) -> None:
        for other in KINDS:
            for row in self._store.all(other):
                used = {(k, n) for body in row.bodies for _, k, n in references_of(other, body)}
                if row.newest is not None and (kind, name) in used:
                    raise BadRequest(f"{other} {row.newest.name!r} uses this {kind}: change or delete it first", status=409)

    def _put(self, put: Put, restored: Stored | None = None) -> Body:
        known = self._desk.known(put.kind, put.name)
        current, newest = known.standing.current, known.newest
        put = _still_off(put, newest)
        definition = self._desk.checked(put, known.values)
        changed = _changed(known, definition)
        self._try(known, definition)
        answer: Body = {"kind": put.kind, "name": put.name, "created": newest is None, "changed": list(changed)}
        if newest is not None and not changed:
            return {**answer, **_versions(newest, current.version if current else None)}
        stored = self._stored(put, definition, changed, known.standing.latest, restored)
        if put.kind not in DRAFTED or at_once(known.definition(current), definition):
            stored = self._put_in_force(put, stored, definition, known)
            return {**answer, **_versions(stored, stored.version)}
        stored = _proven(stored, definition, known, restored)
        if current and _is_enabled(current.body) != _is_enabled(stored.body):
            known = self._desk.switch(known, current, stored, on=_is_enabled(stored.body), dry=put.dry)
            current, stored = known.standing.current, replace(stored, version=stored.version + 1)
        if not put.dry:
            self._put_draft(stored, definition, known)
        return {**answer, **_versions(stored, current.version if current else None)}

    def _stored(self, put: Put, definition: Definition, changed: list[str], latest: int, restored: Stored | None) -> Stored:
        """The next version."""
        latest = latest or self._store.latest_version(put.kind, put.name)
        return Stored(
            put.kind,
            put.name,
            latest + 1,
            _body(definition),
            iso(self._desk.clock()),
            put.by,
            changed=tuple(changed)[:_MOST_CHANGED],
            restored=restored.version if restored else 0,
        )

    def _try(self, known: Known, definition: Definition) -> None:
        """Tries credentials that are new. What could not be tried is not saved."""
        field, auth = _auth_of(definition)
        if auth is None or _auth_of(known.definition(known.newest)) == (field, auth):
            return
        try:
            try_credentials(auth, self._send, self._desk.clock)
        except BadRequest as error:
            error.field = (error.field or "auth").replace("auth", field, 1)
            raise
        except Transient as error:
            reason = f"the credentials could not be tried, so nothing was saved: {error.reason}; try again later"
            raise BadRequest(reason, field=field, status=503) from error

    def _put_in_force(self, put: Put, stored: Stored, definition: Definition, known: Known) -> Stored:
        if stored.kind in DRAFTED:
            stored = stored.proven_as(known.standing.current).did("published", stored.updated_at, stored.updated_by)
        if put.dry:
            return stored
        if put.assumed:  # nothing checks it again before it is in force
            self._desk.checked(replace(put, assumed=()), known.values)
        new = known.kept.with_current(Values(secrets_of(definition), stored.version), known.standing)
        self._desk.write(stored, known, new, lambda: self._store.put(stored, known.standing))
        return stored

    def _put_draft(self, stored: Stored, definition: Definition, known: Known) -> None:
        new = known.kept.with_draft(Values(secrets_of(definition), stored.version))
        self._desk.write(stored, known, new, lambda: self._store.put_draft(stored, known.standing))


def _auth_of(definition: Definition | None) -> tuple[str, Auth | None]:
    """The credentials that a definition has us call with, and in which field they are."""
    if isinstance(definition, Integration | Destination):
        return "auth", definition.auth
    if isinstance(definition, Tracker) and definition.journal is not None:
        return "journal.auth", definition.journal.auth
    return "", None


def _refuse_if_in_force(standing: Standing) -> None:
    current = standing.current
    if current is not None and current.kind in ("trigger", "template"):
        how = f"`sendbridge unpublish {current.kind}/{current.name}`"
        raise BadRequest(f"{current.kind} {current.name!r} is published: unpublish it first, with {how}", status=409)


def _proven(stored: Stored, definition: Definition, known: Known, restored: Stored | None) -> Stored:
    """With the proof of another version that shows the same. What is in force has shown itself."""
    draft, current = known.standing.draft, known.standing.current
    shown = current
    if current is not None and not current.tested_at:
        shown = replace(current, tested_at=current.updated_at, tested_by=current.updated_by)
    for row, tested in ((draft, draft), (current, shown), (restored, restored)):
        if tested is not None and tested.tested_at and proves(known.definition(row), definition):
            return stored.proven_as(tested)
    return stored


def _changed(known: Known, definition: Definition) -> list[str]:
    """The fields in which a definition differs from what there is; all that were given if there is nothing."""
    newest, values, wanted = known.newest, known.values, secrets_of(definition)
    if newest is None or newest.body is None:
        return sorted(definition.model_fields_set - {"name"})
    new = masked(definition.model_dump(mode="json"), wanted.keys())
    fields = differences(in_full(type(definition), newest.body), new)
    cut_off = values.version > newest.version
    secret = [dotted(path) for path, value in wanted.items() if cut_off or values.by_path.get(path) != value]
    return list(dict.fromkeys([*fields, *secret]))


def in_full(model: type[BaseModel], body: Body) -> JsonValue:
    """A stored body with its defaults; as it is if it is from an older release and no longer valid."""
    try:
        definition = model.model_validate(unmask(body, dict.fromkeys(marks_of(body), "kept")))
    except ValidationError:
        return body
    return masked(definition.model_dump(mode="json"), marks_of(body))


def _body(definition: Definition) -> Body:
    """As it is stored: what was given, without secrets."""
    body = masked(definition.model_dump(mode="json", exclude_unset=True), secrets_of(definition).keys())
    return body if isinstance(body, dict) else {}


def _still_off(put: Put, newest: Stored | None) -> Put:
    """What is switched off stays so unless somebody says otherwise: a file that does not mention it must not end a pause."""
    if isinstance(put.body, dict) and "enabled" not in put.body and newest is not None and not _is_enabled(newest.body):
        return replace(put, body={**put.body, "enabled": False})
    return put


def _is_enabled(body: Body | None) -> bool:
    return (body or {}).get("enabled", True) is True


def _versions(newest: Stored, published: int | None) -> Body:
    if newest.kind not in DRAFTED:
        return {"version": newest.version}
    return {"version": newest.version, "published": published, "tested": bool(newest.tested_at)}
