"""Failure modes and the log of calls: one ASGI layer in front of every sandbox.

Each sandbox names its targets ("token", "messages", "api", …). A fault is set on one target, for the next `times`
calls after the first `after`, or until cleared:

=============  ===================================================================================
mode           what the client sees
=============  ===================================================================================
`down`         503, nothing processed
`500`          500, nothing processed
`429`          429 with `Retry-After: retry_after`, nothing processed
`slow`         the call is held for `seconds`, then processed, even if the client has gone
`cut_before`   the connection is closed without an answer, nothing processed
`cut_after`    the call is processed, then the connection is closed without an answer
`garbage`      200 with an HTML page, nothing processed
`revoked`      the vendor's 401, nothing processed (where the vendor has one)
=============  ===================================================================================
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.sandbox.clock import Clock
from tests.sandbox.server import abort

Mode = Literal["down", "500", "429", "slow", "cut_before", "cut_after", "garbage", "revoked"]
GARBAGE = "<!doctype html><html><body><h1>Welcome to nginx!</h1></body></html>"
LOG_LENGTH = 200_000


class Fault(BaseModel):
    """One failure mode on one target."""

    model_config = ConfigDict(extra="forbid")

    target: str
    mode: Mode
    times: int | None = Field(default=None, ge=1, description="calls it lasts for; absent: until cleared")
    after: int = Field(default=0, ge=0, description="calls let through first")
    seconds: float = Field(default=0.0, ge=0)
    retry_after: int = Field(default=1, ge=0)


@dataclass
class Traffic:
    """What one target saw: calls, how many at once, and the statuses answered (0: no answer)."""

    calls: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    statuses: dict[int, int] = field(default_factory=dict)

    def begin(self) -> None:
        self.calls += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def end(self, status: int) -> None:
        self.in_flight -= 1
        self.statuses[status] = self.statuses.get(status, 0) + 1


@dataclass
class Call:
    """One call as the vendor's access log has it. No headers, no body."""

    time: float
    target: str
    method: str
    path: str
    status: int = 0
    seconds: float = 0.0
    fault: str | None = None


class Faults:
    """Holds the faults that are set and the log of calls; `layer` puts them in front of an application."""

    def __init__(self, clock: Clock, targets: frozenset[str]) -> None:
        self.clock = clock
        self.targets = targets
        self.active: list[Fault] = []
        self.reset_log()

    def reset_log(self) -> None:
        """Forget every call seen."""
        self.traffic: dict[str, Traffic] = {name: Traffic() for name in sorted(self.targets)}
        self.calls: deque[Call] = deque(maxlen=LOG_LENGTH)

    def add(self, fault: Fault) -> None:
        """Set a fault. A target the sandbox does not have is a `ValueError`."""
        if fault.target not in self.targets:
            raise ValueError(f"target: expected one of {', '.join(sorted(self.targets))}")
        self.active.append(fault)

    def clear(self, target: str | None = None) -> None:
        """Remove the faults of one target, or all."""
        self.active = [f for f in self.active if target is not None and f.target != target]

    def take(self, target: str) -> Fault | None:
        """The fault this call meets, if any; counts it down."""
        fault = next((f for f in self.active if f.target == target), None)
        if fault is None:
            return None
        if fault.after > 0:
            fault.after -= 1
            return None
        if fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                self.active.remove(fault)
        return fault


class FaultLayer:
    """ASGI middleware: counts each call, then plays the fault set for its target.

    `target_of` names the target of a path (None: not a vendor's endpoint, passes untouched); `refusal` builds the
    vendor's own answer for the modes that refuse.
    """

    def __init__(
        self,
        app: ASGIApp,
        faults: Faults,
        target_of: Callable[[str], str | None],
        refusal: Callable[[Fault], Response],
    ) -> None:
        self.app, self.faults, self.target_of, self.refusal = app, faults, target_of, refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        target = self.target_of(scope["path"]) if scope["type"] == "http" else None
        if target is None:
            await self.app(scope, receive, send)
            return
        await self._logged(target, scope, receive, send)

    async def _logged(self, target: str, scope: Scope, receive: Receive, send: Send) -> None:
        traffic, clock = self.faults.traffic[target], self.faults.clock
        call = Call(clock.real(), target, scope["method"], scope["path"])

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
            elif not message.get("more_body"):
                end()  # before the client can know, and ask what we counted
            await send(message)

        ended = False

        def end() -> None:
            nonlocal ended
            if not ended:
                ended = True
                call.seconds = round(clock.real() - call.time, 6)
                traffic.end(call.status)

        self.faults.calls.append(call)
        traffic.begin()
        try:
            fault = self.faults.take(target)
            call.fault = fault.mode if fault else None
            with suppress(ClientDisconnect):  # gone before its body was read: nothing to answer
                await self._play(fault, scope, receive, noting)
        finally:
            end()

    async def _play(self, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
        if fault is None:
            await self.app(scope, receive, send)
        elif fault.mode == "slow":
            received = await _received(receive)
            await asyncio.sleep(fault.seconds)
            await self.app(scope, received, send)
        elif fault.mode == "cut_before":
            await abort(scope)
        elif fault.mode == "cut_after":
            await self.app(scope, receive, _swallow)
            await abort(scope)
        else:
            answer = HTMLResponse(GARBAGE) if fault.mode == "garbage" else self.refusal(fault)
            await answer(scope, receive, send)


async def _received(receive: Receive) -> Receive:
    """The whole request, read now, so that it can be processed after its client has gone."""
    messages = deque([await receive()])
    while messages[-1].get("more_body"):
        messages.append(await receive())

    async def replay() -> Message:
        return messages.popleft() if messages else await receive()

    return replay


async def _swallow(message: Message) -> None:
    """Take the application's answer and send it nowhere."""
