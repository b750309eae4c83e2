"""Postbird, an imaginary email service with a JSON REST API. Its API reference:

**Tokens.** `POST /oauth/token`, `application/x-www-form-urlencoded`: `grant_type=client_credentials` with `client_id`
and `client_secret` in the body or as HTTP Basic, not both. 200: `{"access_token", "token_type": "Bearer",
"expires_in": 60}`. Wrong credentials: 401 `{"error": "invalid_client", "error_description"}` (with
`WWW-Authenticate: Basic` if Basic was used). Another grant: 400 `unsupported_grant_type`. Otherwise malformed: 400
`invalid_request`. There is no refresh token. Tokens are opaque.

**Errors** of the API: `{"error": {"code", "message", "field"?}}`.

**Send.** `POST /v1/messages`, `Authorization: Bearer …`, `Content-Type: application/json`, at most 1 MB (1,000,000 bytes):
`{"from": {"email", "name"?}, "to": {"email", "name"?}, "subject", "html", "text"?, "headers"?: {}, "metadata"?: {}}`.
Metadata has at most 10 strings of 500 characters, keys of 40. Unknown fields are refused. 202: `{"id": "pb_…", "status":
"accepted"}`. Every answer to a valid token carries `X-RateLimit-Remaining`. Checked in this order:

====== ========================= ==========================================================================
status code                      when
====== ========================= ==========================================================================
401    invalid_token             no token, an unknown or a revoked one; with `WWW-Authenticate`
401    token_expired             the token's time is over; with `WWW-Authenticate`
429    rate_limited              more messages than the account may send; with `Retry-After` in seconds
415    unsupported_media_type    the body is not declared as JSON
400    invalid_idempotency_key   the key is empty or longer than 256 characters
413    too_large                 the body is over 1 MB
400    invalid_json              the body is not JSON
422    invalid_request           the body is not to the schema; `field` is the dotted path
409    idempotency_in_progress   the first request with this key is not finished; with `Retry-After: 1`
409    idempotency_mismatch      the key was used with another body (compared byte for byte)
====== ========================= ==========================================================================

**Idempotency.** `Idempotency-Key`, up to 256 characters, kept 24 hours: the same key with the same body gets the first
answer again, with `Idempotent-Replayed: true`, and no second message. Refused requests do not use up the key.

**Webhooks.** `POST` of `{"events": [{"id": "evt_…", "type": "message.delivered | opened | clicked | bounced | complained |
unsubscribed", "time", "message_id", "recipient", "metadata", "url"? (clicked), "bounce"? {"type": "hard | soft", "code",
"reason"}}]}`, signed by Standard Webhooks 1.0. At least once, in no order. Anything but 2xx within 15 s is retried with
growing delay under the same `webhook-id`; `Retry-After` is honoured; 410 switches the webhook off.

In the sandbox, addresses that begin with `dead` or `grace` bounce hard; everyone else gets the message, opens it and
clicks its first link.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote_plus

from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.sandbox.control import Sandbox, Settings, command, report
from tests.sandbox.esp_events import HARD, SOFT, Accepted, Event, Kind, live
from tests.sandbox.esp_messages import Refusal, parse_message
from tests.sandbox.esp_pages import inbox_page, message_page
from tests.sandbox.esp_webhooks import Delivery, Pace, Poster, Spoil, Webhook
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body

MAX_BODY = 1_000_000
MAX_KEY = 256
PATHS = {"/oauth/token": "token", "/v1/messages": "messages"}


class EspSettings(Settings):
    """The account: its credentials and limits."""

    client_id: str = "postbird-client"
    client_secret: str = "postbird-secret"
    token_seconds: int = 60
    rate_limit: int = Field(default=1_000_000, ge=0, description="messages per window")
    rate_window_seconds: float = 1.0
    processing_seconds: float = Field(default=0.0, ge=0, description="between taking a message and answering")
    honours_idempotency: bool = True
    idempotency_seconds: float = 24 * 3600.0


class Emit(BaseModel):
    """Which events to post now. Without `message_ids`: of every message. Without `types`: its natural events."""

    model_config = ConfigDict(extra="forbid")

    message_ids: list[str] | None = None
    types: list[Kind] | None = None
    url: str | None = Field(default=None, description="the clicked URL: makes a new click")
    bounce: str | None = Field(default=None, pattern="^(hard|soft)$", description="makes a new bounce of that type")
    batch: int = Field(default=100, ge=1, description="events per POST")
    repeat: int = Field(default=1, ge=1, description="how often each POST is made, under one webhook-id")
    reverse: bool = False
    spoil: Spoil | None = None
    raw: str | None = Field(default=None, description="a body to sign and post as it is, instead of events")


@dataclass
class _Key:
    digest: bytes
    expires: float
    answer: dict[str, str] | None = None


class EspSandbox(Sandbox):
    """A running Postbird. `messages` is what the world would have received."""

    targets = frozenset(PATHS.values())
    settings: EspSettings

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self.poster = Poster(self.clock)
        self.tokens.prefix = "pbt_"
        self.forget()
        for record in self.journal.read():
            self._remember(Accepted.model_validate(record["accepted"]), bytes.fromhex(str(record["digest"])))

    @classmethod
    def default_settings(cls) -> EspSettings:
        return EspSettings()

    def forget(self) -> None:
        self.messages: dict[str, Accepted] = {}
        self.keys: dict[str, _Key] = {}
        self.refused: deque[dict[str, object]] = deque(maxlen=10_000)
        self.sent_at: deque[float] = deque()
        self.poster.reset()

    def inbox(self, to: str | None = None) -> list[Accepted]:
        """The messages taken, oldest first, of one recipient or all."""
        return [m for m in self.messages.values() if to in {None, m.message.to.email}]

    def target_of(self, path: str) -> str | None:
        return PATHS.get(path)

    def refusal(self, fault: Fault) -> Response:
        after = {"Retry-After": str(fault.retry_after)}
        if fault.mode == "429":
            return _error(Refusal(429, "rate_limited", "too many requests"), after)
        if fault.mode == "revoked":
            return _error(Refusal(401, "invalid_token", "the token was revoked"), {"WWW-Authenticate": "Bearer"})
        status = 500 if fault.mode == "500" else 503
        return _error(Refusal(status, "unavailable", "Postbird is having a bad day"), {})

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/oauth/token", self._token, methods=["POST"]),
            Route("/v1/messages", self._send, methods=["POST"]),
            Route("/inbox", self._inbox_page),
            Route("/inbox/{id}", self._page),
            report("inbox", lambda q: {"messages": [m.report() for m in self.inbox(q.get("to"))]}),
            report("refused", lambda _: list(self.refused)),
            report("deliveries", lambda _: [d.model_dump() for d in self.poster.deliveries]),
            command("webhook", Webhook, self._set_webhook),
            command("events", Pace, self.poster.set_pace),
            command("emit", Emit, self._emit),
            report("waiting", lambda _: {"events": len(self.poster.due)}),
        ]

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        posting = asyncio.create_task(self.poster.run())
        yield
        posting.cancel()
        with suppress(asyncio.CancelledError):
            await posting

    # ---- tokens

    async def _token(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            return _oauth_error(400, "invalid_request", "expected application/x-www-form-urlencoded")
        form = {k: v[0] for k, v in parse_qs((await request.body()).decode("latin-1"), keep_blank_values=True).items()}
        if form.get("grant_type") != "client_credentials":
            missing = "grant_type" not in form
            return _oauth_error(400, "invalid_request" if missing else "unsupported_grant_type", "client_credentials")
        basic = request.headers.get("authorization")
        if basic and "client_secret" in form:
            return _oauth_error(400, "invalid_request", "credentials given twice")
        if not self._is_client(*(_basic(basic) if basic else (form.get("client_id"), form.get("client_secret")))):
            return _oauth_error(401, "invalid_client", "unknown client or wrong secret", basic is not None)
        return self._issue()

    def _is_client(self, client_id: str | None, secret: str | None) -> bool:
        given, expected = f"{client_id}\n{secret}", f"{self.settings.client_id}\n{self.settings.client_secret}"
        return hmac.compare_digest(given.encode(), expected.encode())

    def _issue(self) -> Response:
        seconds = self.settings.token_seconds
        token = self.tokens.issue(self.settings.client_id, seconds)
        body = {"access_token": token, "token_type": "Bearer", "expires_in": seconds}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    # ---- messages

    async def _send(self, request: Request) -> Response:
        verdict, token = self.tokens.judge(request.headers.get("authorization", ""))
        if verdict != "good" or token is None:
            return self._refuse(_unauthorised(verdict), {"WWW-Authenticate": f'Bearer error="{_code(verdict)}"'})
        remaining, wait = self._quota()
        limits = {"X-RateLimit-Remaining": str(remaining)}
        if wait:
            limits["Retry-After"] = str(wait)
            return self._refuse(Refusal(429, "rate_limited", "too many messages"), limits)
        self.sent_at.append(self.clock())
        raw = await self._body(request)
        if isinstance(raw, Refusal):
            return self._refuse(raw, limits)
        message = parse_message(raw)
        if isinstance(message, Refusal):
            return self._refuse(message, limits)
        return await self._take(
            Accepted(
                id="pb_" + secrets.token_hex(12),
                accepted=self.clock.real(),
                idempotency_key=request.headers.get("idempotency-key"),
                token_serial=token.serial,
                message=message,
            ),
            hashlib.sha256(raw).digest(),
            limits,
        )

    async def _body(self, request: Request) -> bytes | Refusal:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return Refusal(415, "unsupported_media_type", "expected application/json")
        if not 0 < len(request.headers.get("idempotency-key", "-")) <= MAX_KEY:
            return Refusal(400, "invalid_idempotency_key", f"expected 1 to {MAX_KEY} characters")
        body = await read_body(request, MAX_BODY)
        return Refusal(413, "too_large", f"at most {MAX_BODY} bytes") if body is None else body

    async def _take(self, accepted: Accepted, digest: bytes, limits: dict[str, str]) -> Response:
        name = accepted.idempotency_key if self.settings.honours_idempotency else None
        known = self.keys.get(name) if name else None
        if known and known.expires > self.clock():
            return self._replay(known, digest, limits)
        key = _Key(digest, self.clock() + self.settings.idempotency_seconds)
        if name:
            self.keys[name] = key
        await asyncio.sleep(self.settings.processing_seconds)
        key.answer = {"id": accepted.id, "status": "accepted"}
        self._accept(accepted, digest)
        return JSONResponse(key.answer, 202, limits)

    def _replay(self, key: _Key, digest: bytes, limits: dict[str, str]) -> Response:
        if key.digest != digest:
            return self._refuse(Refusal(409, "idempotency_mismatch", "this key was used with another body"), limits)
        if key.answer is None:
            refusal = Refusal(409, "idempotency_in_progress", "the first request is not finished")
            return self._refuse(refusal, {**limits, "Retry-After": "1"})
        return JSONResponse(key.answer, 202, {**limits, "Idempotent-Replayed": "true"})

    def _accept(self, accepted: Accepted, digest: bytes) -> None:
        self.messages[accepted.id] = accepted
        self.poster.schedule(live(accepted, self.poster.pace.delay_seconds))
        self.journal.append({"accepted": accepted.report(), "digest": digest.hex()})

    def _remember(self, accepted: Accepted, digest: bytes) -> None:
        self.messages[accepted.id] = accepted
        if accepted.idempotency_key:
            expires = accepted.accepted + self.settings.idempotency_seconds
            answer = {"id": accepted.id, "status": "accepted"}
            self.keys[accepted.idempotency_key] = _Key(digest, expires, answer)

    def _quota(self) -> tuple[int, int]:
        """Messages left in the window, and the whole seconds to wait when there are none."""
        now, window = self.clock(), self.settings.rate_window_seconds
        while self.sent_at and self.sent_at[0] <= now - window:
            self.sent_at.popleft()
        left = self.settings.rate_limit - len(self.sent_at)
        if left > 0:
            return left - 1, 0
        oldest = self.sent_at[0] if self.sent_at else now
        return 0, max(1, round(oldest + window - now + 0.5))

    def _refuse(self, refusal: Refusal, headers: dict[str, str]) -> Response:
        self.refused.append({"time": self.clock.real(), **vars(refusal)})
        return _error(refusal, headers)

    # ---- controls

    async def _inbox_page(self, _: Request) -> Response:
        return HTMLResponse(inbox_page(self.inbox()))

    async def _page(self, request: Request) -> Response:
        accepted = self.messages.get(request.path_params["id"])
        return HTMLResponse(message_page(accepted)) if accepted else HTMLResponse("No such message.", 404)

    def _set_webhook(self, webhook: Webhook) -> None:
        self.poster.webhook = webhook

    async def _emit(self, emit: Emit) -> object:
        if self.poster.webhook is None:
            raise ValueError("webhook: set it first")
        if emit.raw is not None:
            return [_outcome(await self.poster.post(emit.raw.encode("utf-8", "surrogateescape"), [], emit.spoil))]
        events = [event for message in self._chosen(emit) for event in _events(message, emit)]
        events = events[::-1] if emit.reverse else events
        return [await self._post(events[n : n + emit.batch], emit) for n in range(0, len(events), emit.batch)]

    def _chosen(self, emit: Emit) -> list[Accepted]:
        if emit.message_ids is None:
            return self.inbox()
        unknown = [name for name in emit.message_ids if name not in self.messages]
        if unknown:
            raise ValueError(f"message_ids: no such message {unknown[0]}")
        return [self.messages[name] for name in emit.message_ids]

    async def _post(self, events: list[Event], emit: Emit) -> dict[str, object]:
        delivery = await self.poster.post(*self.poster.batch(events), emit.spoil)
        for _ in range(emit.repeat - 1):
            await self.poster.again(delivery)
        return _outcome(delivery)


def _events(message: Accepted, emit: Emit) -> list[Event]:
    """The events asked for: those the message has, and new ones where it has none of the type."""
    if emit.types is None:
        return list(message.events)
    return [_event(message, kind, emit) for kind in emit.types]


def _event(message: Accepted, kind: Kind, emit: Emit) -> Event:
    new = (kind == "clicked" and emit.url) or (kind == "bounced" and emit.bounce)
    known = next((event for event in message.events if event["type"] == f"message.{kind}"), None)
    if known and not new:
        return known
    return message.event(kind, len(message.events) + 1, emit.url, SOFT if emit.bounce == "soft" else HARD)


def _outcome(delivery: Delivery) -> dict[str, object]:
    last = delivery.attempts[-1]
    return {"webhook_id": delivery.webhook_id, "status": last["status"], "events": delivery.event_ids}


def _error(refusal: Refusal, headers: dict[str, str]) -> Response:
    body = {"code": refusal.code, "message": refusal.message} | ({"field": refusal.field} if refusal.field else {})
    return JSONResponse({"error": body}, refusal.status, headers)


def _oauth_error(status: int, code: str, description: str, challenge: bool = False) -> Response:
    headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": 'Basic realm="postbird"'} if challenge else {})
    return JSONResponse({"error": code, "error_description": description}, status, headers)


def _code(verdict: str) -> str:
    return "token_expired" if verdict == "expired" else "invalid_token"


def _unauthorised(verdict: str) -> Refusal:
    return Refusal(401, _code(verdict), "the access token has expired" if verdict == "expired" else "not a valid token")


def _basic(header: str) -> tuple[str, str]:
    """The client's name and secret in an `Authorization: Basic` header, form-decoded as OAuth 2 says."""
    try:
        name, _, secret = base64.b64decode(header.removeprefix("Basic "), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(name), unquote_plus(secret)
