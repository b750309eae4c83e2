"""Examines a deployment from the inside: what it stands on, its definitions and secrets, and the vendors it calls.

Nothing is changed, and no message is sent.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import JsonValue

from admin_api import kept
from admin_api.bounded import until
from admin_api.desk import Known, secret_of
from admin_api.listening import journal_answers, last_heard
from admin_api.parked import Parked
from admin_api.review import Around, review
from admin_api.settings import Settings
from admin_api.store import Body, Standing, Store
from connectors.registry import CRMS
from shared import aws
from shared.addresses import without_placeholders
from shared.auth import OAuth2
from shared.catalogue import unmask
from shared.clock import Clock
from shared.definitions import KINDS, Destination, Integration, Kind, kind_of
from shared.errors import Misconfigured, SendbridgeError, Transient
from shared.exchange import Request, run
from shared.fields import Definition
from shared.heard import Heard
from shared.http import Http
from shared.rows import read_rows
from shared.secrets import Secrets
from shared.state import Leases
from shared.tokens import Send, Tokens
from shared.trackers import Tracker
from shared.validation import Fault, check, dotted, marks_of, references_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SECONDS = 8.0
"""In which all is done: less than the shortest timeout that this function is deployed with."""

_ONE_REQUEST = 5.0
_AT_ONCE = 16

There = Mapping[tuple[Kind, str], Standing]
"""All definitions, by kind and name."""

Work = Callable[[], str]
"""Examines one thing: returns a detail, raises what is wrong."""


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing to be examined."""

    check: str
    subject: str
    work: Work

    def line(self) -> dict[str, JsonValue]:
        """The finding."""
        try:
            ok, detail = True, self.work()
        except SendbridgeError as error:
            ok, detail = False, error.reason
        except ClientError as error:
            ok, detail = False, f"AWS refuses {error.operation_name}: {error.response['Error']['Code']}"
        except BotoCoreError as error:
            ok, detail = False, f"AWS cannot be reached: {type(error).__name__}"
        return {"check": self.check, "subject": self.subject, "ok": ok, "detail": detail}


