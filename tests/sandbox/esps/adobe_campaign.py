"""Adobe's token endpoint, and the transactional events of Campaign Standard. Written from "Managing transactional messages" and
"OAuth Server-to-Server credentials" (read 2026-11-21).

`POST /ims/token/v3` takes a form. `POST /{org}/campaign/mc{org}/{event}` wants a bearer token, the client id as `X-Api-Key`, and
JSON with a charset; it answers with the event and its `PKey`. An event has the fields that it was set up with, and no others.
"""

import json
import re
import secrets
from collections.abc import Iterator
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.sandbox.control import Settings
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z")


class AdobeCampaignSettings(Settings):
    """The credential, and the events that were set up, each with its fields."""

    client_id: str = "adobe-client-id"
    client_secret: str = "secret-of-adobe-client-secret-0123"
    scopes: tuple[str, ...] = (
        "openid",
        "AdobeID",
        "campaign_sdk",
        "campaign_config_server_general",
        "deliverability_service_general",
    )
    events: tuple[str, ...] = ("EVTcartAbandon",)
    fields: tuple[str, ...] = ("messageId", "subject", "html", "text", "mirrorUrl", "unsubscribeUrl")
    token_seconds: int = 86_399


class AdobeCampaignSandbox(VendorSandbox):
    """One organisation, geometrixx."""

    paths = {"/ims/token/v3": "token", "/geometrixx/campaign/mcgeometrixx/{event}": "send"}  # noqa: RUF012
    settings: AdobeCampaignSettings

    @classmethod
    def default_settings(cls) -> AdobeCampaignSettings:
        return AdobeCampaignSettings()

    def routes(self) -> list[BaseRoute]:
        return [Route("/ims/token/v3", self._token, methods=["POST"]), *super().routes()]

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, "429050", "Too many requests", {"Retry-After": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error(401, "401013", "Oauth token is not valid")
        return Response("Oops. Something went wrong.", 500 if fault.mode == "500" else 503)

    async def _token(self, request: Request) -> Response:
        is_form = request.headers.get("content-type", "").partition(";")[0] == "application/x-www-form-urlencoded"
        body = await read_body(request, 10_000) or b""
        form = dict(parse_qsl(body.decode())) if is_form else {}
        if form.get("grant_type") != "client_credentials":
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        if (form.get("client_id"), form.get("client_secret")) != (self.settings.client_id, self.settings.client_secret):
            return JSONResponse({"error": "invalid_client", "error_description": "invalid client_secret parameter"}, 401)
        if not set(form.get("scope", "").split(",")) <= set(self.settings.scopes):
            return JSONResponse({"error": "invalid_scope"}, 400)
        token = self.tokens.issue(self.settings.client_id, self.settings.token_seconds)
        return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": self.settings.token_seconds})

    async def send(self, request: Request) -> Response:
        if self.tokens.judge(request.headers.get("authorization", ""))[0] != "good":
            return _error(401, "401013", "Oauth token is not valid")
        if request.headers.get("x-api-key") != self.settings.client_id:
            return _error(403, "403000", "Api Key is invalid")
        if request.path_params["event"] not in self.settings.events:
            return _error(404, "404", "The event does not exist")
        kind, _, charset = request.headers.get("content-type", "").partition(";")
        if kind.strip() != "application/json" or not charset.strip().startswith("charset="):
            return _error(415, "415", "Content-Type must be application/json with a charset")
        try:
            event = json.loads(await read_body(request, 1_000_000) or b"")
        except ValueError:
            event = None
        if not isinstance(event, dict) or any(self._faults(event)):
            return _error(400, "RST-360011", "An error has occurred - please contact your administrator.")
        return self._take(request.path_params["event"], event)

    def _faults(self, event: dict[str, object]) -> Iterator[bool]:
        context = event.get("ctx", {})
        yield not {*event} <= {"email", "mobilePhone", "scheduled", "expiration", "ctx"}
        yield not _ADDRESS.fullmatch(str(event.get("email", "")))
        yield any(not _TIME.fullmatch(str(event.get(name, "2026-01-01T00:00:00Z"))) for name in ("scheduled", "expiration"))
        yield not isinstance(context, dict) or not {*context} <= {*self.settings.fields}

    def _take(self, name: str, event: dict[str, object]) -> Response:
        context = event.get("ctx")
        ours = str(context.get("messageId", "")) if isinstance(context, dict) else ""
        known = Taken("@" + secrets.token_urlsafe(24), str(event["email"]), ours, event)
        self.taken.append(known)
        where = {"href": f"mcgeometrixx/{name}/{known.id}", "serverUrl": "https://geometrixx.example", "type": ""}
        return JSONResponse({"PKey": known.id, **event, **where, "status": "pending"})


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error_code": code, "message": message}, status, headers)


SANDBOX = AdobeCampaignSandbox
