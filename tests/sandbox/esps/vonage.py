"""Vonage's SMS API, and the receipts it makes. Written from its API definition, "Delivery receipts" and "Signing messages"
(read 2026-11-21).

`POST /sms/json`, the key and the secret in the body, a form or JSON in, JSON out. HTTP 200 always: one part per segment, whose
`status` is "0" or says why not.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tests.sandbox.control import Settings
from tests.sandbox.esps.sms import DIGITS, Rate
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body

_FIELDS = {"api_key", "api_secret", "from", "to", "text", "type", "client-ref", "callback", "ttl", "status-report-req"}
_MOST_CHARACTERS = 3200


class VonageSettings(Settings):
    """The account."""

    key: str = "secret-of-vonage-api-key-0123"
    secret: str = "secret-of-vonage-api-secret-0123"
    signature_secret: str = "secret-of-vonage-signature-secret-0123"
    barred: tuple[str, ...] = ()
    balance: int = 1_000_000
    per_second: int = 1_000_000
    segments_taken: int = 1_000_000


class VonageSandbox(VendorSandbox):
    """One account."""

    paths = {"/sms/json": "send"}  # noqa: RUF012
    settings: VonageSettings

    @classmethod
    def default_settings(cls) -> VonageSettings:
        return VonageSettings()

    def forget(self) -> None:
        super().forget()
        self.rate = Rate(self.clock)

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":  # what stands before the API also limits
            return PlainTextResponse("Too Many Requests", 429, {"Retry-After": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _refused("4", "Bad Credentials")
        return PlainTextResponse("Internal error", 500 if fault.mode == "500" else 503)

    async def send(self, request: Request) -> Response:
        body = await read_body(request, 100_000) or b""
        kind = request.headers.get("content-type", "").partition(";")[0]
        try:
            fields = json.loads(body) if kind == "application/json" else dict(parse_qsl(body.decode()))
        except ValueError:
            return _refused("3", "Invalid request body")
        fault = next(((status, text) for is_so, status, text in self._faults(fields) if is_so), None)
        return _refused(*fault) if fault else self._take(fields)

    def _faults(self, fields: dict[str, object]) -> Iterator[tuple[bool, str, str]]:
        missing = next((name for name in ("api_key", "api_secret", "from", "to", "text") if not fields.get(name)), None)
        yield missing is not None, "2", f"Missing {missing} param"
        texts = {name: value for name, value in fields.items() if isinstance(value, str)}
        given, right = (f"{a}\n{b}".encode() for a, b in ((texts.get("api_key"), texts.get("api_secret")), self._login()))
        yield not hmac.compare_digest(given, right), "4", "Bad Credentials"
        yield not self.rate.takes(self.settings.per_second), "1", "Throughput Rate Exceeded - please wait [ 250 ] and retry"
        yield len(texts) < len(fields) or not set(fields) <= _FIELDS, "3", "Invalid parameter"
        yield not DIGITS.fullmatch(texts["to"]), "3", "Invalid to param"
        yield len(texts.get("client-ref", "")) > 40, "3", "Invalid client-ref param"
        yield texts.get("type", "text") not in ("text", "unicode"), "3", "Invalid type param"
        yield len(texts["text"]) > _MOST_CHARACTERS, "12", "Message too long"
        yield not texts.get("callback", "https://").startswith("https://"), "23", "Invalid callback url"
        yield texts["to"] in self.settings.barred, "7", "Number barred"
        yield len(self.taken) >= self.settings.balance, "9", "Partner quota exceeded"

    def _login(self) -> tuple[str, str]:
        return self.settings.key, self.settings.secret

    def _take(self, fields: dict[str, str]) -> Response:
        unicode = fields.get("type") == "unicode"
        text = fields["text"] if unicode else fields["text"].encode("latin-1", "replace").decode("latin-1")
        alone, each = (70, 67) if unicode else (160, 153)
        count = 1 if len(text) <= alone else -(-len(text) // each)
        ids = [secrets.token_hex(8).upper() for _ in range(count)]
        parts = [self._part(fields, one, number < self.settings.segments_taken) for number, one in enumerate(ids)]
        self.taken.append(Taken(ids[0], fields["to"], fields.get("client-ref", ""), {**fields, "text": text}))
        return JSONResponse({"message-count": str(count), "messages": parts})

    @staticmethod
    def _part(fields: dict[str, str], name: str, taken: bool) -> dict[str, str]:
        if not taken:
            return {"to": fields["to"], "status": "5", "error-text": "Internal error"}
        balance = {"remaining-balance": "3.1", "message-price": "0.03", "network": "23410"}
        return {"to": fields["to"], "message-id": name, "status": "0", **balance, "client-ref": fields.get("client-ref", "")}

    def receipt(self, message: Taken, status: str, at: int, algorithm: str = "sha256", **more: str) -> dict[str, str]:
        """The signed fields of a delivery receipt."""
        fields = {"msisdn": message.to, "to": str(message.content["from"]), "network-code": "23410", "messageId": message.id}
        fields |= {"price": "0.03330000", "status": status, "scts": "2611211158", "err-code": "0", "client-ref": message.ours}
        fields |= {"message-timestamp": "2026-11-21 11:58:30", "timestamp": str(at), "nonce": secrets.token_hex(8), **more}
        return {**fields, "sig": signature(self.settings.signature_secret, fields, algorithm)}


def signature(secret: str, fields: dict[str, str], algorithm: str) -> str:
    """Of these fields: an HMAC is in capitals, as Vonage's own libraries write it."""
    text = "".join("&" + name + "=" + fields[name].replace("&", "_").replace("=", "_") for name in sorted(fields))
    if algorithm == "md5hash":
        return hashlib.md5((text + secret).encode(), usedforsecurity=False).hexdigest()
    return hmac.new(secret.encode(), text.encode(), algorithm).hexdigest().upper()


def as_form(fields: dict[str, str]) -> tuple[dict[str, str], bytes]:
    """Headers and body of a receipt by POST."""
    return {"content-type": "application/x-www-form-urlencoded"}, urlencode(fields).encode()


def as_json(fields: dict[str, str]) -> tuple[dict[str, str], bytes]:
    """The same as POST-JSON."""
    return {"content-type": "application/json"}, json.dumps(fields).encode()


def _refused(status: str, text: str) -> Response:
    return JSONResponse({"message-count": "1", "messages": [{"status": status, "error-text": text}]})


SANDBOX = VonageSandbox
