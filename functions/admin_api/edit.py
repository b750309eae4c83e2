"""Changing definitions: one change at a time, checked as a whole, secrets apart.

A definition in force always has its secrets: they are written before its row and removed after it. The secret remembers for
which version it was written, so that a change that was cut off between the two is seen and finished when it is put again.

An integration is a draft until it is published, and only what was tested is published. An edit that changes nothing of what a
test shows is in force at once, as is the switch `enabled`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pydantic import BaseModel, JsonValue, ValidationError

from admin_api import kept
from admin_api.changes import differences, masked
from admin_api.drafts import DRAFTED, proves
from admin_api.kept import Kept, Values
from admin_api.review import review
from admin_api.store import Body, Standing, Store, Stored, as_text
from shared.catalogue import unmask
from shared.clock import Clock, iso
from shared.definitions import KINDS, Destination, Integration, Kind
from shared.errors import BadRequest, Transient
from shared.fields import Definition
from shared.observe import logger
from shared.secrets import Secrets
from shared.state import Leases
from shared.tokens import Send, try_credentials
from shared.validation import Fault, Find, check, dotted, marks_of, references_of, secrets_of

LARGEST_BODY = 390_000
"""Bytes: a DynamoDB item holds 400 KB, its other columns included."""

_LEASE = "definitions"


@dataclass(frozen=True)
class Put:
    """One definition to be put by somebody. Dry: says what would change. `assumed` are taken to exist, as (kind, name)."""

    kind: Kind
    name: str
    body: JsonValue
    by: str
    dry: bool = False
    assumed: Collection[tuple[str, str]] = ()


@dataclass(frozen=True)
class Known:
    """What is known of a definition when it is edited."""

    standing: Standing
    kept: Kept = field(repr=False)

    @property
    def newest(self) -> Stored | None:
        """What is edited."""
        return self.standing.newest

    @property
    def values(self) -> Values:
        """Its secret values."""
        return self.kept.of(self.newest, self.standing)

    def definition(self, row: Stored | None) -> Definition | None:
        """One of the two there may be, with its secrets; None if there is none, or it is from an older release and not valid."""
        if row is None:
            return None
        return check(row.kind, unmask(row.body, self.kept.of(row, self.standing).by_path))[0]  # type: ignore[arg-type]


class Editor:
    """Puts, publishes and deletes definitions."""

    def __init__(
        self,
        store: Store,
        secrets: Secrets,
        leases: Leases,
        clock: Clock,
        send: Send,
        *,
        lease_seconds: int,
        origins: tuple[str, ...],
        destinations: Collection[str],
    ) -> None:
        self._store, self._secrets, self._leases, self._clock, self._send = store, secrets, leases, clock, send
        self._lease_seconds, self._origins, self._destinations = lease_seconds, origins, set(destinations)

    def put(self, put: Put) -> Body:
        """Checks and stores a definition; changes nothing if there is nothing to change. Returns the version and what changed.

        New OAuth 2.0 credentials are tried at their token URL. Raises BadRequest: 422 with all faults, or with what the token
        URL says; 503 if it says nothing; 409 if somebody else is changing definitions.
        """
        if put.dry:
            return self._put(put)
        with self._alone():
            return self._put(put)

    def publish(self, kind: Kind, name: str, by: str) -> Body:
        """Puts the draft in force; does nothing if there is no draft.

        Raises BadRequest: 404 if there is no such definition, 422 if the draft has not been tested, or is not right any more,
        409 as `put` does.
        """
        with self._alone():
            known = self.known(kind, name)
            if known.standing.draft is None:
                if known.standing.current is None:
                    raise _missing(kind, name)
                return {**known.standing.current.summary(), "published": known.standing.current.version}
            return self._publish(known, known.standing.draft, by)

    def delete(self, kind: Kind, name: str, by: str) -> Body:
        """Takes a definition out of force, with its secrets; its history stays.

        Raises BadRequest: 404 if there is none, 409 if another definition uses it or somebody else is changing definitions.
        """
        with self._alone():
            standing = self._store.standing(kind, name)
            if standing.newest is not None:
                self._refuse_if_used(kind, name)
                tombstone = Stored(kind, name, standing.newest.version + 1, None, iso(self._clock()), by)
                self._store.delete(tombstone, standing)
                logger.info("definition deleted", kind=kind, definition=name, version=tombstone.version)
            # Also if there is no row any more: an earlier deletion may have been cut off here.
            self._secrets.delete(secret_of(kind, name))
            self._secrets.delete(f"token/{kind}/{name}")
        if standing.newest is None:
            raise _missing(kind, name)
        return tombstone.summary()

    def known(self, kind: Kind, name: str) -> Known:
        """What there is of a definition."""
        return Known(self._store.standing(kind, name), kept.read(self._secrets.read(secret_of(kind, name))))

    def checked(self, put: Put, values: Values) -> Definition:
        """The definition that somebody wants to put. `values` are the secrets that it may keep. Raises BadRequest (422)."""
        if not isinstance(put.body, dict):
            raise BadRequest("the body must be a JSON object", field="body", status=422)
        body: Body = {"name": put.name, **put.body}
        missing = [path for path in marks_of(body) if path not in values.by_path]
        faults = [Fault("name", "the name in the path, or none")] if body["name"] != put.name else []
        faults += [Fault(dotted(path), "a value: none is kept here") for path in missing]
        definition, wrong = check(put.kind, unmask(body, {**dict.fromkeys(missing, "missing"), **values.by_path}))
        faults += wrong
        if definition is not None:
            faults += review(put.kind, definition, self._find(put.assumed), self._origins, self._destinations)
        if definition is None or faults:
            raise _refusal(faults)
        return definition

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
                used = {(k, n) for body in row.bodies for _, k, n in references_of(other, body)}
                if row.newest is not None and (kind, name) in used:
                    raise BadRequest(f"{other} {row.newest.name!r} uses this {kind}: change or delete it first", status=409)

    def _put(self, put: Put) -> Body:
        known = self.known(put.kind, put.name)
        current = known.standing.current
        definition = self.checked(put, known.values)
        changed = _changed(known, definition)
        self._try(known, definition)
        published = current.version if current else None
        answer: Body = {"kind": put.kind, "name": put.name, "created": known.newest is None, "changed": list(changed)}
        if known.newest is not None and not changed:
            return {**answer, **_versions(put.kind, known.newest.version, published)}
        latest = known.newest.version if known.newest else self._store.latest_version(put.kind, put.name)
        stored = Stored(put.kind, put.name, latest + 1, _body(definition), iso(self._clock()), put.by)
        if put.kind not in DRAFTED or proves(known.definition(current), definition):
            if not put.dry:
                self._put_in_force(stored, definition, known)
            return {**answer, **_versions(put.kind, stored.version, stored.version)}
        if current and isinstance(definition, Integration) and _is_enabled(current) != definition.enabled:
            known = self._switch(known, current, stored, on=definition.enabled, dry=put.dry)
            published, stored = stored.version, replace(stored, version=stored.version + 1)
        if not put.dry:
            self._put_draft(stored, definition, known)
        return {**answer, **_versions(put.kind, stored.version, published)}

    def _try(self, known: Known, definition: Definition) -> None:
        """Tries credentials that are new. What could not be tried is not saved."""
        if not isinstance(definition, Integration | Destination):
            return
        before = known.definition(known.newest)
        if isinstance(before, Integration | Destination) and before.auth == definition.auth:
            return
        try:
            try_credentials(definition.auth, self._send, self._clock)
        except Transient as error:
            reason = f"the credentials could not be tried, so nothing was saved: {error.reason}; try again later"
            raise BadRequest(reason, field="auth", status=503) from error

    def _put_in_force(self, stored: Stored, definition: Definition, known: Known) -> None:
        if stored.kind in DRAFTED:
            stored = replace(stored, published_at=stored.updated_at, published_by=stored.updated_by)
        new = known.kept.with_current(Values(secrets_of(definition), stored.version), known.standing)
        self._write(stored, known, new, lambda: self._store.put(stored, known.standing))

    def _put_draft(self, stored: Stored, definition: Definition, known: Known) -> None:
        draft = known.standing.draft
        if draft is not None and draft.tested_at and proves(known.definition(draft), definition):
            stored = replace(stored, tested_at=draft.tested_at, tested_by=draft.tested_by)
        new = known.kept.with_draft(Values(secrets_of(definition), stored.version))
        self._write(stored, known, new, lambda: self._store.put_draft(stored, known.standing))

    def _switch(self, known: Known, current: Stored, stored: Stored, *, on: bool, dry: bool) -> Known:
        """Switches what is in force on or off, while the rest of an edit is a draft. Returns what is known from then on."""
        standing = known.standing
        now = Stored(
            stored.kind,
            stored.name,
            stored.version,
            {**(current.body or {}), "enabled": on},
            stored.updated_at,
            stored.updated_by,
            **current.acts,
        )
        values = known.kept.of_current(standing)
        after = Known(replace(standing, current=now), known.kept.with_current(values, standing).with_draft(known.kept.draft))
        if not dry:
            self._write(now, known, after.kept, lambda: self._store.put(now, Standing(current)))
        return after

    def _publish(self, known: Known, draft: Stored, by: str) -> Body:
        if not draft.tested_at:
            raise BadRequest(
                f"version {draft.version} of {draft.name} has not been tested, or its test message was not sent: test it first, "
                f"with `sendbridge test {draft.name}`, or a POST to …/{draft.name}/test",
                status=422,
            )
        self.checked(Put(draft.kind, draft.name, draft.body, by), known.values)  # type: ignore[arg-type]
        new = known.kept.published(known.standing)
        self._write(draft, known, new, lambda: self._store.publish(draft, known.standing, iso(self._clock()), by))
        logger.info("definition published", kind=draft.kind, definition=draft.name, version=draft.version)
        return {"kind": draft.kind, "name": draft.name, **_versions("integration", draft.version, draft.version)}

    def _find(self, assumed: Collection[tuple[str, str]]) -> Find:
        def find(kind: Kind, name: str) -> Body | None:
            if (kind, name) in assumed:
                return {}
            newest = self._store.standing(kind, name).newest
            return newest.body if newest else None

        return find

    def _write(self, stored: Stored, known: Known, new: Kept, write_row: Callable[[], None]) -> None:
        """Secrets first, then the row, then what is no longer needed."""
        if len(as_text(stored.body).encode()) > LARGEST_BODY:
            raise BadRequest(f"the definition has more than {LARGEST_BODY} bytes", field="body", status=413)
        name, both = secret_of(stored.kind, stored.name), known.kept.joined(new)
        if not both.same(known.kept):
            self._secrets.write(name, both.as_json())
        write_row()
        if not new.same(both):
            self._secrets.write(name, new.as_json())
        logger.info("definition saved", kind=stored.kind, definition=stored.name, version=stored.version)


def secret_of(kind: str, name: str) -> str:
    """The name of a definition's secret."""
    return f"definition/{kind}/{name}"


