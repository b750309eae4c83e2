"""Microsoft Dynamics 365: engagements as activities and tasks on the contact's timeline, by the Dataverse Web API v9.2.

Sources: Microsoft Learn, "Use the Microsoft Dataverse Web API" (compose HTTP requests, query data, batch operations, service
protection limits) and "Metadata entity types".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar
from urllib.parse import quote, urlsplit

from pydantic import JsonValue

from connectors.crms.dynamics_batch import MAX_OPERATIONS, Create, build, parse
from connectors.crms.dynamics_errors import problem_of, problem_of_create, worst
from connectors.crms.dynamics_records import CLICKED_URL, COLUMNS, Table, records
from connectors.crms.timeline import Entry, Outcome, Written
from shared.clock import Clock
from shared.definitions import Destination, EngagementType
from shared.errors import Misconfigured, Permanent, SendbridgeError, Transient
from shared.exchange import Exchange, Request, Response
from shared.mapping import at, text_at

_API = "/api/data/v9.2/"
_HEADERS = {"accept": "application/json", "odata-maxversion": "4.0", "odata-version": "4.0"}
_READ = {**_HEADERS, "if-none-match": "null", "prefer": "odata.maxpagesize=500"}

_ADDRESSES_AT_ONCE = 20
_LONGEST_ADDRESS = 320
"""Together they keep a look-up's URL well below the 32 KB that Dataverse takes."""

_MOST_PAGES = 20
"""Of 500 contacts with one of those addresses: more have no end, or no meaning."""

_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
"""An OData name. What Dynamics says is checked as well before it becomes part of a path in a batch."""

T = TypeVar("T")


