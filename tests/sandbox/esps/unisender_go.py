"""Unisender Go's `email/send`. Written from its Web API reference and django-anymail's notes on it (copies read 2026-11-21).

`POST /ru/transactional/api/v1/email/send.json`, `X-API-KEY`, JSON `{"message": {…}}` for at most 500 recipients. 200: `{"status":
"success", "job_id", "emails": [taken], "failed_emails": {address: why}}`. Errors are `{"status": "error", "code", "message"}`.

In the sandbox, recipients that begin with `gone`, `later` and `left` are unavailable for good, at the moment, and unsubscribed.
"""

import secrets

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.sandbox.control import Settings
from tests.sandbox.esps.reading import ADDRESS, Shape, json_object, wrong
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault

MOST = 500
_ANY: Shape = {"*": str}
_CALL: Shape = {
    "message!": {
        "recipients!": [{"email!": str, "substitutions": _ANY, "metadata": _ANY}],
        "body!": {"html": str, "plaintext": str, "amp": str},
        "subject!": str,
        "from_email!": ADDRESS,
        "from_name": str,
        "reply_to": str,
        "headers": _ANY,
        "tags": [str],
        "global_metadata": _ANY,
        "track_links": int,
        "track_read": int,
        "skip_unsubscribe": int,
        "idempotence_key": str,
    }
}
_FAILS = {"gone": "permanent_unavailable", "later": "temporary_unavailable", "left": "unsubscribed"}


class UnisenderGoSettings(Settings):
    """The account: its key, and whom it may send as."""

    key: str = "secret-of-unisender-go-api-key-0123"
    sender_domain: str = "example.com"


class UnisenderGoSandbox(VendorSandbox):
    """One account."""

    paths = {"/ru/transactional/api/v1/email/send.json": "send"}  # noqa: RUF012
    settings: UnisenderGoSettings

    @classmethod
    def default_settings(cls) -> UnisenderGoSettings:
        return UnisenderGoSettings()

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, 905, "Too many requests", {"Retry-After": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error(401, 102, "Can not authenticate by this API key")
        return _error(500 if fault.mode == "500" else 503, 901, "Internal error")

    async def send(self, request: Request) -> Response:
        if request.headers.get("x-api-key") != self.settings.key:
            return _error(401, 102, "Can not authenticate by this API key")
        call = await json_object(request, 10_000_000, lambda why: _error(400, 150, why))
        bad = wrong(call, _CALL)
        if bad is not None:
            return _error(400, 151, f"{bad.path} is {bad.why}")
        message = call["message"]
        assert isinstance(message, dict)
        recipients = message["recipients"]
        assert isinstance(recipients, list)
        if len(recipients) > MOST:
            return _error(400, 152, f"At most {MOST} recipients")
        if not str(message["from_email"]).endswith("@" + self.settings.sender_domain):
            return _error(403, 204, "The sender's domain is not confirmed")
        return self._take(message, [one for one in recipients if isinstance(one, dict)])

    def _take(self, message: dict[str, JsonValue], recipients: list[dict[str, JsonValue]]) -> Response:
        job, failed, good = secrets.token_hex(8), dict[str, JsonValue](), list[JsonValue]()
        for one in recipients:
            to, metadata = str(one["email"]), one.get("metadata") or {}
            assert isinstance(metadata, dict)
            why = _why(to)
            if why:
                failed[to] = why
            else:
                good.append(to)
                self.taken.append(Taken(job, to, str(metadata.get("message_id", "")), message))
        answer: dict[str, JsonValue] = {"status": "success", "job_id": job, "emails": good}
        return JSONResponse(answer | ({"failed_emails": failed} if failed else {}))


def _why(to: str) -> str:
    if not ADDRESS.fullmatch(to):
        return "invalid"
    return next((why for start, why in _FAILS.items() if to.startswith(start)), "")


def _error(status: int, code: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"status": "error", "code": code, "message": sentence}, status, headers)


SANDBOX = UnisenderGoSandbox
