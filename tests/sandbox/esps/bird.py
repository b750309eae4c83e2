"""Bird's MessageBird REST API, and the reports it makes. Written from its client libraries' documentation, "SMS messaging" and
"Verify HTTP requests" (read 2026-11-21).

`POST /messages`, `Authorization: AccessKey …`, JSON in and out: 201 with the message, or `{"errors": [{code, description,
parameter}]}`. Reports are made by GET, their fields in the query, with a JWT in `MessageBird-Signature-JWT`.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tests.sandbox.clock import iso
from tests.sandbox.control import Settings
from tests.sandbox.esps.sms import DIGITS
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body

_FIELDS = {
    *("originator", "recipients", "body", "reference", "datacoding", "reportUrl", "scheduledDatetime", "validity", "type"),
    *("gateway", "typeDetails", "mclass", "groupIds"),
}
_MOST_CHARACTERS = 1377
"""Nine segments."""


class BirdSettings(Settings):
    """The account."""

    key: str = "secret-of-bird-access-key-0123"
    signing_key: str = "secret-of-bird-signing-key-0123"
    balance: int = 1_000_000


class BirdSandbox(VendorSandbox):
    """One account."""

    paths = {"/messages": "send"}  # noqa: RUF012
    settings: BirdSettings

    @classmethod
    def default_settings(cls) -> BirdSettings:
        return BirdSettings()

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return PlainTextResponse("Too Many Requests", 429, {"Retry-After": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error(401, 2, "Request not allowed (incorrect access_key)", "access_key")
        return PlainTextResponse("Internal Server Error", 500 if fault.mode == "500" else 503)

    async def send(self, request: Request) -> Response:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"AccessKey {self.settings.key}".encode()):
            return _error(401, 2, "Request not allowed (incorrect access_key)", "access_key")
        try:
            fields = json.loads(await read_body(request, 100_000) or b"")
        except ValueError:
            return _error(422, 10, "the body is no JSON", None)
        fault = next((rest for is_so, *rest in self._faults(fields) if is_so), None)
        return _error(422, *fault) if fault else self._take(fields)  # type: ignore[arg-type]

    def _faults(self, fields: dict[str, object]) -> Iterator[tuple[bool, int, str, str | None]]:
        missing = next((name for name in ("originator", "recipients", "body") if not fields.get(name)), None)
        yield missing is not None, 9, f"no (correct) {missing} found", missing
        to, unknown = fields["recipients"], next(iter(set(fields) - _FIELDS), None)
        numbers = to if isinstance(to, list) else str(to).split(",")
        yield unknown is not None, 10, f"{unknown} is unknown", unknown
        yield not all(DIGITS.fullmatch(str(one)) for one in numbers), 9, "no (correct) recipients found", "recipients"
        yield len(numbers) > 50, 10, "too many recipients", "recipients"
        sender = str(fields["originator"])
        yield not sender.isdecimal() and (len(sender) > 11 or not sender.isalnum()), 10, "originator is invalid", "originator"
        yield len(str(fields["body"])) > _MOST_CHARACTERS, 10, "body is too long", "body"
        yield fields.get("datacoding", "plain") not in ("auto", "plain", "unicode"), 10, "datacoding is invalid", "datacoding"
        yield not str(fields.get("reportUrl", "https://")).startswith("https://"), 10, "reportUrl is invalid", "reportUrl"
        yield len(self.taken) >= self.settings.balance, 25, "Not enough balance", None

    def _take(self, fields: dict[str, str]) -> Response:
        known = Taken(secrets.token_hex(16), fields["recipients"], fields.get("reference", ""), fields)
        self.taken.append(known)
        status = {"recipient": int(known.to), "status": "sent", "statusDatetime": iso(self.clock.real())}
        counts = {"totalCount": 1, "totalSentCount": 1, "totalDeliveredCount": 0, "totalDeliveryFailedCount": 0}
        body = {"id": known.id, "direction": "mt", "type": "sms", "originator": fields["originator"], "body": fields["body"]}
        recipients = {**counts, "items": [status]}
        return JSONResponse({**body, "reference": known.ours or None, "recipients": recipients}, 201)

    def report(self, message: Taken, status: str, at: int, **more: str) -> tuple[str, dict[str, str]]:
        """The address and headers of the report that tells this status."""
        fields = {"id": message.id, "reference": message.ours, "recipient": message.to, "status": status}
        fields |= {"statusDatetime": "2026-11-21T11:58:30+00:00", "mccmnc": "20408", **more}
        url = f"{message.content['reportUrl']}?{urlencode(fields)}"
        return url, {"messagebird-signature-jwt": jwt(self.settings.signing_key, claims(url, at))}


def claims(url: str, at: int, body: bytes = b"") -> dict[str, object]:
    """What a JWT says of a request at this time."""
    said = {"iss": "MessageBird", "nbf": at, "exp": at + 60, "jti": "59a244dc-e9ad-4e23-9778-371faa238f72"}
    hashes = {"url_hash": hashlib.sha256(url.encode()).hexdigest()}
    return {**said, **hashes, **({"payload_hash": hashlib.sha256(body).hexdigest()} if body else {})}


def jwt(key: str, said: dict[str, object], algorithm: str = "HS256") -> str:
    """A JWT (RFC 7519) with these claims."""
    content = ".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": algorithm, "typ": "JWT"}, said))
    if algorithm == "none":
        return content + "."
    return f"{content}.{_base64url(hmac.new(key.encode(), content.encode(), f'sha{algorithm[2:]}').digest())}"


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _error(status: int, code: int, description: str, parameter: str | None) -> Response:
    return JSONResponse({"errors": [{"code": code, "description": description, "parameter": parameter}]}, status)


SANDBOX = BirdSandbox
