"""Adobe I/O Events: webhooks, journal, public keys and the token endpoint. Written from Adobe's documentation (read 2026-11-21).

A registration is challenged by `GET ?challenge=`; if that is not answered with the value, by `POST {"validationUrl"}`, and the
address must be called within five minutes. Posts are signed with two RSA keys (SHA-256, PKCS #1 v1.5), whose PEMs are served at
the paths named in headers. They are repeated on 429 and on 5xx but 505, for 24 hours; nothing else is. When four of five posts of
at least ten events fail within a day, the registration is disabled.

The journal keeps seven days. Its pages are found by `since`, `latest` or `seek` and `limit`, and go on at the `Link` whose
`rel` is `next`: a relative URL beginning with `/events/`. Nothing new: 204, `retry-after` and the next link. Expired: 410.
"""

import asyncio
import json
import re
import ssl
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal
from urllib.parse import parse_qs, urlencode

import httpx
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from tests.sandbox.clock import iso
from tests.sandbox.control import Nothing, Sandbox, Settings, command, report
from tests.sandbox.faults import Fault
from tests.sandbox.trackers.adobe_signed import key_path, pem, signed

TOKEN_SECONDS = 86_399
KEPT_SECONDS = 7 * 86_400
BACKOFF_MINUTES = (1, 2, 4, 8, 15)
RETRIED_SECONDS = 86_400
VALIDATION_SECONDS = 300
PAGE_BYTES = 1_500_000
BATCH_EVENTS, BATCH_BYTES = 20, 2_000_000
_DURATION = re.compile(r"-PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")

_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Made once: with the usual certificates, which nobody on loopback has, it would take longer than a post."""

Event = Mapping[str, object]
State = Literal["pending", "active", "unstable", "disabled"]


class AdobeSettings(Settings):
    """The organisation, its project, and where Adobe's own hosts are said to be."""

    client_id: str = "adobe-client-id"
    client_secret: str = "secret-of-adobe-client-secret-0123"
    organization: str = "0123456789ABCDEF@AdobeOrg"
    scope: str = "openid,AdobeID,read_organizations,additional_info.projectedProductContext"
    validation_origin: str = "https://csm.adobe.io"
    page_events: int = 100


class Register(BaseModel):
    """A webhook's address, and whether it takes lists."""

    model_config = ConfigDict(extra="forbid")
    url: str
    batch: bool = False


class Publish(BaseModel):
    """Events, as they are posted; ids and the recipient are added."""

    model_config = ConfigDict(extra="forbid")
    events: list[dict[str, object]]


@dataclass
class Registration:
    """One webhook, and how it did: each event's outcome with its time."""

    url: str
    batch: bool
    state: State = "pending"
    validation: str = ""
    validate_until: float = 0.0
    outcomes: list[tuple[float, bool]] = field(default_factory=list)


@dataclass(frozen=True)
class Delivery:
    """One attempt: how many events, the status (0: no answer), and the count of retries."""

    events: int
    status: int
    retry: int


@dataclass(frozen=True)
class Entry:
    """One event in the journal."""

    position: str
    at: float
    event: Event


