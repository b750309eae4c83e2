"""Dynamics 365 on loopback: Entra ID's token endpoint and the Dataverse Web API v9.2 of one environment.

`POST /{tenant}/oauth2/v2.0/token` grants tokens for the scope `<this server's URL>/.default`. Below `/api/data/v9.2/`
are contacts, tasks, systemusers, four installed activity tables (`sb_emailsends`, `sb_emailopens`, `sb_emailclicks`,
`sb_emailbounces`), `activitypointers`, `WhoAmI`, `EntityDefinitions(LogicalName='…')` with `/ManyToOneRelationships`
and `/Attributes`, and `$batch`. What is not here (alternate keys, change tracking, `$expand`, bulk actions) is refused
as something the environment does not have. Written from Microsoft's documentation.

Fault targets: `token`, `api`, and `operation`, which is one operation inside a `$batch` (`500`, `429` or `down`).
"""

import asyncio
import re
import uuid
from dataclasses import asdict
from typing import cast

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from tests.sandbox import dynamics_tokens as entra
from tests.sandbox.control import Sandbox, Settings, command, report
from tests.sandbox.dynamics_batch import parse_batch, run_batch
from tests.sandbox.dynamics_errors import ODataError, bad_query, not_a_member, not_allowed
from tests.sandbox.dynamics_limits import ServiceProtection
from tests.sandbox.dynamics_pages import contacts_page, timeline, timeline_page
from tests.sandbox.dynamics_schema import BY_LOGICAL, BY_SET, CONTACT, Table
from tests.sandbox.dynamics_store import APP_USER, Store
from tests.sandbox.dynamics_webapi import JSON_TYPE, Answer, Operation, WebApi, refused
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body

ROOT = "/api/data/v9.2/"
_TOKEN_PATH = re.compile(r"/[^/]+/oauth2/v2\.0/token")
MAX_BODY = 128 * 1024 * 1024
MAX_URL = 32_768


class DynamicsSettings(Settings):
    """The tenant's registration, the environment's limits, and what an administrator may have got wrong."""

    tenant: str = "0d1e2f3a-4b5c-4d6e-8f70-8192a3b4c5d6"
    client_id: str = "11112222-3333-4444-8555-666677778888"
    client_secret: str = "dynamics~secret"
    secret_expired: bool = False
    app_user: bool = Field(default=True, description="the registration has an application user in the environment")
    denied_tables: list[str] = Field(default=[], description="logical names the application user may not write")
    token_seconds: int = 3599
    latency_seconds: float = Field(default=0.0, ge=0)
    limit_requests: int = 6000
    limit_busy_seconds: float = 1200.0
    limit_concurrent: int = 52
    limit_window_seconds: float = 300.0


class Seed(BaseModel):
    """Contacts to put in, as the Web API would take them. One with a known `contactid` is left as it is."""

    model_config = ConfigDict(extra="forbid")
    contacts: list[dict[str, object]]


