"""MailerSend's email endpoint. Written from its API reference and django-anymail's notes on it (read 2026-11-21).

`POST /v1/email`, Bearer, JSON. 202 with an empty body and the header `X-Message-Id`; a warning in JSON and no id, if all
recipients are suppressed. 422 is `{"message", "errors": {field: [sentence]}}`. 120 requests a minute, told by
`x-ratelimit-limit` and `x-ratelimit-remaining`; beyond it 429 with `retry-after`. Only Enterprise accounts may set headers.

In the sandbox, recipients that begin with `suppressed` are.
"""

import secrets
from collections import deque

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from tests.sandbox.control import Settings
from tests.sandbox.esps.reading import ADDRESS, Shape, json_object, wrong
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault

_PERSON: Shape = {"email!": ADDRESS, "name": str}
_MESSAGE: Shape = {
    "from!": _PERSON,
    "to!": [_PERSON],
    "cc": [_PERSON],
    "bcc": [_PERSON],
    "reply_to": _PERSON,
    "subject!": str,
    "text": str,
    "html": str,
    "tags": [str],
    "headers": [{"name!": str, "value!": str}],
    "precedence_bulk": bool,
    "send_at": int,
    "settings": {"track_clicks": bool, "track_opens": bool, "track_content": bool},
}


class MailerSendSettings(Settings):
    """The account: its token, its plan, and whom it may send as."""

    token: str = "secret-of-mailersend-api-token-0123"
    sender_domain: str = "example.com"
    enterprise: bool = False
    per_minute: int = 120


class MailerSendSandbox(VendorSandbox):
    """One account."""

    paths = {"/v1/email": "send"}  # noqa: RUF012
    settings: MailerSendSettings

    @classmethod
    def default_settings(cls) -> MailerSendSettings:
        return MailerSendSettings()

    def forget(self) -> None:
        super().forget()
        self.at: deque[float] = deque()

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, "Too Many Attempts.", headers={"Retry-After": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error(401, "Unauthenticated.")
        return _error(500 if fault.mode == "500" else 503, "Server Error")

    async def send(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.settings.token}":
            return _error(401, "Unauthenticated.")
        now = self.clock()
        while self.at and self.at[0] <= now - 60:
            self.at.popleft()
        left = self.settings.per_minute - len(self.at)
        limits = {"x-ratelimit-limit": str(self.settings.per_minute), "x-ratelimit-remaining": str(max(left - 1, 0))}
        if left <= 0:
            return _error(429, "Too Many Attempts.", headers={**limits, "retry-after": str(round(self.at[0] + 60 - now))})
        self.at.append(now)
        message = await json_object(request, 50_000_000, lambda why: _error(400, why))
        faults = self._faults(message)
        if faults:
            return _error(422, "The given data was invalid.", faults, limits)
        return self._take(message, limits)

    def _faults(self, message: dict[str, JsonValue]) -> dict[str, str]:
        bad = wrong(message, _MESSAGE)
        if bad is not None:
            return {bad.path: f"The {bad.path} field is {bad.why}. #MS42209"}
        sender, tags = message["from"], message.get("tags") or []
        assert isinstance(sender, dict)
        assert isinstance(tags, list)
        if not str(sender["email"]).endswith("@" + self.settings.sender_domain):
            return {"from.email": "The from.email domain must be verified in your account to send emails. #MS42207"}
        if not message.get("text") and not message.get("html"):
            return {"text": "The text field is required when none of html / template id are present."}
        if len(tags) > 5:
            return {"tags": "The tags may not have more than 5 items."}
        if "headers" in message and not self.settings.enterprise:
            return {"headers": "The headers field is available to Enterprise accounts only."}
        return {}

    def _take(self, message: dict[str, JsonValue], limits: dict[str, str]) -> Response:
        people, tags = message["to"], message.get("tags") or [""]
        assert isinstance(people, list)
        assert isinstance(tags, list)
        to = [str(person["email"]) for person in people if isinstance(person, dict)]
        if all(one.startswith("suppressed") for one in to):
            recipients: JsonValue = [{"email": one, "name": None, "reasons": ["hard_bounced"]} for one in to]
            warning: JsonValue = {"type": "ALL_SUPPRESSED", "warning": "All recipients are suppressed.", "recipients": recipients}
            return JSONResponse({"message": "There are some warnings for your request.", "warnings": [warning]}, 202, limits)
        known = Taken(secrets.token_hex(12), to[0], str(tags[0]), message)
        self.taken.append(known)
        return HTMLResponse("", 202, {**limits, "X-Message-Id": known.id})


def _error(status: int, sentence: str, errors: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> Response:
    more = {"errors": {name: [text] for name, text in errors.items()}} if errors else {}
    return JSONResponse({"message": sentence, **more}, status, headers)


SANDBOX = MailerSendSandbox
