"""What each route does."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from admin_api.changes import changes
from admin_api.desk import LARGEST_BODY, Desk, Put
from admin_api.drafts import DRAFTED
from admin_api.edit import Editor, in_full
from admin_api.parked import Parked
from admin_api.publishing import Publisher
from admin_api.reading import read_as
from admin_api.reports import Reporting
from admin_api.routes import Call, Route, find
from admin_api.settings import Settings
from admin_api.store import Standing, Store, Stored
from shared import aws
from shared.clock import Clock
from shared.definitions import KINDS, Kind
from shared.errors import BadRequest
from shared.exchange import Request, Response
from shared.ids import visit_id
from shared.ledger import Ledger
from shared.ledger_rows import as_json
from shared.links import read_links
from shared.problem import answer, parse_json, problem, raw_body
from shared.reports import Reports
from shared.secrets import Secrets
from shared.state import Leases
from shared.tokens import Send, Tokens

if TYPE_CHECKING:
    from admin_api.bench import Bench
    from admin_api.entities import Shelf
    from admin_api.suppressions import Suppressions
    from connectors.esps.base import Preset
    from shared.profiles import Profiles

_DAY = 86400
_LONGEST_ID = 500
"""Characters: a key in DynamoDB has at most 2048 bytes."""


class Redrive(BaseModel):
    """Body of `POST /parked/redrive`: all items of a queue, or those with these ids."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue: Annotated[str, StringConstraints(max_length=80)]
    ids: frozenset[str] | None = None


