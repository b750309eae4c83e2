"""Mailtrap's batch endpoint. Written from its API reference and django-anymail's notes on it (read 2026-11-21).

`POST /api/batch`, `Api-Token`, JSON: `{"base"?: {…}, "requests": […]}` of at most 500. The answer is 200 with one part for
each, `success` and `message_ids` or `errors`; only what concerns all of them is a 4xx, `{"success": false, "errors": […]}`.
"""

import uuid

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.sandbox.control import Settings
from tests.sandbox.esps.reading import ADDRESS, Shape, json_object, wrong
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault

MOST = 500
MAX_MESSAGE = 10_000_000
_PERSON: Shape = {"email!": ADDRESS, "name": str}
_MESSAGE: Shape = {
    "from!": _PERSON,
    "to!": [_PERSON],
    "cc": [_PERSON],
    "bcc": [_PERSON],
    "subject!": str,
    "text": str,
    "html": str,
    "category": str,
    "headers": {"*": str},
    "custom_variables": {"*": str},
}


class MailtrapSettings(Settings):
    """The account: its token, and whom it may send as."""

    token: str = "secret-of-mailtrap-api-token-0123"
    sender_domain: str = "example.com"


class MailtrapSandbox(VendorSandbox):
    """One account."""

    paths = {"/api/batch": "send"}  # noqa: RUF012
    settings: MailtrapSettings

    @classmethod
    def default_settings(cls) -> MailtrapSettings:
        return MailtrapSettings()

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, "Too many requests", {"Retry-After": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error(401, "Unauthorized")
        return _error(500 if fault.mode == "500" else 503, "Internal Server Error")

    async def send(self, request: Request) -> Response:
        if request.headers.get("api-token") != self.settings.token:
            return _error(401, "Unauthorized")
        body = await json_object(request, MOST * MAX_MESSAGE, lambda why: _error(400, why))
        base, requests = body.get("base", {}), body.get("requests")
        if set(body) - {"base", "requests"} or not isinstance(base, dict) or not isinstance(requests, list) or not requests:
            return _error(400, "'requests' is required")
        if len(requests) > MOST:
            return _error(400, f"too many requests in the batch, at most {MOST}")
        whole = [{**base, **one} if isinstance(one, dict) else one for one in requests]
        if any(not self._may_send_as(one) for one in whole):
            return _error(403, "the domain of 'from' is not verified")
        return JSONResponse({"success": True, "responses": [self._take(one) for one in whole]})

    def _may_send_as(self, message: JsonValue) -> bool:
        sender = message.get("from") if isinstance(message, dict) else None
        email = sender.get("email") if isinstance(sender, dict) else None
        return not isinstance(email, str) or email.endswith("@" + self.settings.sender_domain)

    def _take(self, message: JsonValue) -> dict[str, JsonValue]:
        bad = wrong(message, _MESSAGE)
        if bad is not None:
            return {"success": False, "errors": [f"'{bad.path}' is {bad.why}"]}
        assert isinstance(message, dict)
        if not message.get("text") and not message.get("html"):
            return {"success": False, "errors": ["'text' or 'html' is required"]}
        if len(str(message)) > MAX_MESSAGE:
            return {"success": False, "errors": ["the message is too large"]}
        to, variables = message["to"], message.get("custom_variables") or {}
        assert isinstance(to, list)
        assert isinstance(variables, dict)
        ids = [str(uuid.uuid4()) for _ in to]
        for person, id_ in zip(to, ids, strict=True):
            assert isinstance(person, dict)
            self.taken.append(Taken(id_, str(person["email"]), str(variables.get("message_id", "")), message))
        return {"success": True, "message_ids": [*ids]}


def _error(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"success": False, "errors": [sentence]}, status, headers)


SANDBOX = MailtrapSandbox