class AdobeSandbox(Sandbox):
    """One organisation's events."""

    targets = frozenset({"token", "keys", "journal", "validate"})
    settings: AdobeSettings

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self.keys = {key_path(1): 1, key_path(2): 2}
        self.forget()

    @classmethod
    def default_settings(cls) -> AdobeSettings:
        return AdobeSettings()

    def forget(self) -> None:
        self.registration: Registration | None = None
        self.entries: list[Entry] = []
        self.begin = _position()
        self.expired: set[str] = set()
        self.deliveries: list[Delivery] = []

    def target_of(self, path: str) -> str | None:
        beginnings = {"/ims/": "token", "/prod/keys/": "keys", "/events/": "journal", "/csm/": "validate"}
        return next((target for start, target in beginnings.items() if path.startswith(start)), None)

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, "429050", "Too many requests", {"retry-after": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error(401, "401013", "Oauth token is not valid")
        return PlainTextResponse("Oops. Something went wrong.", 500 if fault.mode == "500" else 503)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/ims/token/v3", self._token, methods=["POST"]),
            Route("/prod/keys/{name}", self._key),
            Route("/events/organizations/{org}/integrations/{id}/{registration}", self._journal),
            Route("/csm/registration/validate", self._validate),
            command("register", Register, lambda asked: asyncio.to_thread(self.register, asked.url, batch=asked.batch)),
            command("publish", Publish, lambda asked: asyncio.to_thread(self.publish, *asked.events)),
            command("enable", Nothing, lambda _: self.enable()),
            report("deliveries", lambda _: [vars(one) for one in self.deliveries]),
        ]

    @property
    def journal_url(self) -> str:
        """As the Developer Console shows it."""
        return f"{self.url}/events/organizations/1/integrations/2/3"

    # ---- registration and delivery

    def register(self, url: str, *, batch: bool = False) -> State:
        """Registers a webhook: challenges it, at first in the synchronous way. Its state after that."""
        self.registration = one = Registration(url, batch)
        challenge = str(uuid.uuid4())
        answer = self._asked("GET", f"{url}?{urlencode({'challenge': challenge})}")
        if answer is not None and answer.status_code == 200 and _says(answer, challenge):
            one.state = "active"
            return one.state
        one.validation, one.validate_until = str(uuid.uuid4()), self.clock() + VALIDATION_SECONDS
        query = urlencode({"id": "3", "challenge": one.validation})
        body = {"validationUrl": f"{self.settings.validation_origin}/csm/registration/validate?{query}"}
        answer = self._asked("POST", url, json.dumps(body).encode(), {})
        if answer is None or answer.status_code != 200:
            one.validation = ""
            one.state = "pending"
        return one.state

    def enable(self) -> State:
        """What a person does in the console after a registration was disabled."""
        assert self.registration is not None
        self.registration.outcomes.clear()
        return self.register(self.registration.url, batch=self.registration.batch)

    def publish(self, *events: Event) -> list[Event]:
        """Events happen: they are in the journal, and are posted to the webhook if there is one in force. As they were posted."""
        sent = [self._addressed(event) for event in events]
        self.entries += [Entry(_position(), self.clock(), event) for event in sent]
        one = self.registration
        for some in _batches(sent) if one and one.batch else [[event] for event in sent]:
            if one and one.state in ("active", "unstable"):
                self._deliver(one, some)
        return sent

    def _addressed(self, event: Event) -> Event:
        fresh = str(uuid.uuid4())
        if "specversion" not in event:
            return {"event_id": fresh, "recipient_client_id": self.settings.client_id, **event}
        made = {"id": fresh, "source": "urn:uuid:provider", "time": iso(self.clock()), "datacontenttype": "application/json"}
        return {**made, "eventid": fresh, "recipientclientid": self.settings.client_id, **event}

    def _deliver(self, one: Registration, events: Sequence[Event]) -> None:
        """Posts, and posts again as Adobe does, its clock moving on by what it waits."""
        body = json.dumps([*events] if one.batch else events[0]).encode()
        began, retry = self.clock(), 0
        while True:
            answer = self._asked("POST", one.url, body, {**signed(body), **self._headers(events, retry)})
            status = answer.status_code if answer is not None else 0
            self.deliveries.append(Delivery(len(events), status, retry))
            if answer is not None and (status == 505 or status < 500) and status != 429:
                break
            wait = BACKOFF_MINUTES[min(retry, len(BACKOFF_MINUTES) - 1)] * 60
            if self.clock() + wait - began > RETRIED_SECONDS:
                break
            self.clock.advance(wait)
            retry += 1
        one.outcomes += [(self.clock(), 200 <= status < 300)] * len(events)
        self._judge(one)

    def _headers(self, events: Sequence[Event], retry: int) -> dict[str, str]:
        headers = {"content-type": "application/json", "x-adobe-delivery-id": str(uuid.uuid4()), "x-adobe-provider": "provider"}
        if len(events) == 1:
            event = events[0]
            headers["x-adobe-event-id"] = str(event.get("eventid") or event.get("event_id"))
            headers["x-adobe-event-code"] = str(event.get("type") or "trigger")
        return headers | ({"x-adobe-retry-count": str(retry)} if retry else {})

    def _judge(self, one: Registration) -> None:
        recent = [good for at, good in one.outcomes if at > self.clock() - 86_400]
        failed = recent.count(False)
        if len(recent) >= 10 and failed >= 0.8 * len(recent):
            one.state = "disabled"
        else:
            one.state = "unstable" if failed else "active"

    def _asked(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> httpx.Response | None:
        try:
            asked = {"content": body, "headers": dict(headers or {}), "timeout": 10, "trust_env": False}
            return httpx.request(method, url, verify=_TLS, **asked)  # type: ignore[arg-type]  # as httpx has them
        except httpx.HTTPError:
            return None

    # ---- what is asked of Adobe

    async def _token(self, request: Request) -> Response:
        form = {name: values[-1] for name, values in parse_qs((await request.body()).decode()).items()}
        if form.get("grant_type") != "client_credentials":
            return JSONResponse({"error": "unsupported_grant_type", "error_description": "grant type is not supported"}, 400)
        if (form.get("client_id"), form.get("client_secret")) != (self.settings.client_id, self.settings.client_secret):
            return JSONResponse({"error": "invalid_client", "error_description": "invalid client credentials"}, 401)
        if form.get("scope") != self.settings.scope:
            return JSONResponse({"error": "invalid_scope", "error_description": "invalid scope"}, 400)
        token = self.tokens.issue(self.settings.client_id, TOKEN_SECONDS)
        return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": TOKEN_SECONDS})

    async def _key(self, request: Request) -> Response:
        found = self.keys.get(request.url.path)
        return Response(pem(found), media_type="application/x-pem-file") if found else PlainTextResponse("Not Found", 404)

    async def _validate(self, request: Request) -> Response:
        one = self.registration
        if one is None or not one.validation or request.query_params.get("challenge") != one.validation:
            return PlainTextResponse("unknown challenge", 404)
        if self.clock() > one.validate_until:
            return PlainTextResponse("the challenge has expired", 410)
        one.state = "active"
        return PlainTextResponse("validated")

    async def _journal(self, request: Request) -> Response:
        refused = self._unauthorised(request)
        query = request.query_params
        if refused is not None:
            return refused
        if unknown := set(query) - {"since", "latest", "seek", "limit"}:
            return _error(400, "400000", f"unknown parameter {min(unknown)}")
        if len({"since", "latest", "seek"} & set(query)) > 1:
            return _error(400, "400000", "since, latest and seek exclude each other")
        since = query.get("since")
        if since is not None and self._is_expired(since):
            return PlainTextResponse(f"Events at position {since} have expired.", 410)
        try:
            start = self._start(query)
            limit = min(int(query.get("limit", self.settings.page_events)), self.settings.page_events)
        except ValueError as error:
            return _error(400, "400000", str(error))
        return self._page(request.url.path, start, limit, query.get("limit"))

    def _unauthorised(self, request: Request) -> Response | None:
        verdict, _ = self.tokens.judge(request.headers.get("authorization", ""))
        if verdict != "good":
            return _error(401, "401013", "Oauth token is not valid")
        if request.headers.get("x-api-key") != self.settings.client_id:
            return _error(403, "403000", "Api Key is invalid")
        if request.headers.get("x-ims-org-id") != self.settings.organization:
            return _error(403, "403023", "The organization is not the one of the token")
        return None

    def _is_expired(self, position: str) -> bool:
        oldest = self.clock() - KEPT_SECONDS
        if position in self.expired:
            return True
        return any(one.position == position and one.at < oldest for one in self.entries)

    def _start(self, query: Mapping[str, str]) -> int:
        """Index of the first entry to be shown. Raises ValueError."""
        if "since" in query:
            return self._after(query["since"])
        if "latest" in query:
            return len(self.entries)
        oldest = self.clock() - (_seconds(query["seek"]) if "seek" in query else KEPT_SECONDS)
        return next((index for index, one in enumerate(self.entries) if one.at >= oldest), len(self.entries))

    def _after(self, position: str) -> int:
        if position == self.begin:
            return 0
        for index, one in enumerate(self.entries):
            if one.position == position:
                return index + 1
        raise ValueError("unknown position")

    def _page(self, path: str, start: int, limit: int, asked: str | None) -> Response:
        shown = self.entries[start : start + limit]
        while len(shown) > 1 and sum(len(json.dumps(one.event)) for one in shown) > PAGE_BYTES:
            shown = shown[: len(shown) // 2]
        last = shown[-1].position if shown else self.entries[start - 1].position if start else self.begin
        query = urlencode({"since": last, **({"limit": asked} if asked else {})})
        answer: Response = Response(status_code=204, headers={"retry-after": "10"})
        if shown:
            events = [{"position": one.position, "event": one.event} for one in shown]
            answer = JSONResponse({"events": events, "_page": {"last": last, "count": len(shown)}})
        answer.headers.append("link", f'<{path.replace("/events/", "/events-validate/")}>; rel="validate"')
        answer.headers.append("link", f'<{path}?{query}>; rel="next"')
        return answer


def _seconds(duration: str) -> float:
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise ValueError("seek must be an ISO 8601 duration, as -PT2H")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds()


def _position() -> str:
    return f"moose:{uuid.uuid4()}:{uuid.uuid4()}"


def _says(answer: httpx.Response, challenge: str) -> bool:
    if answer.text == challenge:
        return str(answer.headers.get("content-type")).startswith("text/plain")
    try:
        said: object = answer.json()
    except ValueError:
        return False
    return said == {"challenge": challenge}


def _batches(events: Sequence[Event]) -> list[list[Event]]:
    batches: list[list[Event]] = [[]]
    for event in events:
        if len(batches[-1]) == BATCH_EVENTS or len(json.dumps([*batches[-1], event])) > BATCH_BYTES:
            batches.append([])
        batches[-1].append(event)
    return batches


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error_code": code, "message": message}, status, headers)


SANDBOX = AdobeSandbox
