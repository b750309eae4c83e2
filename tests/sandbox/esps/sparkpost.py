"""SparkPost's transmissions. Written from its API reference, among it the page on idempotency (read 2026-11-21).

`POST /api/v1/transmissions`, `Authorization: <key>`, JSON. 200 `{"results": {"total_accepted_recipients",
"total_rejected_recipients", "id"}}`, with `errors` beside it if only some were rejected. Errors are `{"errors": [{"message",
"code"?, "description"?}]}`; 420 means that a quota is used up.

`Idempotency-Key` (`^[A-Za-z0-9._-]{1,255}$`, else 400 code 1602) is kept for 24 hours: the same body gets the first answer and
`X-Idempotent-Replayed: true`, another body 409 code 1600.

In the sandbox, recipients that begin with `suppressed` are.
"""

import hashlib
import re
import secrets

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.sandbox.control import Settings
from tests.sandbox.esps.reading import ADDRESS, Shape, json_object, wrong
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault

KEPT_SECONDS = 24 * 3600
MAX_METADATA = 10_000
_KEY = re.compile(r"[A-Za-z0-9._-]{1,255}")
_ANY: Shape = {"*": str}
_TRANSMISSION: Shape = {
    "options": {"*": bool},
    "campaign_id": str,
    "metadata": _ANY,
    "substitution_data": _ANY,
    "recipients!": [
        {
            "address!": {"email!": ADDRESS, "name": str, "header_to": str},
            "metadata": _ANY,
            "substitution_data": _ANY,
            "tags": [str],
        }
    ],
    "content!": {
        "from!": {"email!": ADDRESS, "name": str},
        "subject!": str,
        "html": str,
        "text": str,
        "reply_to": str,
        "headers": _ANY,
    },
}


class SparkPostSettings(Settings):
    """The account: its key, its quota, and whom it may send as."""

    key: str = "secret-of-sparkpost-api-key-0123"
    sender_domain: str = "example.com"
    quota: int = 1_000_000


class SparkPostSandbox(VendorSandbox):
    """One account."""

    paths = {"/api/v1/transmissions": "send"}  # noqa: RUF012
    settings: SparkPostSettings

    @classmethod
    def default_settings(cls) -> SparkPostSettings:
        return SparkPostSettings()

    def forget(self) -> None:
        super().forget()
        self.keys: dict[str, tuple[bytes, float, dict[str, JsonValue]]] = {}

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, "Too many requests", headers={"Retry-After": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error(401, "Unauthorized.")
        return _error(500 if fault.mode == "500" else 503, "Internal Server Error")

    async def send(self, request: Request) -> Response:
        if request.headers.get("authorization") != self.settings.key:
            return _error(401, "Unauthorized.")
        key = request.headers.get("idempotency-key")
        if key is not None and not _KEY.fullmatch(key):
            return _error(400, "Invalid Idempotency-Key", "1602")
        body = await json_object(request, 20_000_000, lambda why: _error(400, why, "1300"))
        digest = _digest(body)
        known = self.keys.get(key) if key else None
        if known and known[1] > self.clock():
            if known[0] != digest:
                return _error(409, "Idempotency-Key was used with another request", "1600")
            return JSONResponse(known[2], headers={"X-Idempotent-Replayed": "true"})
        return self._refused(body) or self._take(body, key, digest)

    def _refused(self, body: dict[str, JsonValue]) -> Response | None:
        bad = wrong(body, _TRANSMISSION)
        if bad is not None:
            return _error(422, f"{bad.path} is {bad.why}", "1400" if bad.why == "missing" else "1300")
        content, recipients = body["content"], body["recipients"]
        assert isinstance(content, dict)
        assert isinstance(recipients, list)
        sender = content["from"]
        assert isinstance(sender, dict)
        if not content.get("html") and not content.get("text"):
            return _error(422, "At least one of text or html needs to exist in content", "1400")
        if not str(sender["email"]).endswith("@" + self.settings.sender_domain):
            return _error(400, "Invalid domain", "7001")
        if any(len(str(one.get("metadata"))) > MAX_METADATA for one in recipients if isinstance(one, dict)):
            return _error(422, "metadata is too large", "1300")
        if len(self.taken) + len(recipients) > self.settings.quota:
            return _error(420, "Exceed Sending Limit (hourly)", "2101")
        return None

    def _take(self, body: dict[str, JsonValue], key: str | None, digest: bytes) -> Response:
        recipients = body["recipients"]
        assert isinstance(recipients, list)
        good = [one for one in recipients if isinstance(one, dict) and not _email(one).startswith("suppressed")]
        if not good:
            return _error(400, "Message generation rejected", "1902")
        id_ = "116" + str(secrets.randbelow(10**14)).zfill(14)
        for one in good:
            metadata = one.get("metadata") or {}
            assert isinstance(metadata, dict)
            self.taken.append(Taken(id_, _email(one), str(metadata.get("message_id", "")), body))
        rejected = len(recipients) - len(good)
        results: dict[str, JsonValue] = {"total_rejected_recipients": rejected, "total_accepted_recipients": len(good), "id": id_}
        answer: dict[str, JsonValue] = {"results": results}
        if rejected:
            results["rcpt_to_errors"] = [{"message": "recipient rejected", "code": "1902"}]
            answer["errors"] = [{"message": "transmission created, but with validation errors", "code": "2000"}]
        if key:
            self.keys[key] = (digest, self.clock() + KEPT_SECONDS, answer)
        return JSONResponse(answer)


def _digest(body: dict[str, JsonValue]) -> bytes:
    return hashlib.sha256(repr(sorted(body.items())).encode()).digest()


def _email(recipient: dict[str, JsonValue]) -> str:
    address = recipient["address"]
    assert isinstance(address, dict)
    return str(address["email"])


def _error(status: int, sentence: str, code: str = "", headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"errors": [{"message": sentence} | ({"code": code} if code else {})]}, status, headers)


SANDBOX = SparkPostSandbox