class RollBack(BaseModel):
    """Body of `POST …/rollback`: the version whose content is to be the newest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: Annotated[int, Field(ge=1, lt=10**10)]


class Admin:
    """The admin API of one deployment. `http_send` calls vendors; without it, they are really called."""

    def __init__(self, settings: Settings, clock: Clock, http_send: Send | None = None) -> None:
        self._settings, self._clock, self._http_send = settings, clock, http_send
        self._dynamodb, self._sqs = aws.client("dynamodb"), aws.client("sqs")
        self._secrets = Secrets(aws.client("secretsmanager"), settings.secret_prefix)
        self._store = Store(self._dynamodb, settings.definitions_table)
        self._leases = Leases(self._dynamodb, settings.state_table, clock)
        self._ledger = Ledger(self._dynamodb, settings.messages_table, clock, settings.retention_days * _DAY)
        self._parked = Parked(self._sqs, settings.queues())
        self._desk = Desk(
            self._store,
            self._secrets,
            self._leases,
            clock,
            lease_seconds=settings.lease_seconds,
            origins=settings.allowed_origins,
            destinations=[name.partition("=")[0] for name in settings.crm_queue_urls],
        )
        self._editor, self._publisher = Editor(self._desk, self._send), Publisher(self._desk)
        one = "/definitions/{kind}/{name}"
        visit = frozenset({"visit", "tracker", "anonymous_id", "user_id"})
        self.routes = [
            Route("GET", "/definitions", self._list, frozenset({"kind"})),
            Route("GET", one, self._get, frozenset({"version"})),
            Route("PUT", one, self._put, frozenset({"dry_run", "assuming"})),
            Route("DELETE", one, self._delete),
            Route("GET", f"{one}/versions", self._versions),
            Route("GET", f"{one}/diff", self._diff, frozenset({"from", "to"})),
            Route("POST", f"{one}/test", self._test),
            Route("POST", f"{one}/proof", self._proof),
            Route("POST", f"{one}/publish", self._publish),
            Route("POST", f"{one}/unpublish", lambda call: self._publisher.unpublish(*_named(call))),
            Route("POST", f"{one}/pause", lambda call: self._publisher.switch(*_named(call), on=False)),
            Route("POST", f"{one}/resume", lambda call: self._publisher.switch(*_named(call), on=True)),
            Route("POST", f"{one}/rollback", self._roll_back),
            Route("GET", "/presets", self._presets),
            Route("GET", "/presets/{name}", self._preset),
            Route("GET", "/traces", self._traces, visit),
            Route("GET", "/traces/{message_id}", self._trace),
            Route("GET", "/parked", self._list_parked, frozenset({"queue"})),
            Route("POST", "/parked/redrive", self._redrive),
            Route("POST", "/suppressions/show", lambda call: self._suppressions().show(_body(call))),
            Route("POST", "/suppressions/add", lambda call: self._suppressions().add(_body(call), call.by)),
            Route("POST", "/suppressions/remove", lambda call: self._suppressions().remove(_body(call), call.by)),
            Route("POST", "/entities/{name}", lambda call: self._shelf().put_all(call)),
            Route("GET", "/entities/{name}/{key+}", lambda call: self._shelf().get(call)),
            Route("PUT", "/entities/{name}/{key+}", lambda call: self._shelf().put(call)),
            Route("DELETE", "/entities/{name}/{key+}", lambda call: self._shelf().delete(call)),
            Route("GET", "/recorded", self._recorded, frozenset({"days", "after"})),
            Route("GET", "/reports", lambda call: self._reporting().of_all(call), frozenset({"day"})),
            Route("GET", "/reports/{name}", lambda call: self._reporting().of_one(call), frozenset({"days"})),
            Route("GET", "/doctor", self._doctor),
        ]

    def answer(self, event: dict[str, object]) -> dict[str, object]:
        """The answer to one request (API Gateway payload 2.0); a problem document for a caller's mistake."""
        try:
            route, call = find(self.routes, event)
            return answer(200, route.act(call))
        except BadRequest as error:
            return problem(error)

    def _send(self, request: Request) -> Response:
        if self._http_send is None:
            # Imported here, as it brings the HTTP client, which few requests need.
            from shared.http import Http  # noqa: PLC0415

            self._http_send = Http(self._settings.allowed_origins).send
        return self._http_send(request)

    def _list(self, call: Call) -> JsonValue:
        kinds = [_kind(call.query["kind"])] if "kind" in call.query else [*KINDS]
        return {"definitions": [_summary(standing) for kind in kinds for standing in self._store.all(kind)]}

    def _get(self, call: Call) -> JsonValue:
        kind, name, version = _kind(call.path["kind"]), call.path["name"], call.number("version")
        if version is not None:
            found = self._store.version(kind, name, version)
            if found is None:
                raise _missing(kind, name, version)
            return found.whole()
        standing = self._store.standing(kind, name)
        if standing.newest is None:
            raise _missing(kind, name)
        return {**_summary(standing), "definition": standing.newest.body}

    def _versions(self, call: Call) -> JsonValue:
        kind, name = _kind(call.path["kind"]), call.path["name"]
        versions = [row.history() for row in self._store.versions(kind, name)]
        if not versions:
            raise _missing(kind, name)
        current = self._store.current(kind, name)
        return {"published": current.version if current else None, "versions": [*versions]}

    def _diff(self, call: Call) -> JsonValue:
        """Between two versions: if not said otherwise, what is in force, or came before, and the newest one."""
        kind, name = _kind(call.path["kind"]), call.path["name"]
        standing = self._store.standing(kind, name)
        newest, current = standing.newest, standing.current
        new = self._version(kind, name, call.number("to")) if "to" in call.query else newest
        if new is None:
            raise _missing(kind, name)
        usual = current.version if current and current.version != new.version else new.version - 1
        number = call.number("from") or usual
        old = self._version(kind, name, number) if number else None
        before, after = (in_full(KINDS[kind], row.body) if row and row.body else {} for row in (old, new))
        found: list[JsonValue] = [{**change._asdict()} for change in changes(before, after)]
        return {"kind": kind, "name": name, "from": number, "to": new.version, "changes": found}

    def _version(self, kind: Kind, name: str, number: int | None) -> Stored:
        found = self._store.version(kind, name, number or 0)
        if found is None:
            raise _missing(kind, name, number)
        return found

    def _put(self, call: Call) -> JsonValue:
        assuming = call.query.get("assuming", "")
        assumed = frozenset((kind, name) for kind, _, name in (one.partition("/") for one in assuming.split(",")))
        kind, name, by = _named(call)
        return self._editor.put(Put(kind, name, _body(call), by, call.flag("dry_run"), assumed if assuming else ()))

    def _roll_back(self, call: Call) -> JsonValue:
        return self._editor.roll_back(*_named(call)[:2], read_as(RollBack, _body(call)).to, call.by)

    def _test(self, call: Call) -> JsonValue:
        from admin_api.trial import Trials, read_trial  # noqa: PLC0415  # as for `_bench`

        if _kind(call.path["kind"]) != "integration":
            raise BadRequest("an integration is tested; a trigger is proven: POST …/proof", field="kind", status=404)
        trial, bench = read_trial(_body(call)), self._bench()
        trials = Trials(bench, self._desk, self._store, self._profiles(), self._clock, lambda: token_hex(16))
        return trials.run(call.path["name"], trial, call.by)

    def _proof(self, call: Call) -> JsonValue:
        from admin_api.proof import Prover, read_proof  # noqa: PLC0415  # as for `_bench`

        if _kind(call.path["kind"]) != "trigger":
            raise BadRequest("a proof is of a trigger, with its template", field="kind", status=404)
        proof, bench = read_proof(_body(call)), self._bench()
        prover = Prover(bench, self._desk, self._store, self._profiles(), self._clock, lambda: token_hex(16))
        return prover.run(call.path["name"], proof, call.by)

    def _bench(self) -> Bench:
        # Imported here, as it brings templates and vendors, which half of all cold starts would be spent on.
        from admin_api.bench import Bench  # noqa: PLC0415

        settings, secrets = self._settings, self._secrets
        return Bench(
            tokens=Tokens(secrets, self._leases, self._send, self._clock),
            links=lambda: read_links(secrets, settings.base_url),
            send=self._send,
            clock=self._clock,
            seconds=settings.trial_seconds,
        )

    def _profiles(self) -> Profiles:
        # Imported here, as few requests are about people.
        from shared.profiles import Profiles  # noqa: PLC0415

        return Profiles(self._dynamodb, self._settings.profiles_table)

    def _shelf(self) -> Shelf:
        from admin_api.entities import Shelf  # noqa: PLC0415  # as for `_profiles`
        from shared.entities import Entities  # noqa: PLC0415

        return Shelf(Entities(self._dynamodb, self._settings.profiles_table), self._clock)

    def _presets(self, call: Call) -> JsonValue:
        from connectors.presets import presets  # noqa: PLC0415  # brings every vendor

        return {"presets": [_about(name, preset) for name, preset in presets().items()]}

    def _preset(self, call: Call) -> JsonValue:
        from connectors.presets import presets  # noqa: PLC0415

        name = call.path["name"]
        found = presets().get(name)
        if found is None:
            raise BadRequest("there is no preset of this name: GET …/presets lists them", status=404)
        return {**_about(name, found), "notes": [*found.notes], "definition": {**found.definition}}

    def _suppressions(self) -> Suppressions:
        from admin_api.suppressions import Suppressions  # noqa: PLC0415  # as for `_profiles`

        return Suppressions(self._profiles(), self._clock)

    def _publish(self, call: Call) -> JsonValue:
        kind, name, by = _named(call)
        if kind not in DRAFTED:
            raise BadRequest(f"a {kind} is in force when it is put", field="kind", status=404)
        return self._publisher.publish(kind, name, by)

    def _delete(self, call: Call) -> JsonValue:
        return self._editor.delete(_kind(call.path["kind"]), call.path["name"], call.by)

    def _trace(self, call: Call) -> JsonValue:
        message = self._ledger.read(call.path["message_id"][:_LONGEST_ID])
        if message is None:
            raise BadRequest("there is no message with this id: it may be too old, or not decided yet", status=404)
        return as_json(message)

    def _traces(self, call: Call) -> JsonValue:
        visit = _visit(call)
        ids = self._ledger.of_visit(visit)
        found = self._ledger.read_all(ids)
        return {"visit_id": visit, "traces": [as_json(found[one]) for one in ids if one in found]}

    def _list_parked(self, call: Call) -> JsonValue:
        if "queue" in call.query:
            return {"items": self._parked.items(call.query["queue"])}
        return {"queues": [{"queue": name, "parked": number} for name, number in self._parked.counts().items()]}

    def _redrive(self, call: Call) -> JsonValue:
        wanted = read_as(Redrive, _body(call))
        return self._parked.redrive(wanted.queue, wanted.ids)

    def _recorded(self, call: Call) -> JsonValue:
        # Imported here, as few requests are for it: with it comes a client of S3.
        from admin_api.recorded import Recorded  # noqa: PLC0415
        from shared.recordings import Recordings  # noqa: PLC0415

        recordings = Recordings(aws.client("s3"), self._settings.events_bucket)
        return Recorded(recordings, self._settings.event_days, self._clock).page(call.number("days"), call.query.get("after", ""))

    def _reporting(self) -> Reporting:
        settings = self._settings
        reports = Reports(self._dynamodb, settings.messages_table, settings.retention_days * _DAY, 0)
        return Reporting(reports, self._store, self._clock)

    def _doctor(self, call: Call) -> JsonValue:
        # Imported here, as it brings the HTTP client and the vendors, which nothing else in this function needs.
        from admin_api.doctor import Doctor  # noqa: PLC0415

        return {"checks": Doctor(self._settings, self._clock, self._store, self._secrets, self._parked).examine()}


