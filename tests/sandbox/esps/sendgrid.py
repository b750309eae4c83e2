"""SendGrid's Mail Send, version 3, and its Event Webhook's signature. Written from Twilio's reference (read
2026-11-21).

`POST /v3/mail/send`, Bearer, JSON: 1 to 1000 `personalizations`, `from`, `content` with the plain part first and no part without
a value. 202 without a body and one `X-Message-Id` for all; refused as a whole with `{"errors": [{"message", "field", "help"}]}`.
Every answer has `X-RateLimit-Limit`, `-Remaining` and `-Reset` (Unix time); 429 when none is left.
"""

import base64
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.sandbox.control import Settings
from tests.sandbox.esps.vendor import Refused, Taken, VendorSandbox
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body

MOST = 1000
_ADDRESS = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+")
_FIELDS = {"personalizations", "from", "reply_to", "subject", "content", "template_id", "headers", "categories", "custom_args"}
_PERSONAL = {"to", "cc", "bcc", "subject", "headers", "custom_args", "dynamic_template_data", "substitutions", "send_at"}
_RESERVED = {
    "to",
    "from",
    "subject",
    "reply-to",
    "cc",
    "bcc",
    "received",
    "content-type",
    "x-sg-id",
    "x-sg-eid",
    "dkim-signature",
}


class SendGridSettings(Settings):
    """The account: its key, its domain, and how much it may ask."""

    api_key: str = "secret-of-sendgrid-api-key-0123"
    domain: str = "example.com"
    templates: tuple[str, ...] = ("d-cart",)
    requests_a_minute: int = 600


class SendGridSandbox(VendorSandbox):
    """One account."""

    paths: ClassVar[Mapping[str, str]] = {"/v3/mail/send": "send"}
    settings: SendGridSettings

    @classmethod
    def default_settings(cls) -> SendGridSettings:
        return SendGridSettings()

    def forget(self) -> None:
        super().forget()
        self.window = (0, 0)

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, None, "too many requests", self._limits(0))
        if fault.mode == "revoked":
            return _error(401, None, "The provided authorization grant is invalid, expired, or revoked")
        return _error(500 if fault.mode == "500" else 503, None, "Internal Server Error")

    async def send(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.settings.api_key}":
            raise Refused(_error(401, None, "The provided authorization grant is invalid, expired, or revoked"))
        limits = self._count()
        try:
            mail = json.loads(await read_body(request, 30_000_000) or b"")
        except ValueError:
            raise Refused(_error(400, None, "Bad Request", limits)) from None
        if not isinstance(mail, dict):
            raise Refused(_error(400, None, "Bad Request", limits))
        for field, message in self._faults(mail):
            raise Refused(_error(403 if field == "from" else 400, field, message, limits))
        return Response(status_code=202, headers={**limits, "X-Message-Id": self._take(mail)})

    def _count(self) -> dict[str, str]:
        minute, used = int(self.clock() // 60), self.window[1] if self.window[0] == int(self.clock() // 60) else 0
        left = self.settings.requests_a_minute - used
        if left <= 0:
            raise Refused(_error(429, None, "too many requests", self._limits(0)))
        self.window = (minute, used + 1)
        return self._limits(left - 1)

    def _limits(self, left: int) -> dict[str, str]:
        reset = (int(self.clock.real() // 60) + 1) * 60
        most = self.settings.requests_a_minute
        return {"X-RateLimit-Limit": str(most), "X-RateLimit-Remaining": str(left), "X-RateLimit-Reset": str(reset)}

    def _faults(self, mail: dict[str, JsonValue]) -> Iterator[tuple[str | None, str]]:
        if unknown := set(mail) - _FIELDS:
            yield min(unknown), "unknown field"
        personal = mail.get("personalizations")
        if not isinstance(personal, list) or not 0 < len(personal) <= MOST:
            yield "personalizations", f"expected 1 to {MOST}"
            return
        for index, one in enumerate(personal):
            yield from _personal_faults(f"personalizations.{index}", one, bool(mail.get("subject")) or "template_id" in mail)
        sender = mail.get("from")
        address = str(sender.get("email", "")) if isinstance(sender, dict) else ""
        if not _ADDRESS.fullmatch(address):
            yield "from.email", "Does not contain a valid address."
        elif not address.endswith("@" + self.settings.domain):
            yield "from", "The from address does not match a verified Sender Identity."
        yield from self._content_faults(mail)

    def _content_faults(self, mail: dict[str, JsonValue]) -> Iterator[tuple[str, str]]:
        content = mail.get("content")
        if "template_id" in mail:
            if mail["template_id"] not in self.settings.templates:
                yield "template_id", "The template_id must be a valid GUID."
            return
        if not isinstance(content, list) or not content:
            yield "content", "Unless a valid template_id is provided, the content parameter is required."
            return
        kinds = [part.get("type") if isinstance(part, dict) else None for part in content]
        if kinds not in (["text/plain"], ["text/html"], ["text/plain", "text/html"]):
            yield "content", "If present, text/plain and text/html may only be provided once, in this order."
        if not all(isinstance(part, dict) and part.get("value") for part in content):
            yield "content.0.value", "The content value must be a string at least one character in length."

    def _take(self, mail: dict[str, JsonValue]) -> str:
        name = uuid.uuid4().hex[:22]
        personal = mail["personalizations"]
        assert isinstance(personal, list)
        for one in personal:
            assert isinstance(one, dict)
            to, ours = one["to"], one.get("custom_args", {})
            assert isinstance(to, list)
            assert isinstance(to[0], dict)
            assert isinstance(ours, dict)
            self.taken.append(Taken(name, str(to[0]["email"]), str(ours.get("message_id", "")), {**mail, **one}))
        return name


def _personal_faults(where: str, one: JsonValue, has_subject: bool) -> Iterator[tuple[str, str]]:
    to = one.get("to") if isinstance(one, dict) else None
    if not isinstance(one, dict) or not set(one) <= _PERSONAL or not isinstance(to, list) or not to:
        yield f"{where}.to", "The to array is required for all personalization objects."
        return
    for index, recipient in enumerate(to):
        if not isinstance(recipient, dict) or not _ADDRESS.fullmatch(str(recipient.get("email", ""))):
            yield f"{where}.to.{index}.email", "Does not contain a valid address."
    if not one.get("subject") and not has_subject:
        yield "subject", "The subject is required."
    headers, ours = one.get("headers", {}), one.get("custom_args", {})
    if not isinstance(headers, dict) or any(name.lower() in _RESERVED for name in headers):
        yield f"{where}.headers", "You cannot use reserved headers."
    if not isinstance(ours, dict) or not all(isinstance(value, str) for value in ours.values()):
        yield f"{where}.custom_args", "The custom_args must be strings."


def _error(status: int, field: str | None, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"errors": [{"message": message, "field": field, "help": None}]}, status, headers)


def new_key() -> EllipticCurvePrivateKey:
    """The key of one account's event webhook."""
    return generate_private_key(SECP256R1())


def shown(key: EllipticCurvePrivateKey) -> str:
    """The verification key as the account's settings show it."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def signed(key: EllipticCurvePrivateKey, at: int, body: bytes) -> dict[str, str]:
    """The headers of a post made at this Unix time."""
    signature = key.sign(str(at).encode() + body, ECDSA(SHA256()))
    name = "x-twilio-email-event-webhook"
    return {f"{name}-signature": base64.b64encode(signature).decode(), f"{name}-timestamp": str(at)}


SANDBOX = SendGridSandbox
