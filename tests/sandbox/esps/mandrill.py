"""Mailchimp Transactional's (Mandrill's) `messages/send` and `messages/search`, and its webhooks' signature. Written from its API
reference and django-anymail's notes on it (read 2026-11-21).

`POST /api/1.0/messages/send.json`, JSON with the API key as `key`. 200: a list with a status for each recipient, and `rejected`
and `invalid` are among them. Errors are HTTP 500, `{"status": "error", "code", "name", "message"}`.

In the sandbox, recipients that begin with `dead` are rejected, and those with `odd` are invalid.
"""

import secrets

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from tests.sandbox.control import Settings
from tests.sandbox.esps.reading import ADDRESS, Shape, json_object, wrong
from tests.sandbox.esps.vendor import Refused, Taken, VendorSandbox
from tests.sandbox.faults import Fault

_MESSAGE: Shape = {
    "from_email!": ADDRESS,
    "from_name": str,
    "to!": [{"email!": str, "name": str, "type": str}],
    "subject": str,
    "html": str,
    "text": str,
    "headers": {"*": str},
    "metadata": {"*": str},
    "tags": [str],
    "preserve_recipients": bool,
    "track_opens": bool,
    "track_clicks": bool,
    "subaccount": str,
}
_CALL: Shape = {"key!": str, "message!": _MESSAGE, "async": bool, "ip_pool": str, "send_at": str}


class MandrillSettings(Settings):
    """The account: its key, and whom it may send as."""

    key: str = "secret-of-mandrill-api-key-0123"
    sender_domain: str = "example.com"


class MandrillSandbox(VendorSandbox):
    """One account."""

    paths = {"/api/1.0/messages/send.json": "send"}  # noqa: RUF012
    settings: MandrillSettings

    @classmethod
    def default_settings(cls) -> MandrillSettings:
        return MandrillSettings()

    def routes(self) -> list[BaseRoute]:
        return [*super().routes(), Route("/api/1.0/messages/search.json", self._search, methods=["POST"])]

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return PlainTextResponse("", 429, {"Retry-After": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error(-1, "Invalid_Key", "Invalid API key")
        return _error(-99, "GeneralError", "General Error") if fault.mode == "500" else PlainTextResponse("", 503)

    async def send(self, request: Request) -> Response:
        call = await self._call(request)
        bad = wrong(call, _CALL)
        if bad is not None:
            return _error(-2, "ValidationError", f"You must specify a {bad.path} value: it is {bad.why}")
        if "send_at" in call:
            return _error(10, "PaymentRequired", "Email scheduling is only available for accounts with a positive balance.")
        message = call["message"]
        assert isinstance(message, dict)
        recipients = message["to"]
        assert isinstance(recipients, list)
        return JSONResponse([self._take(person, message) for person in recipients if isinstance(person, dict)])

    async def _call(self, request: Request) -> dict[str, JsonValue]:
        call = await json_object(request, 25_000_000, lambda why: _error(-1, "ValidationError", why))
        if call.get("key") != self.settings.key:
            raise Refused(_error(-1, "Invalid_Key", "Invalid API key"))
        return call

    def _take(self, person: dict[str, JsonValue], message: dict[str, JsonValue]) -> JsonValue:
        to, id_ = str(person["email"]), secrets.token_hex(16)
        if not ADDRESS.fullmatch(to) or to.startswith("odd"):
            return {"email": to, "status": "invalid", "_id": id_, "reject_reason": None}
        known_sender = str(message["from_email"]).endswith("@" + self.settings.sender_domain)
        if not known_sender or to.startswith("dead"):
            reason = "hard-bounce" if known_sender else "invalid-sender"
            return {"email": to, "status": "rejected", "_id": id_, "reject_reason": reason}
        metadata = message.get("metadata", {})
        assert isinstance(metadata, dict)
        self.taken.append(Taken(id_, to, str(metadata.get("message_id", "")), message))
        return {"email": to, "status": "sent", "_id": id_, "reject_reason": None}

    async def _search(self, request: Request) -> Response:
        call = await self._call(request)
        bad = wrong(call, {"key!": str, "query!": str, "limit": int, "date_from": str, "date_to": str})
        if bad is not None:
            return _error(-2, "ValidationError", f"{bad.path} is {bad.why}")
        to, limit = str(call["query"]).removeprefix("full_email:"), call.get("limit", 100)
        assert isinstance(limit, int)
        found = [one for one in reversed(self.taken) if one.to == to][:limit]
        rows = [{"_id": one.id, "email": one.to, "state": "sent", "metadata": one.content.get("metadata")} for one in found]
        return JSONResponse(rows)


def _error(code: int, name: str, sentence: str) -> Response:
    return JSONResponse({"status": "error", "code": code, "name": name, "message": sentence}, 500)


SANDBOX = MandrillSandbox
