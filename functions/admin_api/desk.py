"""Where definitions are changed: one change at a time, checked as a whole, secrets apart.

A definition in force always has its secrets: they are written before its row and removed after it. The secret remembers for
which version it was written, so that a change that was cut off between the two is seen and finished when it is put again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from admin_api import kept
from admin_api.kept import Kept, Values
from admin_api.review import Around, review
from admin_api.store import Body, Standing, Store, Stored, as_text
from shared.catalogue import unmask
from shared.clock import Clock
from shared.definitions import Kind
from shared.errors import BadRequest
from shared.fields import Definition
from shared.observe import logger
from shared.secrets import Secrets
from shared.state import Leases
from shared.validation import Fault, check, dotted, marks_of

LARGEST_BODY = 390_000
"""Bytes: a DynamoDB item holds 400 KB, its other columns included."""

_LEASE = "definitions"


@dataclass(frozen=True)
class Put:
    """One definition to be put by somebody. Dry: says what would change.

    `assumed` are put together with it, as (kind, name): they are taken to exist and to go with it.
    """

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
        """One of the two there may be, or of the versions before, with its secrets as far as they are kept.

        None if there is none, or it is from an older release and not valid.
        """
        if row is None or row.body is None:
            return None
        return check(row.kind, unmask(row.body, self._values_of(row).by_path))[0]  # type: ignore[arg-type]

    def _values_of(self, row: Stored) -> Values:
        if row is self.standing.draft or row is self.standing.current:
            return self.kept.of(row, self.standing)
        return Values(self.kept.old.get(str(row.version), {}), row.version)


class Desk:
    """What all changes of definitions are made with."""

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
        self.store, self.clock = store, clock
        self._secrets, self._leases, self._lease_seconds = secrets, leases, lease_seconds
        self._origins, self._destinations = origins, set(destinations)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One change at a time in the whole deployment: a reference that was checked stays good, a secret belongs to its row.

        Raises BadRequest (409) if somebody else is changing definitions.
        """
        if not self._leases.take(_LEASE, self._lease_seconds):
            said = "another change of definitions is being made: try again in a moment"
            raise BadRequest(said, status=409, headers=(("retry-after", "1"),))
        try:
            yield
        finally:
            self._leases.give_back(_LEASE)

    def known(self, kind: Kind, name: str) -> Known:
        """What there is of a definition."""
        return Known(self.store.standing(kind, name), kept.read(self._secrets.read(secret_of(kind, name))))

    def checked(self, put: Put, values: Values, around: Around | None = None) -> Definition:
        """The definition that somebody wants to put. `values` are the secrets that it may keep.

        It is judged among the newest versions of the others, if `around` does not say otherwise. Raises BadRequest (422).
        """
        if not isinstance(put.body, dict):
            raise BadRequest("the body must be a JSON object", field="body", status=422)
        body: Body = {"name": put.name, **put.body}
        missing = [path for path in marks_of(body) if path not in values.by_path]
        faults = [Fault("name", "the name in the path, or none")] if body["name"] != put.name else []
        faults += [Fault(dotted(path), "a value: none is kept here") for path in missing]
        definition, wrong = check(put.kind, unmask(body, {**dict.fromkeys(missing, "missing"), **values.by_path}))
        faults += wrong
        if definition is not None:
            faults += review(put.kind, definition, around or self._newest(put.assumed), self._origins, self._destinations)
        if definition is None or faults:
            raise refusal(faults)
        return definition

    def switch(self, known: Known, current: Stored, now: Stored, *, on: bool, dry: bool = False) -> Known:
        """Switches what is in force on or off, as the version that `now` is. Returns what is known from then on."""
        standing = known.standing
        now = replace(
            current,
            version=now.version,
            body={**(current.body or {}), "enabled": on},
            updated_at=now.updated_at,
            updated_by=now.updated_by,
            changed=("enabled",),
            restored=0,
            deeds=(),
        )
        values = known.kept.of_current(standing)
        after = Known(replace(standing, current=now), known.kept.with_current(values, standing).with_draft(known.kept.draft))
        if not dry:
            self.write(now, known, after.kept, lambda: self.store.put(now, Standing(current)))
        return after

    def write(self, stored: Stored, known: Known, new: Kept, write_rows: Callable[[], None]) -> None:
        """Secrets first, then the row, then what is no longer needed. Raises BadRequest (409, 413)."""
        if len(as_text(stored.body).encode()) > LARGEST_BODY:
            raise BadRequest(f"the definition has more than {LARGEST_BODY} bytes", field="body", status=413)
        name, both = secret_of(stored.kind, stored.name), known.kept.joined(new)
        if not both.same(known.kept):
            self._secrets.write(name, both.as_json())
        write_rows()
        if not new.same(both):
            self._secrets.write(name, new.as_json())
        logger.info("definition saved", kind=stored.kind, definition=stored.name, version=stored.version)

    def forget(self, kind: Kind, name: str) -> None:
        """Drops the secrets and the token of a definition."""
        self._secrets.delete(secret_of(kind, name))
        self._secrets.delete(f"token/{kind}/{name}")

    def _newest(self, assumed: Collection[tuple[str, str]]) -> Around:
        def find(kind: Kind, name: str) -> Body | None:
            if (kind, name) in assumed:
                return {}
            newest = self.store.standing(kind, name).newest
            return newest.body if newest else None

        def triggers() -> Iterator[Body]:
            rows = (standing.newest for standing in self.store.all("trigger"))
            return (row.body for row in rows if row and row.body and ("trigger", row.name) not in assumed)

        return Around(find, triggers)


def secret_of(kind: str, name: str) -> str:
    """The name of a definition's secret."""
    return f"definition/{kind}/{name}"


def absent(kind: str, name: str) -> BadRequest:
    """There is no such definition."""
    return BadRequest(f"there is no {kind} named {name!r}", status=404)


def refusal(found: list[Fault]) -> BadRequest:
    """All that is wrong."""
    # One fault a field: the first is the cause of the others.
    faults = list({fault.field: fault for fault in reversed(found)}.values())[::-1]
    first = f"{faults[0].field}: expected {faults[0].expected}"
    summary = first if len(faults) == 1 else f"{first}; and {len(faults) - 1} more"
    return BadRequest(summary, field=faults[0].field, status=422, faults=tuple(faults))
