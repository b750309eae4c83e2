"""The control API every sandbox has under `/_control/`, and the handle a test holds on a running sandbox."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.sandbox.clock import Clock
from tests.sandbox.faults import Fault, FaultLayer, Faults
from tests.sandbox.journal import Journal
from tests.sandbox.server import serve
from tests.sandbox.tokens import TokenBook

M = TypeVar("M", bound=BaseModel)


class Nothing(BaseModel):
    """A command without arguments."""

    model_config = ConfigDict(extra="forbid")


class Advance(BaseModel):
    """Seconds to move the vendor's clock forward."""

    model_config = ConfigDict(extra="forbid")
    advance: float


class Clear(BaseModel):
    """The target to clear of faults; absent: all."""

    model_config = ConfigDict(extra="forbid")
    target: str | None = None


class Settings(BaseModel):
    """Base of a sandbox's settings: changed a few at a time, checked, unknown names refused."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


def command(name: str, model: type[M], act: Callable[[M], object | Awaitable[object]]) -> Route:
    """`POST /_control/<name>` with a JSON body of `model`; 422 naming the field when it is not."""

    async def endpoint(request: Request) -> Response:
        try:
            done = act(model.model_validate_json(await request.body() or b"{}"))
            return JSONResponse(await done if inspect.isawaitable(done) else done)
        except ValidationError as error:
            return JSONResponse({"errors": error.errors(include_url=False, include_context=False)}, 422)
        except ValueError as error:
            return JSONResponse({"errors": [{"msg": str(error)}]}, 422)

    return Route(f"/_control/{name}", endpoint, methods=["POST"])


def report(name: str, ask: Callable[[Mapping[str, str]], object]) -> Route:
    """`GET /_control/<name>`: what `ask` answers for the query and path parameters, as JSON; a `KeyError` is a 404."""

    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(ask({**request.query_params, **request.path_params}))
        except KeyError as error:
            return JSONResponse({"errors": [{"msg": f"not found: {error.args[0]}"}]}, 404)

    return Route(f"/_control/{name}", endpoint)


class Sandbox:
    """One vendor: its clock, faults, tokens and settings, and the application that serves them.

    Subclasses name their `targets`, say which target a path is, how the vendor refuses, and add their routes.
    """

    targets: frozenset[str]
    settings: Settings

    def __init__(self, settings: Settings, clock: Clock | None = None, journal: Journal | None = None) -> None:
        self.settings, self.initial = settings, settings.model_copy(deep=True)
        self.clock = clock or Clock()
        self.journal = journal or Journal()
        self.faults = Faults(self.clock, self.targets)
        self.tokens = TokenBook(self.clock)
        self.url = ""

    def target_of(self, path: str) -> str | None:
        """The target a path belongs to, None for what is not the vendor's."""
        raise NotImplementedError

    def refusal(self, fault: Fault) -> Response:
        """The vendor's own answer for a fault that refuses."""
        raise NotImplementedError

    def routes(self) -> list[BaseRoute]:
        """The vendor's endpoints, and the controls only this sandbox has."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drop everything received."""
        raise NotImplementedError

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """What runs beside the server; nothing unless a subclass says so."""
        yield

    def app(self) -> Starlette:
        """The ASGI application."""
        layer = Middleware(FaultLayer, self.faults, self.target_of, self.refusal)
        return Starlette(routes=self.routes() + self._controls(), middleware=[layer], lifespan=self.lifespan)

    @classmethod
    @contextmanager
    def run(
        cls,
        settings: Settings | None = None,
        clock: Clock | None = None,
        journal: Journal | None = None,
        port: int = 0,
    ) -> Iterator[Self]:
        """Serve in a thread until the block ends; yields the sandbox with its `url` set."""
        sandbox = cls(settings or cls.default_settings(), clock, journal)
        with serve(sandbox.app(), port) as url:
            sandbox.url = url
            yield sandbox

    @classmethod
    def default_settings(cls) -> Settings:
        """The vendor's usual limits."""
        raise NotImplementedError

    def control(self, name: str, **arguments: object) -> Any:
        """Send one command over HTTP, as a test in another process would; `ValueError` when refused.

        The answer is JSON for an assertion to look into, hence `Any`.
        """
        answer = httpx.post(f"{self.url}/_control/{name}", json=arguments, timeout=30, trust_env=False)
        if answer.is_error:
            raise ValueError(answer.text)
        return answer.json()

    def ask(self, name: str, **query: str) -> Any:
        """Read one report over HTTP: JSON, as with `control`."""
        return httpx.get(f"{self.url}/_control/{name}", params=query, timeout=30, trust_env=False).json()

    def _controls(self) -> list[BaseRoute]:
        return [
            command("fail", Fault, self._fail),
            command("clear", Clear, lambda c: self.faults.clear(c.target)),
            command("reset", Nothing, lambda _: self._reset()),
            command("revoke_tokens", Nothing, lambda _: {"revoked": self.tokens.revoke()}),
            command("clock", Advance, lambda a: self.clock.advance(a.advance)),
            Route("/_control/settings", self._change_settings, methods=["POST"]),
            report("settings", lambda _: self.settings.model_dump()),
            report("tokens", lambda _: self.tokens.report()),
            report("traffic", lambda _: {name: asdict(t) for name, t in self.faults.traffic.items()}),
            report("calls", lambda q: [vars(c) for c in self.faults.calls if q.get("target") in {None, c.target}]),
            report("health", lambda _: {"ok": True}),
        ]

    def _fail(self, fault: Fault) -> object:
        self.faults.add(fault)
        return [f.model_dump() for f in self.faults.active]

    def _reset(self) -> None:
        """As new, but for tokens already issued and where webhooks go."""
        self._set(self.initial)
        self.clock.ahead = 0.0
        self.faults.clear()
        self.faults.reset_log()
        self.forget()
        self.journal.clear()

    async def _change_settings(self, request: Request) -> Response:
        try:
            changed = type(self.settings).model_validate({**self.settings.model_dump(), **await request.json()})
        except ValidationError as error:
            return JSONResponse({"errors": error.errors(include_url=False, include_context=False)}, 422)
        self._set(changed)
        return JSONResponse(self.settings.model_dump())

    def _set(self, settings: Settings) -> None:
        for name in type(self.settings).model_fields:
            setattr(self.settings, name, getattr(settings, name))
