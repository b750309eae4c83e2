"""A generic ESP that wants to be signed in to in one way, and refuses every other: one per style of authentication.

`POST /v1/messages` takes `{"to": …, "message_id": …}` and answers 202. With OAuth 2.0 (RFC 6749, section 4.4), `POST
/oauth/token` wants exactly the fields, and the headers that begin with `x-`, that the settings say, each once, and answers with
the names that they say.
"""

import base64
import json
from collections.abc import Mapping
from typing import Literal
from urllib.parse import parse_qsl, unquote_plus

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.sandbox.control import Settings
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body
from tests.sandbox.sigv4 import Signer, wrong_with

_TYPES = {"form": "application/x-www-form-urlencoded", "json": "application/json"}


class StyleSettings(Settings):
    """How to sign in."""

    style: Literal["none", "basic", "bearer", "oauth2", "sigv4"] = "none"
    user: str = "shop"
    password: str = "pass-0123456789"
    scheme: str = "Bearer"
    key: str = "key-0123456789"
    client_id: str = "client-1"
    client_secret: str = "secret-0123456789"
    client_id_key: str = "client_id"
    client_secret_key: str = "client_secret"
    credentials_in: Literal["body", "header"] = "body"
    encoding: Literal["form", "json"] = "form"
    scope: str = ""
    audience: str = ""
    parameters: dict[str, str] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    token_field: str = "access_token"
    lifetime_field: str = "expires_in"
    token_seconds: int = 600
    signer: Signer = Signer()


class StyleSandbox(VendorSandbox):
    """One such ESP."""

    paths = {"/oauth/token": "token", "/v1/messages": "send"}  # noqa: RUF012
    settings: StyleSettings

    @classmethod
    def default_settings(cls) -> StyleSettings:
        return StyleSettings()

    def routes(self) -> list[BaseRoute]:
        return [Route("/oauth/token", self._token, methods=["POST"]), *super().routes()]

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return JSONResponse({"error": "rate_limited"}, 429, {"Retry-After": str(fault.retry_after)})
        return JSONResponse({"error": "unavailable"}, {"revoked": 401, "500": 500}.get(fault.mode, 503))

    async def send(self, request: Request) -> Response:
        body = await read_body(request, 100_000) or b""
        refused = self._refused(request, body)
        if refused is not None:
            return refused
        try:
            message = json.loads(body)
            self.taken.append(Taken(f"g{len(self.taken) + 1}", message["to"], message["message_id"], message))
        except (ValueError, TypeError, KeyError):
            return JSONResponse({"error": "invalid_message"}, 400)
        return JSONResponse({"id": self.taken[-1].id}, 202)

    def _refused(self, request: Request, body: bytes) -> Response | None:
        given = request.headers.getlist("authorization")
        if self.settings.style == "none":
            return _error(400, "unexpected_credentials") if given else None
        if len(given) != 1:
            return _error(401, "missing_credentials")
        if self.settings.style == "sigv4":
            wrong = wrong_with(self.settings.signer, request, body, self.clock())
            return JSONResponse({"message": wrong[1]}, 403, {"x-amzn-ErrorType": wrong[0]}) if wrong else None
        return None if self._is_right(given[0]) else _error(401, "invalid_credentials")

    def _is_right(self, given: str) -> bool:
        of = self.settings
        if of.style == "basic":
            return given == "Basic " + base64.b64encode(f"{of.user}:{of.password}".encode()).decode()
        scheme, _, value = given.partition(" ")
        if of.style == "bearer":
            return (scheme, value) == (of.scheme, of.key)
        return scheme == of.scheme and self.tokens.judge(f"Bearer {value}")[0] == "good"

    # ---- tokens

    async def _token(self, request: Request) -> Response:
        of = self.settings
        if request.headers.get("content-type") != _TYPES[of.encoding]:
            return _error(400, "invalid_request")
        fields = self._fields(await read_body(request, 10_000) or b"")
        basic = request.headers.get("authorization")
        if fields is None or (of.credentials_in == "header") != (basic is not None):
            return _error(400, "invalid_request")
        given = _pair(basic) if basic else (fields.pop(of.client_id_key, None), fields.pop(of.client_secret_key, None))
        if given != (of.client_id, of.client_secret):
            return _error(401, "invalid_client")
        if {name: value for name, value in request.headers.items() if name.startswith("x-")} != of.headers:
            return _error(400, "wrong_headers")
        fault = self._fault(fields)
        return _error(400, fault) if fault else self._issue()

    def _fault(self, fields: Mapping[str, str]) -> str:
        of = self.settings
        if fields.get("grant_type") != "client_credentials":
            return "unsupported_grant_type"
        if fields.get("scope", "") != of.scope:
            return "invalid_scope"
        if fields.get("audience", "") != of.audience:
            return "invalid_audience"
        rest = {name: value for name, value in fields.items() if name not in ("grant_type", "scope", "audience")}
        return "" if rest == of.parameters else "invalid_request"

    def _fields(self, body: bytes) -> dict[str, str] | None:
        """The fields of a token request; None if it is none of its kind, or has a field twice, or an empty one."""
        try:
            if self.settings.encoding == "form":
                pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
            else:
                pairs = json.loads(body, object_pairs_hook=list)
            texts = [(name, value) for name, value in pairs if isinstance(value, str) and value]
        except (ValueError, TypeError):
            return None
        return dict(texts) if len(dict(texts)) == len(pairs) else None

    def _issue(self) -> Response:
        of = self.settings
        token = self.tokens.issue(of.client_id, of.token_seconds)
        body: dict[str, object] = {"token_type": of.scheme}
        for path, value in ((of.token_field, token), (of.lifetime_field, of.token_seconds)):
            *way, last = path.split(".")
            inner = body
            for step in way:
                inner = inner.setdefault(step, {})  # type: ignore[assignment]
            inner[last] = value
        return JSONResponse(body, headers={"Cache-Control": "no-store"})


def _pair(header: str) -> tuple[str, str] | tuple[None, None]:
    """Who a Basic header says: each part form-decoded, as RFC 6749, section 2.3.1, has it."""
    scheme, _, value = header.partition(" ")
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return None, None
    return (unquote_plus(user), unquote_plus(password)) if scheme == "Basic" and colon else (None, None)


def _error(status: int, code: str) -> Response:
    return JSONResponse({"error": code}, status, {"WWW-Authenticate": "Bearer"} if status == 401 else None)
