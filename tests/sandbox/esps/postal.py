"""Postal's `send/message`. Written from its API reference and django-anymail's notes on it (read 2026-11-21).

`POST /api/v1/send/message`, `X-Server-API-Key`, JSON. Whatever it answers is HTTP 200: `{"status": "success", "time", "flags",
"data": {"message_id", "messages": {recipient: {"id", "token"}}}}`, `{"status": "error", …, "data": {"code", "message"}}`, or
`{"status": "parameter-error", …, "data": {"message"}}`. Only its web server answers otherwise.
"""

import secrets
import uuid

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tests.sandbox.control import Settings
from tests.sandbox.esps.reading import ADDRESS, Shape, json_object, wrong
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault

MOST_RECIPIENTS = 50
_MESSAGE: Shape = {
    "to": [str],
    "cc": [str],
    "bcc": [str],
    "from": str,
    "sender": str,
    "subject": str,
    "tag": str,
    "reply_to": str,
    "plain_body": str,
    "html_body": str,
    "headers": {"*": str},
    "bounce": bool,
}


class PostalSettings(Settings):
    """The mail server: its key, its state, and whom it may send as."""

    key: str = "secret-of-postal-api-key-0123"
    sender_domain: str = "example.com"
    suspended: bool = False


class PostalSandbox(VendorSandbox):
    """One mail server."""

    paths = {"/api/v1/send/message": "send"}  # noqa: RUF012
    settings: PostalSettings

    @classmethod
    def default_settings(cls) -> PostalSettings:
        return PostalSettings()

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return PlainTextResponse("", 429, {"Retry-After": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error("InvalidServerAPIKey", "The API token provided in X-Server-API-Key was not valid.")
        return PlainTextResponse("", 500 if fault.mode == "500" else 503)

    async def send(self, request: Request) -> Response:
        key = request.headers.get("x-server-api-key")
        if key is None:
            return _error("AccessDenied", "Must be authenticated as a server.")
        if key != self.settings.key:
            return _error("InvalidServerAPIKey", "The API token provided in X-Server-API-Key was not valid.")
        if self.settings.suspended:
            return _error("ServerSuspended", "The mail server has been suspended.")
        message = await json_object(request, 25_000_000, lambda why: _answer("parameter-error", {"message": why}))
        bad = wrong(message, _MESSAGE)
        if bad is not None:
            return _answer("parameter-error", {"message": f"{bad.path} is {bad.why}"})
        code = self._fault(message)
        return _error(code, "The message was not accepted.") if code else self._take(message)

    def _fault(self, message: dict[str, JsonValue]) -> str:
        to, sender = message.get("to") or [], str(message.get("from", ""))
        assert isinstance(to, list)
        address = sender.rpartition("<")[2].rstrip(">")
        faults = (
            ("NoRecipients", not to),
            ("TooManyToAddresses", len(to) > MOST_RECIPIENTS),
            ("NoContent", not message.get("plain_body") and not message.get("html_body")),
            ("FromAddressMissing", not ADDRESS.fullmatch(address)),
            ("UnauthenticatedFromAddress", not address.endswith("@" + self.settings.sender_domain)),
            ("ValidationError", not all(ADDRESS.fullmatch(str(one)) for one in to)),
        )
        return next((code for code, wrong_so in faults if wrong_so), "")

    def _take(self, message: dict[str, JsonValue]) -> Response:
        to, id_ = message["to"], f"{uuid.uuid4()}@rp.postal.example.com"
        assert isinstance(to, list)
        self.taken += [Taken(id_, str(one), str(message.get("tag", "")), message) for one in to]
        messages: JsonValue = {str(one): {"id": 1000 + at, "token": secrets.token_hex(6)} for at, one in enumerate(to)}
        return _answer("success", {"message_id": id_, "messages": messages})


def _answer(status: str, data: dict[str, JsonValue]) -> Response:
    return JSONResponse({"status": status, "time": 0.02, "flags": {}, "data": data})


def _error(code: str, sentence: str) -> Response:
    return _answer("error", {"code": code, "message": sentence})


SANDBOX = PostalSandbox
