"""What is in force: published, paused and resumed, unpublished.

A trigger goes in force together with its template's draft, if both were seen in a proof: in one transaction, as the one may use
what only the other gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from admin_api.desk import Desk, Known, Put, absent
from admin_api.review import Around
from admin_api.store import Body, Standing, Stored
from shared.clock import iso
from shared.definitions import Kind
from shared.errors import BadRequest
from shared.observe import logger

_SWITCHED: frozenset[Kind] = frozenset({"integration", "trigger"})
"""Kinds that can be paused."""


class Publisher:
    """Decides what is in force."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._store = desk, desk.store

    def publish(self, kind: Kind, name: str, by: str) -> Body:
        """Puts the draft in force, a trigger with the draft of its template if that was proven; nothing if there is no draft.

        Raises BadRequest: 404 if there is no such definition, 422 if it was not tested, is not right any more, or needs what is
        not published; 409 if somebody else is changing definitions.
        """
        with self._desk.alone():
            known = self._desk.known(kind, name)
            newest = known.newest
            if newest is None:
                raise absent(kind, name)
            together = self._template_of(newest) if kind == "trigger" else None
            drafts = [standing for standing in (together, known.standing) if standing and standing.draft]
            if drafts:
                self._check(known, together, by)
                new = known.kept.published(known.standing) if known.standing.draft else known.kept
                write = lambda: self._store.publish(drafts, iso(self._desk.clock()), by)  # noqa: E731
                self._desk.write(newest, known, new, write)
        published = [draft for standing in drafts if (draft := standing.draft)]
        for row in published:
            logger.info("definition published", kind=row.kind, definition=row.name, version=row.version)
        return _answer(newest, newest.version, also=[row for row in published if row is not newest])

    def unpublish(self, kind: Kind, name: str, by: str) -> Body:
        """Takes a trigger or a template out of force; it is a draft again, as proven as it was.

        Raises BadRequest: 404 if there is none, 422 if it is of another kind, 409 if nothing of it is in force, if a published
        trigger uses it, or as `publish` does.
        """
        if kind not in ("trigger", "template"):
            raise BadRequest(f"{_a(kind)} is not unpublished: {_OTHERWISE.get(kind, 'delete it')}", field="kind", status=422)
        with self._desk.alone():
            standing = self._in_force(kind, name)
            users = self._published_users(kind, name) if kind == "template" else []
            if users:
                first = f"`sendbridge unpublish trigger/{users[0]}`"
                raise BadRequest(f"published triggers use it: {', '.join(users)}; first {first}", status=409)
            self._store.unpublish(standing, iso(self._desk.clock()), by)
        newest = standing.draft or standing.current
        logger.info("definition unpublished", kind=kind, definition=name)
        return _answer(newest, None) if newest else {}

    def switch(self, kind: Kind, name: str, by: str, *, on: bool) -> Body:
        """Pauses or resumes what is in force, and its draft with it: a new version of both. Nothing else of it is looked at.

        Raises BadRequest: 404 if there is none, 422 if it is of a kind that cannot be paused, 409 if nothing of it is in force,
        or as `publish` does.
        """
        if kind not in _SWITCHED:
            raise BadRequest(f"{_a(kind)} cannot be paused: integrations and triggers can", field="kind", status=422)
        with self._desk.alone():
            self._in_force(kind, name)
            known = self._desk.known(kind, name)
            newest = self._switched(known, by, on=on)
        logger.info("definition switched", kind=kind, definition=name, on=on)
        current = self._store.current(kind, name)
        return _answer(newest, current.version if current else None)

    def _switched(self, known: Known, by: str, *, on: bool) -> Stored:
        """The newest version then."""
        current, draft = known.standing.current, known.standing.draft
        latest = known.newest
        if current is None or latest is None:
            raise AssertionError("nothing is in force")
        now = replace(latest, version=known.standing.latest + 1, updated_at=iso(self._desk.clock()), updated_by=by)
        if _is_on(current) != on:
            known = self._desk.switch(known, current, now, on=on)
            latest, now = known.standing.current or now, replace(now, version=now.version + 1)
        if draft is None or (_is_on(draft) == on and latest.version <= draft.version):
            return draft or latest
        body = {**(draft.body or {}), "enabled": on}
        moved = replace(draft, version=now.version, body=body, changed=("enabled",), restored=0, deeds=(), **_put_by(now))
        new = known.kept.with_draft(replace(known.kept.draft, version=moved.version))
        self._desk.write(moved, known, new, lambda: self._store.put_draft(moved, known.standing))
        return moved

    def _in_force(self, kind: Kind, name: str) -> Standing:
        standing = self._store.standing(kind, name)
        if standing.newest is None:
            raise absent(kind, name)
        if standing.current is None:
            raise BadRequest(f"{kind} {name!r} is not published", status=409)
        return standing

    def _published_users(self, kind: Kind, name: str) -> list[str]:
        rows = (standing.current for standing in self._store.all("trigger"))
        return [row.name for row in rows if row and row.body and row.body.get(kind) == name]

    def _template_of(self, trigger: Stored) -> Standing:
        """Its template, with the draft only if that was proven."""
        standing = self._store.standing("template", str((trigger.body or {}).get("template")))
        return standing if standing.draft and standing.draft.tested_at else Standing(standing.current)

    def _check(self, known: Known, template: Standing | None, by: str) -> None:
        """Raises BadRequest (422) if what is to be in force was not tested, lacks what it needs, or is not right any more."""
        row = known.newest
        if row is None:
            return
        if known.standing.draft and not row.tested_at:
            raise _untested(row)
        if template is not None:
            self._refuse_if_lacking(row, template)
        self._right(row, known, template, by)
        if template is not None and template.draft is not None:
            draft = template.draft
            self._right(draft, Known(template, known.kept), template, by, instead=row)

    def _right(self, row: Stored, known: Known, template: Standing | None, by: str, instead: Stored | None = None) -> None:
        put = Put(row.kind, row.name, row.body, by)  # type: ignore[arg-type]  # one of the kinds there are
        self._desk.checked(put, known.values, self._around(template, instead))

    def _refuse_if_lacking(self, trigger: Stored, template: Standing) -> None:
        body = trigger.body or {}
        name = str(body.get("integration"))
        if self._store.current("integration", name) is None:
            how = f"`sendbridge test {name} --to ADDRESS --publish`"
            raise BadRequest(f"its integration {name} is not published: {how}", field="integration", status=422)
        if template.newest is None:
            how = f"`sendbridge proof {trigger.name} --to ADDRESS`"
            said = f"its template {body.get('template')} is not published, and its draft has not been proven: {how}"
            raise BadRequest(said, field="template", status=422)

    def _around(self, template: Standing | None, instead: Stored | None) -> Around:
        """The others as they are in force, or will be: `template` of the trigger that is published, `instead` that trigger."""
        will_be = template.newest if template else None

        def find(kind: Kind, name: str) -> Body | None:
            if will_be is not None and (kind, name) == ("template", will_be.name):
                return will_be.body
            standing = self._store.standing(kind, name)
            row = standing.current or standing.draft
            return row.body if row else None

        def triggers() -> Iterator[Body]:
            rows = [standing.current for standing in self._store.all("trigger")]
            yield from (row.body for row in rows if row and row.body and not (instead and row.name == instead.name))
            if instead is not None and instead.body:
                yield instead.body

        return Around(find, triggers)


