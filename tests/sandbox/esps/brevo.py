"""Brevo's transactional email. Written from its API reference and changelog (read 2026-11-21).

`POST /v3/smtp/email`, header `api-key`, JSON: one message (`to`), or up to 1000 `messageVersions`, each with what differs from
the defaults above it. 201 with `messageId` or `messageIds`; refused as a whole with `{"code", "message"}`. A request under an
`idempotencyKey` (a UUID among the body's `headers`) that was taken within 15 minutes is ignored and answered as before.
Every answer has `x-sib-ratelimit-limit`, `-remaining` and `-reset` (seconds).
"""

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

MOST = 1000
KEPT_SECONDS = 900
_ADDRESS = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+")
_VERSION = {"to", "cc", "bcc", "replyTo", "subject", "htmlContent", "textContent", "params", "headers"}
_FIELDS = _VERSION | {"sender", "templateId", "messageVersions", "tags", "scheduledAt", "batchId", "attachment"}


class BrevoSettings(Settings):
    """The account: its key, its senders, and how much it may send."""

    api_key: str = "secret-of-brevo-api-key-0123"
    sender_domain: str = "example.com"
    credits: int = 1_000_000
    requests_a_second: int = 1_000


class BrevoSandbox(VendorSandbox):
    """One account."""

    paths: ClassVar[Mapping[str, str]] = {"/v3/smtp/email": "send"}
    settings: BrevoSettings

    @classmethod
    def default_settings(cls) -> BrevoSettings:
        return BrevoSettings()

    def forget(self) -> None:
        super().forget()
        self.keys: dict[str, tuple[float, JsonValue]] = {}
        self.asked: deque[float] = deque()

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, "too_many_requests", "Too many requests.", {"retry-after": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error(401, "unauthorized", "Key not found")
        return _error(500 if fault.mode == "500" else 503, "internal_error", "Internal server error")

    async def send(self, request: Request) -> Response:
        if request.headers.get("api-key") != self.settings.api_key:
            raise Refused(_error(401, "unauthorized", "Key not found"))
        limits = self._limits()
        try:
            mail = json.loads(await read_body(request, 20_000_000) or b"")
        except ValueError:
            raise Refused(_error(400, "bad_request", "Input must be a valid JSON object.", limits)) from None
        if not isinstance(mail, dict) or not set(mail) <= _FIELDS:
            raise Refused(_error(400, "invalid_parameter", "Unknown field.", limits))
        key = _key(mail)
        known = self.keys.get(key or "")
        if known is not None and known[0] > self.clock():
            return JSONResponse(known[1], 201, limits)
        answer = self._take(mail)
        if key is not None:
            self.keys[key] = self.clock() + KEPT_SECONDS, answer
        return JSONResponse(answer, 201, limits)

    def _limits(self) -> dict[str, str]:
        now, most = self.clock(), self.settings.requests_a_second
        while self.asked and self.asked[0] <= now - 1:
            self.asked.popleft()
        self.asked.append(now)
        left = {"x-sib-ratelimit-limit": str(most), "x-sib-ratelimit-remaining": str(max(most - len(self.asked), 0))}
        headers = {**left, "x-sib-ratelimit-reset": "1"}
        if len(self.asked) > most:
            raise Refused(_error(429, "too_many_requests", "Too many requests.", headers))
        return headers

    def _take(self, mail: dict[str, JsonValue]) -> JsonValue:
        versions = mail.get("messageVersions")
        if versions is None:
            return {"messageId": self._accept([self._checked(mail, mail)])[0]}
        if not isinstance(versions, list) or not 0 < len(versions) <= MOST:
            raise Refused(_error(400, "invalid_parameter", f"messageVersions: expected 1 to {MOST}"))
        if not mail.get("subject") or not mail.get("htmlContent"):
            raise Refused(_error(400, "missing_parameter", "subject and htmlContent are the defaults of messageVersions"))
        ids: list[JsonValue] = [*self._accept([self._checked(mail, version) for version in versions])]
        return {"messageIds": ids}

    def _checked(self, mail: dict[str, JsonValue], version: JsonValue) -> dict[str, JsonValue]:
        if not isinstance(version, dict) or (version is not mail and not set(version) <= _VERSION):
            raise Refused(_error(400, "invalid_parameter", "messageVersions are invalid"))
        to, headers, sender = version.get("to"), version.get("headers", {}), mail.get("sender")
        if (
            not isinstance(to, list)
            or not to
            or not all(isinstance(one, dict) and _ADDRESS.fullmatch(str(one.get("email"))) for one in to)
        ):
            raise Refused(_error(400, "invalid_parameter", "email is not valid in to"))
        if not isinstance(headers, dict) or not all(isinstance(value, str) and value.isascii() for value in headers.values()):
            raise Refused(_error(400, "invalid_parameter", "headers must be strings"))
        if any(version.get(name) == "" for name in ("htmlContent", "textContent", "subject")):
            raise Refused(_error(400, "missing_parameter", "a part of the message is blank"))
        if not isinstance(sender, dict) or not str(sender.get("email", "")).endswith("@" + self.settings.sender_domain):
            raise Refused(_error(400, "invalid_parameter", "Sender is not valid"))
        if not (version.get("htmlContent") or mail.get("htmlContent") or version.get("textContent")):
            raise Refused(_error(400, "missing_parameter", "Either of htmlContent or textContent is required"))
        return version

    def _accept(self, versions: list[dict[str, JsonValue]]) -> list[str]:
        if len(self.taken) + len(versions) > self.settings.credits:
            raise Refused(_error(402, "not_enough_credits", "You do not have enough credits"))
        for version in versions:
            to, headers = version["to"], version.get("headers", {})
            assert isinstance(to, list)
            assert isinstance(to[0], dict)
            assert isinstance(headers, dict)
            name = f"<{uuid.uuid4().hex}@smtp-relay.mailin.fr>"
            self.taken.append(Taken(name, str(to[0]["email"]), str(headers.get("X-Mailin-custom", "")), version))
        return [taken.id for taken in self.taken[-len(versions) :]]


def _key(mail: dict[str, JsonValue]) -> str | None:
    headers = mail.get("headers", {})
    key = headers.get("idempotencyKey") if isinstance(headers, dict) else None
    if key is None:
        return None
    try:
        return str(uuid.UUID(str(key)))
    except ValueError:
        raise Refused(_error(400, "invalid_parameter", "idempotencyKey must be a UUID")) from None


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"code": code, "message": message}, status, headers)


SANDBOX = BrevoSandbox