def _body(call: Call) -> JsonValue:
    return parse_json(raw_body(call.event, LARGEST_BODY))


def _kind(text: str) -> Kind:
    if text not in KINDS:
        raise BadRequest(f"there is no such kind; there are: {', '.join(KINDS)}", field="kind", status=404)
    return text


def _named(call: Call) -> tuple[Kind, str, str]:
    """Kind and name of the path, and who asks."""
    return _kind(call.path["kind"]), call.path["name"], call.by


def _summary(standing: Standing) -> dict[str, JsonValue]:
    """The newest version, and which one is in force where that may be another."""
    newest, current = standing.newest, standing.current
    if newest is None:
        return {}
    published: JsonValue = current.version if current else None
    return {**newest.summary(), **({"published": published} if newest.kind in DRAFTED else {})}


def _about(name: str, preset: Preset) -> dict[str, JsonValue]:
    return {"name": name, "title": preset.title, "channel": preset.channel, "source": preset.source}


def _missing(kind: str, name: str, version: int | None = None) -> BadRequest:
    what = f"{kind} named {name!r}" if version is None else f"version {version} of {kind} {name!r}"
    return BadRequest(f"there is no {what}", status=404)


def _visit(call: Call) -> str:
    """The visit that the parameters name. Raises BadRequest."""
    given = {name: text for name, text in call.query.items() if text}
    if given.keys() == {"visit"}:
        visit = given["visit"]
    elif given.keys() in ({"tracker", "anonymous_id"}, {"tracker", "user_id"}):
        visit = visit_id(given["tracker"], given.get("anonymous_id"), given.get("user_id"))
    else:
        raise BadRequest("name the visit by visit, or by tracker and one of anonymous_id and user_id", field="visit")
    if len(visit.encode()) > 1024:  # DynamoDB's limit of a sort key; a partition key may have twice that
        raise BadRequest("this is too long to be a visit", field="visit")
    return visit