_OTHERWISE: dict[Kind, str] = {"integration": "pause it, or delete it"}


def _a(kind: Kind) -> str:
    return f"an {kind}" if kind == "integration" else f"a {kind}"


def _is_on(row: Stored) -> bool:
    return (row.body or {}).get("enabled", True) is True


def _put_by(row: Stored) -> dict[str, str]:
    return {"updated_at": row.updated_at, "updated_by": row.updated_by}


def _answer(newest: Stored, published: int | None, also: list[Stored] | None = None) -> Body:
    with_it: Body = {"with": [{"kind": row.kind, "name": row.name, "version": row.version} for row in also]} if also else {}
    return {"kind": newest.kind, "name": newest.name, "version": newest.version, "published": published, **with_it}


def _untested(row: Stored) -> BadRequest:
    if row.kind == "integration":
        said = f"version {row.version} of {row.name} has not been tested, or its test message was not sent: test it first"
        return BadRequest(f"{said}, with `sendbridge test {row.name}`, or a POST to …/{row.name}/test", status=422)
    said = f"version {row.version} of {row.name} has no proof, or it was not sent: send one first"
    if row.kind == "trigger":
        return BadRequest(f"{said}, with `sendbridge proof {row.name} --to ADDRESS`, or a POST to …/{row.name}/proof", status=422)
    return BadRequest(f"{said}, of a trigger that uses it: `sendbridge proof TRIGGER --to ADDRESS`", status=422)