class DynamicsSandbox(Sandbox):
    """A running environment. `store.rows` and `store.writes` are what the world would see."""

    targets = frozenset({"token", "api", "operation"})
    settings: DynamicsSettings

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self.tokens.prefix = "eyJ0eXAiOiJKV1Qi."
        self.store = Store(self.clock, self.journal)
        self.api = WebApi(self.store)
        self.protection = ServiceProtection()

    @classmethod
    def default_settings(cls) -> DynamicsSettings:
        return DynamicsSettings()

    def forget(self) -> None:
        self.store.clear()
        self.protection.clear()

    def seed(self, *contacts: dict[str, object]) -> list[str]:
        """Put contacts in; their ids. From a test's thread only while no calls run; else `control("contacts", …)`."""
        return [self._seed(contact) for contact in contacts]

    def timeline(self, contact: str) -> list[dict[str, object]]:
        """Every activity regarding a contact, oldest first."""
        return timeline(self.store, contact)

    def target_of(self, path: str) -> str | None:
        if path.startswith(ROOT):
            return "api"
        return "token" if _TOKEN_PATH.fullmatch(path) else None

    def refusal(self, fault: Fault) -> Response:
        return _response(_fault_answer(fault))

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/{tenant}/oauth2/v2.0/token", self._token, methods=["POST"]),
            Route(ROOT + "{path:path}", self._web_api, methods=["GET", "POST", "PATCH", "PUT", "DELETE"]),
            Route("/timeline", self._contacts_page),
            Route("/timeline/{id}", self._timeline_page),
            command("contacts", Seed, lambda seed: {"ids": self.seed(*seed.contacts)}),
            report("writes", lambda q: [asdict(w) for w in self.store.writes if _asked(q, w.table) and w.by == "api"]),
            report("rows", lambda q: list(self.store.rows[_table(q["table"]).logical].values())),
            report("timeline/{id}", lambda q: self.timeline(q["id"])),
        ]

    # ---- tokens

    async def _token(self, request: Request) -> Response:
        settings = self.settings
        registration = entra.Registration(
            settings.tenant,
            settings.client_id,
            settings.client_secret,
            settings.secret_expired,
            str(request.base_url).rstrip("/"),
        )
        content_type = request.headers.get("content-type", "")
        code = entra.problem(registration, request.path_params["tenant"], content_type, await request.body())
        if code is not None:
            return entra.refusal(code, self.clock())
        return entra.grant(self.tokens.issue(settings.client_id, settings.token_seconds), settings.token_seconds)

    # ---- the Web API

    async def _web_api(self, request: Request) -> Response:
        verdict, _ = self.tokens.judge(request.headers.get("authorization", ""))
        if verdict != "good":
            return self._unauthorised(request)
        limits, started = self.settings, self.clock()
        try:
            self._admit(started)
        except ODataError as error:
            return _response(refused(error))
        try:
            await asyncio.sleep(limits.latency_seconds)
            answer = await self._answer(request)
            self.store.commit()
        finally:
            self.protection.leave(self.clock(), self.clock() - started)
        left = self.protection.headers(limits.limit_requests, limits.limit_busy_seconds)
        return _response(answer, left)

    def _admit(self, now: float) -> None:
        limits = self.settings
        self.protection.admit(
            now,
            requests=limits.limit_requests,
            busy_seconds=limits.limit_busy_seconds,
            at_once=limits.limit_concurrent,
            window=limits.limit_window_seconds,
        )

    async def _answer(self, request: Request) -> Answer:
        try:
            operation = await self._operation(request)
            if operation.path == "$batch":
                return self._batch(operation)
        except ODataError as error:
            return refused(error)
        return self.api.execute(operation)

    async def _operation(self, request: Request) -> Operation:
        if not self.settings.app_user:
            raise not_a_member(APP_USER)
        if len(str(request.url)) > MAX_URL:
            raise bad_query(f"The request URL is longer than {MAX_URL} characters.")
        body = await read_body(request, MAX_BODY)
        if body is None:
            raise ODataError(413, "0x80060888", "The request is too large.")
        self.api.denied = set(self.settings.denied_tables)
        path = request.scope["raw_path"].decode("ascii").partition("?")[0].removeprefix(ROOT)
        root = str(request.base_url).rstrip("/") + ROOT
        return Operation(request.method, path, request.url.query, dict(request.headers), body, root)

    def _batch(self, operation: Operation) -> Answer:
        if operation.method != "POST":
            raise not_allowed(operation.method)
        batch = parse_batch(operation.headers.get("content-type", ""), operation.body, operation.root)
        go_on = "odata.continue-on-error" in operation.prefer
        return run_batch(self.api, batch, go_on, self._spoil)

    def _spoil(self) -> Answer | None:
        fault = self.faults.take("operation")
        return _fault_answer(fault) if fault else None

    def _unauthorised(self, request: Request) -> Response:
        resource = str(request.base_url)
        issuer = f"{resource}{self.settings.tenant}/oauth2/authorize"
        challenge = f"Bearer authorization_uri={issuer}, resource_id={resource}"
        return HTMLResponse("HTTP Error 401 - Unauthorized: Access is denied", 401, {"WWW-Authenticate": challenge})

    # ---- controls

    def _seed(self, contact: dict[str, object]) -> str:
        key = str(contact.get("contactid", "")).lower()
        if self.store.exists("contact", key):
            return key
        try:
            key = self.store.create(CONTACT, contact, str, by="seed")
        except ODataError as error:
            raise ValueError(error.message) from None
        self.store.commit()
        return key

    async def _contacts_page(self, _: Request) -> Response:
        return HTMLResponse(contacts_page(self.store))

    async def _timeline_page(self, request: Request) -> Response:
        try:
            return HTMLResponse(timeline_page(self.store, request.path_params["id"]))
        except KeyError:
            return HTMLResponse("No such contact.", 404)


def _table(name: str) -> Table:
    """A table by its logical or its entity set name."""
    return BY_LOGICAL.get(name) or BY_SET[name]


def _asked(query: object, logical: str) -> bool:
    name = cast("dict[str, str]", query).get("table")
    return name is None or _table(name).logical == logical


def _fault_answer(fault: Fault) -> Answer:
    if fault.mode == "429":
        message = "Number of requests exceeded the limit of 6000 over time window of 300 seconds."
        return refused(ODataError(429, "0x80072322", message, {"Retry-After": str(fault.retry_after)}))
    if fault.mode == "revoked":
        return Answer(401, "HTTP Error 401 - Unauthorized: Access is denied", {"WWW-Authenticate": "Bearer"})
    if fault.mode == "500":
        return refused(ODataError(500, "0x80040216", "An unexpected error occurred."))
    return Answer(503, "<h2>Our services aren't available right now</h2>", {"Content-Type": "text/html"})


def _response(answer: Answer, extra: dict[str, str] | None = None) -> Response:
    headers = {"OData-Version": "4.0", "x-ms-service-request-id": str(uuid.uuid4()), "REQ_ID": str(uuid.uuid4())}
    content = answer.content()
    if content:
        headers["Content-Type"] = JSON_TYPE
    return Response(content, answer.status, {**headers, **(extra or {}), **answer.headers})
