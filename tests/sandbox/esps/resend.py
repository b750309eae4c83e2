"""Resend's batch endpoint. Written from its OpenAPI description and changelog (read 2026-11-21).

`POST /emails/batch`, Bearer, JSON: a list of 1 to 100 emails, without attachments and times. Strict by default: one that is
not valid refuses all; with `x-batch-validation: permissive` it is listed in `errors` by its position. `Idempotency-Key` of at
most 256 characters: for 24 hours, the same body gets the same answer, another body a 409. 2 requests a second by default.
"""

import hashlib
import json
import re
import uuid
from collections import deque
from collections.abc import Mapping
from typing import ClassVar

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.sandbox.control import Settings
from tests.sandbox.esps.vendor import Refused, Taken, VendorSandbox
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body

MOST = 100
MAX_KEY = 256
KEPT_SECONDS = 86_400
_ADDRESS = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+")
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_FIELDS = {"from", "to", "subject", "html", "text", "cc", "bcc", "reply_to", "headers", "tags"}


class ResendSettings(Settings):
    """The team: its key, its domain, and how much it may send."""

    api_key: str = "secret-of-resend-api-key-0123"
    domain: str = "example.com"
    requests_a_second: int = 1_000
    daily_quota: int = 1_000_000


class ResendSandbox(VendorSandbox):
    """One team of Resend's."""

    paths: ClassVar[Mapping[str, str]] = {"/emails/batch": "send"}
    settings: ResendSettings

    @classmethod
    def default_settings(cls) -> ResendSettings:
        return ResendSettings()

    def forget(self) -> None:
        super().forget()
        self.keys: dict[str, tuple[str, float, JsonValue]] = {}
        self.asked: deque[float] = deque()

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, "rate_limit_exceeded", {"retry-after": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error(401, "restricted_api_key")
        return _error(500 if fault.mode == "500" else 503, "internal_server_error")

    async def send(self, request: Request) -> Response:
        self._authorise(request.headers.get("authorization"))
        limits = self._limits()
        key = request.headers.get("idempotency-key")
        if key is not None and not 0 < len(key) <= MAX_KEY:
            raise Refused(_error(400, "invalid_idempotency_key", limits))
        body = await read_body(request, 40_000_000) or b""
        digest = hashlib.sha256(body).hexdigest()
        known = self.keys.get(key or "")
        if known is not None and known[1] > self.clock():
            if known[0] != digest:
                raise Refused(_error(409, "invalid_idempotent_request", limits))
            return JSONResponse(known[2], headers=limits)
        answer = self._take(_emails(body), permissive=request.headers.get("x-batch-validation") == "permissive")
        if key is not None:
            self.keys[key] = digest, self.clock() + KEPT_SECONDS, answer
        return JSONResponse(answer, headers=limits)

    def _authorise(self, header: str | None) -> None:
        if not header:
            raise Refused(_error(401, "missing_api_key"))
        if header != f"Bearer {self.settings.api_key}":
            raise Refused(_error(403, "invalid_api_key"))

    def _limits(self) -> dict[str, str]:
        now = self.clock()
        while self.asked and self.asked[0] <= now - 1:
            self.asked.popleft()
        self.asked.append(now)
        most = self.settings.requests_a_second
        headers = {
            "ratelimit-limit": str(most),
            "ratelimit-remaining": str(max(most - len(self.asked), 0)),
            "ratelimit-reset": "1",
        }
        if len(self.asked) > most:
            raise Refused(_error(429, "rate_limit_exceeded", {**headers, "retry-after": "1"}))
        return headers

    def _take(self, emails: list[JsonValue], *, permissive: bool) -> JsonValue:
        faults = {index: fault for index, email in enumerate(emails) if (fault := self._fault(email))}
        if faults and not permissive:
            raise Refused(next(_error(422 if name != "domain" else 403, "validation_error") for name in faults.values()))
        if len(self.taken) + len(emails) > self.settings.daily_quota:
            raise Refused(_error(429, "daily_quota_exceeded"))
        good = [email for index, email in enumerate(emails) if index not in faults and isinstance(email, dict)]
        answer: dict[str, JsonValue] = {"data": [{"id": self._accept(email)} for email in good]}
        if permissive:
            answer["errors"] = [{"index": index, "message": f"The {name} field is not valid."} for index, name in faults.items()]
        return answer

    def _fault(self, email: JsonValue) -> str:
        """The field that is not valid; empty if all are."""
        if not isinstance(email, dict) or not set(email) <= _FIELDS:
            return "body"
        to, tags = email.get("to"), email.get("tags", [])
        texts = ("from", "subject", "html", "text")
        wrong = {name for name in texts if name in email and not isinstance(email[name], str)}
        if not isinstance(to, list) or not 0 < len(to) <= 50 or not all(_ADDRESS.fullmatch(str(one)) for one in to):
            wrong.add("to")
        if not isinstance(tags, list) or not all(_is_tag(tag) for tag in tags):
            wrong.add("tags")
        if not email.get("html") and not email.get("text"):
            wrong.add("html")
        if not str(email.get("from", "")).rstrip(">").endswith("@" + self.settings.domain):
            wrong.add("domain")
        return min(wrong, default="")

    def _accept(self, email: dict[str, JsonValue]) -> str:
        to, tags = email["to"], email.get("tags", [])
        assert isinstance(to, list)
        assert isinstance(tags, list)
        ours = [tag["value"] for tag in tags if isinstance(tag, dict) and tag["name"] == "message_id"]
        self.taken.append(Taken(str(uuid.uuid4()), str(to[0]), str(ours[0]) if ours else "", email))
        return self.taken[-1].id


def _emails(body: bytes) -> list[JsonValue]:
    try:
        emails: JsonValue = json.loads(body)
    except ValueError:
        raise Refused(_error(400, "validation_error")) from None
    if not isinstance(emails, list) or not 0 < len(emails) <= MOST:
        raise Refused(_error(422, "validation_error"))
    return emails


def _is_tag(tag: JsonValue) -> bool:
    return isinstance(tag, dict) and set(tag) == {"name", "value"} and all(_TAG.fullmatch(str(one)) for one in tag.values())


def _error(status: int, name: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"statusCode": status, "name": name, "message": f"Something about {name}."}, status, headers)


SANDBOX = ResendSandbox
