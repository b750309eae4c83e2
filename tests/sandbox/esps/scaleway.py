"""Scaleway Transactional Email's `emails`. Written from its API definition (read 2026-11-21).

`POST /transactional-email/v1alpha1/regions/{region}/emails`, `X-Auth-Token`, JSON. 200: `{"emails": [{"id", "message_id",
"mail_rcpt", "status", …}]}`, one for each recipient. Errors are `{"type", "message", …}`.
"""

import uuid

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.sandbox.control import Settings
from tests.sandbox.esps.reading import ADDRESS, Shape, Wrong, json_object, wrong
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault

_PERSON: Shape = {"email!": ADDRESS, "name": str}
_EMAIL: Shape = {
    "from!": _PERSON,
    "to!": [_PERSON],
    "cc": [_PERSON],
    "bcc": [_PERSON],
    "subject!": str,
    "text": str,
    "html": str,
    "project_id!": str,
    "additional_headers": [{"key!": str, "value!": str}],
    "send_before": str,
}
OUR_HEADER = "x-sendbridge-message"


class ScalewaySettings(Settings):
    """The project: its key, its quota, and whom it may send as."""

    key: str = "secret-of-scaleway-secret-key-0123"
    project: str = "scaleway-project-id"
    regions: tuple[str, ...] = ("fr-par", "scaleway-region")
    sender_domain: str = "example.com"
    quota: int = 1_000_000


class ScalewaySandbox(VendorSandbox):
    """One project."""

    paths = {"/transactional-email/v1alpha1/regions/{region}/emails": "send"}  # noqa: RUF012
    settings: ScalewaySettings

    @classmethod
    def default_settings(cls) -> ScalewaySettings:
        return ScalewaySettings()

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, "too_many_requests", "too many requests", headers={"Retry-After": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error(401, "denied_authentication", "authentication is denied", {"method": "api_key", "reason": "expired"})
        return _error(500 if fault.mode == "500" else 503, "internal_error", "internal error")

    async def send(self, request: Request) -> Response:
        if request.headers.get("x-auth-token") != self.settings.key:
            return _error(401, "denied_authentication", "authentication is denied", {"method": "api_key", "reason": "not_found"})
        if request.path_params["region"] not in self.settings.regions:
            return _error(404, "unknown_resource", "unknown resource")
        body = await json_object(request, 2_000_000, lambda why: _error(400, "invalid_arguments", why))
        bad = wrong(body, _EMAIL) or self._wrong(body)
        if bad is not None:
            details: JsonValue = [{"argument_name": bad.path, "reason": "required" if bad.why == "missing" else "constraint"}]
            return _error(400, "invalid_arguments", "invalid argument(s)", {"details": details})
        if body["project_id"] != self.settings.project:
            return _error(403, "permissions_denied", "insufficient permissions")
        if len(self.taken) >= self.settings.quota:
            return _error(403, "quotas_exceeded", "quota exceeded", {"details": []})
        return self._take(body)

    def _wrong(self, body: dict[str, JsonValue]) -> Wrong | None:
        sender = body["from"]
        assert isinstance(sender, dict)
        if not str(sender["email"]).endswith("@" + self.settings.sender_domain):
            return Wrong("from.email", "invalid")
        return None if body.get("text") or body.get("html") else Wrong("text", "missing")

    def _take(self, body: dict[str, JsonValue]) -> Response:
        people, headers = body["to"], body.get("additional_headers") or []
        assert isinstance(people, list)
        assert isinstance(headers, list)
        named = {str(one["key"]).lower(): str(one["value"]) for one in headers if isinstance(one, dict)}
        taken = [
            Taken(str(uuid.uuid4()), str(one["email"]), named.get(OUR_HEADER, ""), body)
            for one in people
            if isinstance(one, dict)
        ]
        self.taken += taken
        emails = [{"id": one.id, "message_id": str(uuid.uuid4()), "mail_rcpt": one.to, "status": "sending"} for one in taken]
        return JSONResponse({"emails": emails})


def _error(
    status: int, kind: str, sentence: str, more: dict[str, JsonValue] | None = None, headers: dict[str, str] | None = None
) -> Response:
    return JSONResponse({"type": kind, "message": sentence, **(more or {})}, status, headers)


SANDBOX = ScalewaySandbox