def _changed(known: Known, definition: Definition) -> list[str]:
    """The fields in which a definition differs from what there is; all that were given if there is nothing."""
    newest, values, wanted = known.newest, known.values, secrets_of(definition)
    if newest is None or newest.body is None:
        return sorted(definition.model_fields_set - {"name"})
    new = masked(definition.model_dump(mode="json"), wanted.keys())
    fields = differences(_in_full(type(definition), newest.body), new)
    cut_off = values.version > newest.version
    secret = [dotted(path) for path, value in wanted.items() if cut_off or values.by_path.get(path) != value]
    return list(dict.fromkeys([*fields, *secret]))


def _in_full(model: type[BaseModel], body: Body) -> JsonValue:
    """A stored body with its defaults; as it is if it is from an older release and no longer valid."""
    try:
        definition = model.model_validate(unmask(body, {}))
    except ValidationError:
        return body
    return masked(definition.model_dump(mode="json"), marks_of(body))


def _body(definition: Definition) -> Body:
    """As it is stored: what was given, without secrets."""
    body = masked(definition.model_dump(mode="json", exclude_unset=True), secrets_of(definition).keys())
    return body if isinstance(body, dict) else {}


def _is_enabled(row: Stored) -> bool:
    return (row.body or {}).get("enabled", True) is True


def _versions(kind: str, newest: int, published: int | None) -> Body:
    return {"version": newest, **({"published": published} if kind in DRAFTED else {})}


def _missing(kind: str, name: str) -> BadRequest:
    return BadRequest(f"there is no {kind} named {name!r}", status=404)


def _refusal(found: list[Fault]) -> BadRequest:
    # One fault a field: the first is the cause of the others.
    faults = list({fault.field: fault for fault in reversed(found)}.values())[::-1]
    first = f"{faults[0].field}: expected {faults[0].expected}"
    summary = first if len(faults) == 1 else f"{first}; and {len(faults) - 1} more"
    return BadRequest(summary, field=faults[0].field, status=422, faults=tuple(faults))