class Doctor:
    """Examines one deployment."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        store: Store,
        secrets: Secrets,
        parked: Parked,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._clock, self._store, self._secrets, self._parked = settings, clock, store, secrets, parked
        self._monotonic = monotonic
        self._dynamodb: DynamoDBClient = aws.client("dynamodb")
        self._s3 = aws.client("s3")

    def examine(self) -> list[JsonValue]:
        """All findings: lines of `check`, `subject`, `ok` and `detail`."""
        self._deadline = self._monotonic() + SECONDS
        with ExitStack() as self._open, ThreadPoolExecutor(_AT_ONCE) as pool:
            groups = [*([check] for check in self._foundation()), *self._definitions()]
            return [line for lines in pool.map(_lines, groups) for line in lines]

    def _foundation(self) -> Iterator[Check]:
        settings = self._settings
        for name in ("definitions", "profiles", "messages", "visits", "state"):
            yield Check("table", name, partial(self._table, getattr(settings, f"{name}_table")))
        yield Check("bucket", "mirror", partial(self._bucket, settings.mirror_bucket))
        if settings.events_bucket:
            yield Check("bucket", "events", partial(self._bucket, settings.events_bucket))
        yield Check("secret", "links", self._links)
        for name in settings.queues():
            yield Check("queue", name, partial(self._queue, name))
            yield Check("parked", name, partial(self._nothing_parked, name))

    def _table(self, table: str) -> str:
        status = self._dynamodb.describe_table(TableName=table)["Table"]["TableStatus"]
        if status != "ACTIVE":
            raise Misconfigured(f"the table is {status}")
        return ""

    def _bucket(self, name: str) -> str:
        self._s3.head_bucket(Bucket=name)
        return ""

    def _links(self) -> str:
        if not (self._secrets.read("links") or {}).get("key"):
            raise Misconfigured("the key that signs links is missing: deploy again")
        return ""

    def _queue(self, name: str) -> str:
        return f"{self._parked.waiting(name)} waiting"

    def _nothing_parked(self, queue: str) -> str:
        if number := self._parked.count(queue):
            raise Misconfigured(f"{number} parked: see why with `sendbridge parked --queue {queue}`")
        return ""

    def _definitions(self) -> Iterator[list[Check]]:
        """What belongs together is examined in turn: a token is fetched by one at a time."""
        there = {(kind, row.name): standing for kind in KINDS for standing in self._store.all(kind) if (row := standing.newest)}
        undefined = [name for name in self._destinations() if ("destination", name) not in there]
        yield [Check("destination", name, _undefined) for name in undefined]
        for standing in there.values():
            yield [*self._definition(standing, there)]

    def _destinations(self) -> set[str]:
        return {pair.partition("=")[0] for pair in self._settings.crm_queue_urls}

    def _definition(self, standing: Standing, there: There) -> Iterator[Check]:
        """What is in force is examined; a draft only if nothing is."""
        row = standing.current or standing.draft
        if row is None:
            return
        subject = f"{row.kind}/{row.name}"
        try:
            known = Known(standing, kept.read(self._secrets.read(secret_of(row.kind, row.name))))
        except ClientError as error:
            yield Check("secret", subject, partial(_fail, error))
            return
        marks, values = marks_of(row.body), known.kept.of(row, standing).by_path
        missing = [path for path in marks if not values.get(path)]
        if marks:
            yield Check("secret", subject, partial(_complete, [dotted(path) for path in missing]))
        definition, faults = check(row.kind, unmask(row.body, values))  # type: ignore[arg-type]  # one of the kinds there are
        faults += self._reviewed(definition, there, in_force=standing.current is not None)
        yield Check("definition", subject, partial(_without_faults, faults, standing))
        if isinstance(definition, Integration | Destination) and not missing:
            yield from self._vendor(subject, definition)
        if isinstance(definition, Tracker) and standing.current is not None and not missing:
            yield from self._tracker(subject, definition)

    def _reviewed(self, definition: Definition | None, there: There, *, in_force: bool) -> list[Fault]:
        def find(kind: Kind, name: str) -> Body | None:
            standing = there.get((kind, name))
            row = (standing.current or standing.draft) if standing else None
            return row.body if row else None

        def triggers() -> Iterator[Body]:
            rows = (standing.current for (kind, _), standing in there.items() if kind == "trigger")
            return (row.body for row in rows if row and row.body)

        if definition is None:
            return []
        kind = kind_of(type(definition))
        faults = review(kind, definition, Around(find, triggers), self._settings.allowed_origins, self._destinations())
        return [*faults, *(_unpublished(kind, definition, there) if in_force else ())]

    def _vendor(self, subject: str, definition: Integration | Destination) -> Iterator[Check]:
        send = self._sender()
        tokens = self._tokens(send)
        yield Check("circuit", subject, partial(self._circuit, subject.replace("/", "#")))
        if isinstance(definition.auth, OAuth2):
            yield Check("token", subject, partial(self._token, tokens, subject, definition.auth))
        if isinstance(definition, Integration):
            yield Check("vendor", subject, partial(_esp, definition, send))
        else:
            yield Check("vendor", subject, partial(self._crm, definition, tokens, send))

    def _tracker(self, subject: str, tracker: Tracker) -> Iterator[Check]:
        if tracker.silence_seconds is not None:
            heard = Heard(self._dynamodb, self._settings.state_table, self._clock)
            yield Check("heard", subject, partial(last_heard, tracker, tracker.silence_seconds, heard, self._clock))
        if tracker.journal is not None:
            send, journal = self._sender(), tracker.journal
            tokens = self._tokens(send)
            yield Check("token", subject, partial(self._token, tokens, subject, journal.auth))
            authorised = tokens.authorised("tracker", tracker.name, journal.auth, send)
            yield Check("vendor", subject, partial(journal_answers, journal, authorised, self._clock))

    def _circuit(self, name: str) -> str:
        key = f"circuit#{name}"
        row = read_rows(self._dynamodb, self._settings.state_table, [key]).get(key)
        if row is not None and float(row["until"]["N"]) > self._clock().timestamp():
            raise Misconfigured(f"open after {row['opened']['N']} failures in a row: nothing is sent to it now")
        return ""

    def _token(self, tokens: Tokens, subject: str, auth: OAuth2) -> str:
        return f"good for {tokens.get(subject, auth).seconds_left(self._clock()):.0f} s"

    def _crm(self, destination: Destination, tokens: Tokens, send: Send) -> str:
        connector = CRMS.load(destination.connector)(destination, self._clock)
        authorised = tokens.authorised("destination", destination.name, destination.auth, send)
        if problems := run(connector.test_connection(), authorised):
            raise Misconfigured("; ".join(problems))
        return ""

    def _tokens(self, send: Send) -> Tokens:
        return Tokens(self._secrets, Leases(self._dynamodb, self._settings.state_table, self._clock), send, self._clock)

    def _sender(self) -> Send:
        """A sender of its own for each definition, as one is for one thread, that never outlasts the examination."""
        http = self._open.enter_context(closing(Http(self._settings.allowed_origins)))
        return until(http.send, self._deadline, self._monotonic, _ONE_REQUEST)


def _lines(checks: Iterable[Check]) -> list[JsonValue]:
    return [check.line() for check in checks]


def _esp(integration: Integration, send: Send) -> str:
    """Any answer will do: there is no request that is sure to send nothing and yet be welcome at every ESP."""
    answer = send(Request("HEAD", without_placeholders(integration.url)))
    if answer.status >= 500:
        raise Transient(f"answers HTTP {answer.status}")
    return f"answers HTTP {answer.status}"


def _complete(missing: list[str]) -> str:
    if missing:
        raise Misconfigured(f"no value for {', '.join(missing)}: apply the definition again")
    return ""


def _without_faults(faults: Iterable[Fault], standing: Standing) -> str:
    if said := "; ".join(f"{field}: expected {expected}" for field, expected in faults):
        raise Misconfigured(said)
    body = (standing.current.body if standing.current else None) or {}
    notes = ["paused: its messages wait"] if body.get("enabled") is False else []
    if standing.draft is not None:
        of = "tested" if standing.draft.kind == "integration" else "proven"
        tested = f"{of}, but not published" if standing.draft.tested_at else f"not {of}"
        notes.append(f"version {standing.draft.version} is a draft: {tested}")
    return "; ".join(notes)


def _unpublished(kind: Kind, definition: Definition, there: There) -> Iterator[Fault]:
    """What a definition in force refers to, and cannot do without, that is a draft and nothing else."""
    if kind != "trigger" or not getattr(definition, "enabled", True):
        return
    for field, other, name in references_of(kind, definition.model_dump(mode="json")):
        standing = there.get((other, name))
        if other in ("integration", "template") and standing is not None and standing.current is None:
            yield Fault(field, f"{other} {name} to be published: it is a draft, so messages wait for it")


def _fail(error: Exception) -> str:
    raise error


def _undefined() -> str:
    raise Misconfigured("the deployment has a queue for it, but there is no definition: what is sent to it waits")
