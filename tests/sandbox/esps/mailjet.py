"""Mailjet's Send API v3.1, and the look-up of messages. Written from its API reference (read 2026-11-21).

`POST /v3.1/send`, Basic `key:secret`, JSON: `{"Messages": […]}` of at most 50. The answer has one part for each; if one is
refused, the whole answer is 400, and the others are taken all the same. Message ids are larger than 2^53.
`GET /v3/REST/message?CustomID=…` lists messages.
"""

import base64
import hmac
import uuid

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.sandbox.control import Settings
from tests.sandbox.esps.reading import ADDRESS, Shape, Wrong, json_object, wrong
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault

MOST = 50
FIRST_ID = 1_152_921_515_074_612_345
_PERSON: Shape = {"Email!": ADDRESS, "Name": str}
_MESSAGE: Shape = {
    "From!": _PERSON,
    "To!": [_PERSON],
    "Cc": [_PERSON],
    "Bcc": [_PERSON],
    "ReplyTo": _PERSON,
    "Subject": str,
    "TextPart": str,
    "HTMLPart": str,
    "CustomID": str,
    "CustomCampaign": str,
    "EventPayload": str,
    "DeduplicateCampaign": bool,
    "Headers": {"*": str},
    "Variables": {"*": str},
}
_CODES = {"missing": "mj-0003", "unknown": "mj-0006", "invalid": "mj-0004"}


class MailjetSettings(Settings):
    """The account: its key, and whom it may send as."""

    key: str = "mailjet-api-key"
    secret: str = "secret-of-mailjet-secret-key-0123"
    sender_domain: str = "example.com"


class MailjetSandbox(VendorSandbox):
    """One account."""

    paths = {"/v3.1/send": "send"}  # noqa: RUF012
    settings: MailjetSettings

    @classmethod
    def default_settings(cls) -> MailjetSettings:
        return MailjetSettings()

    def routes(self) -> list[BaseRoute]:
        return [*super().routes(), Route("/v3/REST/message", self._list)]

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, "mj-0429", "Too many requests", {"Retry-After": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _unauthorised()
        return _error(500 if fault.mode == "500" else 503, "mj-0500", "Internal Server Error")

    async def send(self, request: Request) -> Response:
        if not self._knows(request):
            return _unauthorised()
        body = await json_object(request, 15_000_000, lambda why: _error(400, "mj-0001", why))
        messages = body.get("Messages")
        if set(body) - {"Messages", "SandboxMode", "Globals"} or not isinstance(messages, list) or not messages:
            return _error(400, "mj-0003", '"Messages" property is mandatory.')
        if len(messages) > MOST:
            return _error(400, "mj-0020", f"At most {MOST} messages.")
        parts = [self._take(message) for message in messages]
        refused = any(part["Status"] == "error" for part in parts)
        return JSONResponse({"Messages": parts}, 400 if refused else 200)

    def _knows(self, request: Request) -> bool:
        right = "Basic " + base64.b64encode(f"{self.settings.key}:{self.settings.secret}".encode()).decode()
        return hmac.compare_digest(request.headers.get("authorization", "").encode(), right.encode())

    def _take(self, message: JsonValue) -> dict[str, JsonValue]:
        bad = wrong(message, _MESSAGE)
        if bad is not None or not isinstance(message, dict):
            return _refused(400, *_said(bad or Wrong("", "invalid")))
        if not message.get("TextPart") and not message.get("HTMLPart"):
            return _refused(400, "send-0003", "At least 'HTMLPart', 'TextPart' or 'TemplateID' must be provided.", "TextPart")
        if len(str(message.get("Subject", ""))) > 255:
            return _refused(400, "mj-0007", "Subject is too long.", "Subject")
        sender, to = _email(message["From"]), message["To"]
        assert isinstance(to, list)
        if not sender.endswith("@" + self.settings.sender_domain):
            return _refused(403, "send-0008", f'"{sender}" is not an authorized sender email address.', "From")
        return {"Status": "success", "CustomID": message.get("CustomID", ""), "To": [self._keep(_email(to[0]), message)]}

    def _keep(self, to: str, message: dict[str, JsonValue]) -> JsonValue:
        number = FIRST_ID + len(self.taken)
        self.taken.append(Taken(str(number), to, str(message.get("CustomID", "")), message))
        return {"Email": to, "MessageUUID": str(uuid.uuid4()), "MessageID": number, "MessageHref": f"https://x/message/{number}"}

    async def _list(self, request: Request) -> Response:
        if not self._knows(request):
            return _unauthorised()
        wanted = request.query_params.get("CustomID")
        found = [{"ID": int(one.id), "Status": "sent"} for one in self.taken if wanted in (None, one.ours)][:10]
        return JSONResponse({"Count": len(found), "Data": found, "Total": len(found)})


def _email(person: JsonValue) -> str:
    assert isinstance(person, dict)
    return str(person["Email"])


def _said(bad: Wrong) -> tuple[str, str, str]:
    code = "mj-0013" if bad.path.endswith("Email") and bad.why == "invalid" else _CODES[bad.why]
    return code, f"{bad.path} is {bad.why}.", bad.path


def _refused(status: int, code: str, sentence: str, field: str) -> dict[str, JsonValue]:
    error: JsonValue = {
        "ErrorIdentifier": str(uuid.uuid4()),
        "ErrorCode": code,
        "StatusCode": status,
        "ErrorMessage": sentence,
        "ErrorRelatedTo": [field],
    }
    return {"Status": "error", "Errors": [error]}


def _error(status: int, code: str, sentence: str, headers: dict[str, str] | None = None) -> Response:
    body = {"ErrorIdentifier": str(uuid.uuid4()), "ErrorCode": code, "ErrorMessage": sentence, "StatusCode": status}
    return JSONResponse(body, status, headers)


def _unauthorised() -> Response:
    return _error(401, "mj-0002", "API key authentication/authorization failure.")


SANDBOX = MailjetSandbox
