"""Mailgun's messages endpoint, and its webhooks' signature. Written from its documentation (read 2026-11-21).

`POST /v3/{domain}/messages`, Basic `api:KEY`, a form: `from`, `to` (at most 1000), `subject`, `text` or `html`, `h:`, `v:`, `o:`.
200 with one `id` for all recipients. With `recipient-variables` each recipient gets a copy with its own values for
`%recipient.NAME%`; without them all see each other. Errors have a `message` and no code; 401 is the text `Forbidden`.
"""

import base64
import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import Mapping
from email.utils import formatdate
from typing import ClassVar
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tests.sandbox.control import Settings
from tests.sandbox.esps.vendor import Refused, Taken, VendorSandbox
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body

MOST = 1000
_ADDRESS = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+")
_HOLE = re.compile(r"%recipient\.([^%]+)%")
_PREFIXES = ("h:", "v:", "o:", "t:")
_FIELDS = {"from", "to", "cc", "bcc", "subject", "text", "html", "template", "recipient-variables"}
_MOST_OPTIONS = 16_384


class MailgunSettings(Settings):
    """The account: its key, its domain, and how much it may send."""

    api_key: str = "secret-of-mailgun-api-key-0123"
    domain: str = "mailgun-domain"
    verified: bool = True
    requests: int = 1_000_000


class MailgunSandbox(VendorSandbox):
    """One domain of one account."""

    paths: ClassVar[Mapping[str, str]] = {"/v3/{domain}/messages": "send"}
    settings: MailgunSettings

    @classmethod
    def default_settings(cls) -> MailgunSettings:
        return MailgunSettings()

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return self._too_many(fault.retry_after)
        if fault.mode == "revoked":
            return PlainTextResponse("Forbidden", 401)
        return _error(500 if fault.mode == "500" else 503, "Internal Server Error")

    async def send(self, request: Request) -> Response:
        login = base64.b64encode(f"api:{self.settings.api_key}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {login}":
            raise Refused(PlainTextResponse("Forbidden", 401))
        if request.path_params["domain"] != self.settings.domain:
            raise Refused(_error(404, f"Domain not found: {request.path_params['domain']}"))
        if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
            raise Refused(_error(400, "from parameter is missing"))
        if self.requests > self.settings.requests:
            raise Refused(self._too_many(60))
        body = await read_body(request, 25_000_000) or b""
        form = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True)
        self._check(form)
        return JSONResponse({"id": self._take(form), "message": "Queued. Thank you."})

    def _too_many(self, seconds: int) -> Response:
        after = formatdate(time.time() + seconds, usegmt=True).replace("GMT", "UTC")
        sentence = f"Domain {self.settings.domain} is not allowed to send: request limit exceeded, try again after {after}"
        return _error(429, sentence)

    def _check(self, form: Mapping[str, list[str]]) -> None:
        unknown = [name for name in form if name not in _FIELDS and not name.startswith(_PREFIXES)]
        if unknown:
            raise Refused(_error(400, f"{unknown[0]} is not a parameter"))
        if any(len(values) > 1 for name, values in form.items() if name != "to") or any("" in values for values in form.values()):
            raise Refused(_error(400, "a parameter is blank or given twice"))
        if not _ADDRESS.search(form.get("from", [""])[0]):
            raise Refused(_error(400, "from parameter is not a valid address. please check documentation"))
        to = form.get("to", [])
        if not 0 < len(to) <= MOST or not all(_ADDRESS.fullmatch(one) for one in to):
            raise Refused(_error(400, "to parameter is not a valid address. please check documentation"))
        if "subject" not in form or not ({"text", "html", "template"} & set(form)):
            raise Refused(_error(400, "Need at least one of 'text' or 'html' parameters specified"))
        if sum(len(name + values[0]) for name, values in form.items() if name.startswith(("h:", "o:", "v:"))) > _MOST_OPTIONS:
            raise Refused(_error(400, "options are limited to 16 kB"))
        if not self.settings.verified:
            raise Refused(_error(403, f"Domain {self.settings.domain} is unverified and requires DNS configuration."))

    def _take(self, form: Mapping[str, list[str]]) -> str:
        name = f"<{uuid.uuid4().hex}@{self.settings.domain}>"
        variables = _variables(form)
        for to in form["to"]:
            own = variables.get(to, {})
            content = {
                field: _HOLE.sub(lambda hole, own=own: str(own.get(hole[1], hole[0])), values[0])  # type: ignore[misc]
                for field, values in form.items()
                if field != "recipient-variables"
            }
            visible = to if "recipient-variables" in form else ", ".join(form["to"])
            self.taken.append(Taken(name, visible, content.get("v:message_id", ""), content))
        return name


def _variables(form: Mapping[str, list[str]]) -> dict[str, dict[str, object]]:
    try:
        variables = json.loads(form.get("recipient-variables", ["{}"])[0])
    except ValueError:
        variables = None
    if not isinstance(variables, dict) or not all(isinstance(one, dict) for one in variables.values()):
        raise Refused(_error(400, "recipient-variables parameter must be JSON"))
    return variables


def _error(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status)


def signature(key: str, at: int, token: str) -> dict[str, str]:
    """What a webhook has as `signature`."""
    signed = hmac.new(key.encode(), f"{at}{token}".encode(), hashlib.sha256).hexdigest()
    return {"timestamp": str(at), "token": token, "signature": signed}


SANDBOX = MailgunSandbox