class Dynamics:
    """One Dynamics 365 environment. Keeps what it learnt of the environment's tables, so make one per process."""

    def __init__(self, destination: Destination, clock: Clock) -> None:
        self._destination, self._clock = destination, clock
        where = urlsplit(destination.url)
        self._base = f"{where.scheme}://{where.netloc}{_API}"
        self._tables: dict[str, Table] = {}

    def contacts(self, addresses: Iterable[str]) -> Exchange[dict[str, list[str]]]:
        """The ids of the contacts who have these addresses: of the active ones or, where none is, of the inactive ones.

        By the address in lower case, as Dataverse compares without regard to case. Not in `casefold`: ß and ss are two people.
        """
        found: dict[str, list[tuple[bool, str]]] = {}
        wanted = dict.fromkeys(address.lower() for address in addresses if _plausible(address))
        for some in _chunks([*wanted], _ADDRESSES_AT_ONCE):
            for row in (yield from self._rows(self._look_up(some))):
                address = text_at(row, self._destination.contact_key).lower()
                if _ID.fullmatch(contact := text_at(row, "contactid")):
                    found.setdefault(address, []).append((at(row, "statecode") == 0, contact))
        return {address: _preferred(candidates) for address, candidates in found.items()}

    def write(self, entries: Sequence[Entry]) -> Exchange[list[Outcome]]:
        """Puts entries on their contacts' timelines, and says of each what became of it.

        Each record has an id made from the fact and is only ever created, so that a repeat changes nothing. Raises what
        befell all: Transient with the wait that the vendor asked for, Misconfigured.
        """
        tables: dict[EngagementType, Table | SendbridgeError] = {}
        for kind in dict.fromkeys(entry.job.type for entry in entries):
            tables[kind] = yield from _or_error(self._table(kind))
        made = [_records(self._destination, entry, tables[entry.job.type]) for entry in entries]
        answers = yield from self._create([one for some in made if not isinstance(some, SendbridgeError) for one in some])
        return [some if isinstance(some, SendbridgeError) else self._outcome([next(answers) for _ in some]) for some in made]

    def test_connection(self) -> Exchange[list[str]]:
        """What keeps this destination from working, one sentence each; nothing if all is well."""
        problems: list[str] = []
        try:
            yield from self._get("WhoAmI")
            checks = [
                self._get(f"contacts?$select=contactid,{self._destination.contact_key}&$top=1"),
                *map(self._test_table, self._destination.events),
            ]
            for check in checks:
                problem = yield from _or_error(check)
                if isinstance(problem, SendbridgeError):
                    problems.append(problem.reason)
        except SendbridgeError as error:
            problems.append(error.reason)
        return problems

    def _look_up(self, addresses: Iterable[str]) -> str:
        key = self._destination.contact_key
        test = " or ".join(f"{key} eq '{address.replace(chr(39), chr(39) * 2)}'" for address in addresses)
        return f"{self._base}contacts?$select=contactid,{key},statecode&$filter={quote(test, safe='')}"

    def _rows(self, url: str) -> Exchange[list[JsonValue]]:
        rows: list[JsonValue] = []
        for _ in range(_MOST_PAGES):
            if not url.startswith(self._base):
                raise Permanent("Dynamics: the next page is on another host")
            page = yield from self._get_url(url)
            value = at(page, "value")
            if not isinstance(page, dict) or not isinstance(value, list):
                raise Transient("Dynamics: the answer to a look-up is no list")
            rows += value
            following = page.get("@odata.nextLink")
            if not isinstance(following, str):
                return rows
            url = following
        raise Permanent(f"Dynamics: a look-up does not end within {_MOST_PAGES} pages")

    def _table(self, kind: EngagementType) -> Exchange[Table]:
        """The activity table of this kind of engagement, looked up once. Raises Misconfigured if it is not installed."""
        logical = self._destination.activities.get(kind)
        if logical is None:
            raise Misconfigured(f"the destination {self._destination.name} names no activity table for {kind!r}")
        if logical not in self._tables:
            self._tables[logical] = yield from self._describe(logical)
        return self._tables[logical]

    def _describe(self, logical: str) -> Exchange[Table]:
        definition = f"EntityDefinitions(LogicalName='{logical}')"
        answer = yield self._request("GET", f"{self._base}{definition}?$select=EntitySetName", _READ)
        if answer.status == 404:
            raise Misconfigured(f"Dynamics has no table {logical}: install the solution with the activity tables")
        problem = problem_of(answer, self._clock)
        if isinstance(problem, Transient):
            raise problem
        entity_set = text_at(answer.json(), "EntitySetName") if problem is None else ""
        regarding = yield from self._regarding(definition)
        # Who may not read metadata gets the names that Dataverse gives by default.
        return Table(_name(entity_set) or f"{logical}s", _name(regarding) or f"regardingobjectid_contact_{logical}")

    def _regarding(self, definition: str) -> Exchange[str]:
        """The case-sensitive navigation property to the contact an activity is about; empty if it cannot be learnt."""
        select = "$select=ReferencingAttribute,ReferencedEntity,ReferencingEntityNavigationPropertyName"
        test = quote("ReferencingAttribute eq 'regardingobjectid'", safe="")
        url = f"{self._base}{definition}/ManyToOneRelationships?{select}&$filter={test}"
        answer = yield self._request("GET", url, _READ)
        problem = problem_of(answer, self._clock)
        if isinstance(problem, Transient):
            raise problem
        rows = at(answer.json(), "value") if problem is None else None
        names = (
            text_at(row, "ReferencingEntityNavigationPropertyName")
            for row in (rows if isinstance(rows, list) else [])
            if at(row, "ReferencedEntity") == "contact"
        )
        return next(names, "")

    def _test_table(self, kind: EngagementType) -> Exchange[JsonValue]:
        """Raises Misconfigured if the table or one of its columns is missing."""
        yield from self._table(kind)
        logical = self._destination.activities[kind]
        found = yield from self._get(f"EntityDefinitions(LogicalName='{logical}')/Attributes?$select=LogicalName")
        listed = at(found, "value")
        has = {text_at(column, "LogicalName") for column in (listed if isinstance(listed, list) else [])}
        needs = [*COLUMNS, CLICKED_URL] if kind == "clicked" else COLUMNS
        for column in needs:
            if self._destination.column_prefix + column not in has:
                raise Misconfigured(f"Dynamics: the table {logical} has no column {self._destination.column_prefix}{column}")
        return None

    def _create(self, operations: Sequence[Create]) -> Exchange[Iterator[Response]]:
        """The answer to each operation; 503 for those that the vendor's answer leaves out."""
        answers: list[Response] = []
        for some in _chunks(operations, MAX_OPERATIONS):
            content_type, body = build(_API, some)
            headers = {**_HEADERS, "content-type": content_type, "prefer": "odata.continue-on-error"}
            answer = yield self._request("POST", f"{self._base}$batch", headers, body)
            answers += self._parts(answer, len(some))
        return iter(answers)

    def _parts(self, answer: Response, count: int) -> list[Response]:
        problem = problem_of(answer, self._clock)
        if problem is not None and not answer.headers.get("content-type", "").lower().startswith("multipart/"):
            raise problem
        parts = [Response(p.status, p.headers, p.body, answer.seconds) for p in parse(answer)][:count]
        return parts + [Response(503)] * (count - len(parts))

    def _outcome(self, answers: Sequence[Response]) -> Outcome:
        problem = worst([problem_of_create(answer, self._clock) for answer in answers])
        if problem is not None:
            return problem
        created = any(answer.status != 412 for answer in answers)
        return Written(created, answers[0].status, round(answers[0].seconds * 1000))

    def _get(self, path: str) -> Exchange[JsonValue]:
        return (yield from self._get_url(self._base + path))

    def _get_url(self, url: str) -> Exchange[JsonValue]:
        answer = yield self._request("GET", url, _READ)
        problem = problem_of(answer, self._clock)
        if problem is not None:
            raise problem
        return answer.json()

    def _request(self, method: str, url: str, headers: dict[str, str], body: bytes = b"") -> Request:
        return Request(method, url, headers, body, self._destination.timeout_seconds)


def _records(destination: Destination, entry: Entry, table: Table | SendbridgeError) -> list[Create] | SendbridgeError:
    return table if isinstance(table, SendbridgeError) else records(destination, entry, table)


def _or_error(exchange: Exchange[T]) -> Exchange[T | SendbridgeError]:
    """The result of an operation, or what it raised, where one's trouble is not to be all the others'."""
    try:
        return (yield from exchange)
    except Transient:
        raise
    except SendbridgeError as error:
        return error


def _name(text: str) -> str:
    return text if _IDENTIFIER.fullmatch(text) else ""


def _plausible(address: str) -> bool:
    return 0 < len(address) <= _LONGEST_ADDRESS and address.isprintable()


def _preferred(candidates: Sequence[tuple[bool, str]]) -> list[str]:
    active = [contact for is_active, contact in candidates if is_active]
    return active or [contact for _, contact in candidates]


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
