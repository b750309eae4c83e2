"""Twilio's Messages resource, and the callbacks it makes. Written from its API definition, its Error and Warning Dictionary and
"Validating signatures" (read 2026-11-21).

`POST /2010-04-01/Accounts/{sid}/Messages.json`, Basic `AccountSid:AuthToken`, a form in, JSON out: 201 with the message, or
`{code, message, more_info, status}`. What is not a form has no fields. Unknown fields are passed over.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.sandbox.control import Settings
from tests.sandbox.esps.sms import PLUS, Rate
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body

MOST_CHARACTERS = 1600


class TwilioSettings(Settings):
    """The account, its numbers, and who answered STOP."""

    account: str = "twilio-account-sid"
    token: str = "secret-of-twilio-auth-token-0123"
    numbers: tuple[str, ...] = ("+15005550006",)
    services: tuple[str, ...] = ("MG0123",)
    opted_out: tuple[str, ...] = ()
    landlines: tuple[str, ...] = ()
    per_second: int = 1_000_000


class TwilioSandbox(VendorSandbox):
    """One account."""

    paths = {"/2010-04-01/Accounts/{account}/Messages.json": "send"}  # noqa: RUF012
    settings: TwilioSettings

    @classmethod
    def default_settings(cls) -> TwilioSettings:
        return TwilioSettings()

    def forget(self) -> None:
        super().forget()
        self.rate = Rate(self.clock)

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, 20429, "Too Many Requests", {"Retry-After": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error(401, 20003, "Authenticate")
        return _error(500 if fault.mode == "500" else 503, 20500, "Internal Server Error")

    async def send(self, request: Request) -> Response:
        given = request.headers.get("authorization", "").encode()
        right = "Basic " + base64.b64encode(f"{self.settings.account}:{self.settings.token}".encode()).decode()
        if not hmac.compare_digest(given, right.encode()) or request.path_params["account"] != self.settings.account:
            return _error(401, 20003, "Authenticate")
        if not self.rate.takes(self.settings.per_second):
            return _error(429, 20429, "Too Many Requests")
        body = await read_body(request, 100_000) or b""
        is_form = request.headers.get("content-type", "").partition(";")[0] == "application/x-www-form-urlencoded"
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True)) if is_form else {}
        return self._refused(fields) or self._take(fields)

    def _refused(self, fields: dict[str, str]) -> Response | None:
        fault = next(((code, text) for is_so, code, text in self._faults(fields) if is_so), None)
        return _error(400, *fault) if fault else None

    def _faults(self, fields: dict[str, str]) -> Iterator[tuple[bool, int, str]]:
        """What may be wrong, in the order in which it is looked at, and whether it is."""
        to, sender, text = (fields.get(name, "") for name in ("To", "From", "Body"))
        service, callback = fields.get("MessagingServiceSid", ""), urlsplit(fields.get("StatusCallback", "https://host"))
        yield not to, 21604, "A 'To' phone number is required."
        yield not PLUS.fullmatch(to), 21211, f"The 'To' number {to} is not a valid phone number."
        yield not sender and not service, 21603, "A 'From' phone number is required."
        unusable = sender not in self.settings.numbers
        yield bool(sender) and unusable, 21606, f"The 'From' phone number {sender} is not a valid number for your account."
        yield not sender and service not in self.settings.services, 21701, "The Messaging Service does not exist."
        yield not text, 21602, "Message body is required."
        yield len(text) > MOST_CHARACTERS, 21617, f"The message body exceeds the {MOST_CHARACTERS} character limit."
        is_url = callback.scheme in ("http", "https") and bool(callback.hostname)
        yield not is_url, 21609, "The 'StatusCallback' URL is not a valid URL."
        yield to in self.settings.opted_out, 21610, "Attempt to send to unsubscribed recipient"
        yield to in self.settings.landlines, 21614, f"'To' number {to} is not a valid mobile number."

    def _take(self, fields: dict[str, str]) -> Response:
        callback = fields.get("StatusCallback", "")
        ours = dict(parse_qsl(urlsplit(callback).query)).get("message_id", "")
        known = Taken("SM" + secrets.token_hex(16), fields["To"], ours, dict(fields))
        self.taken.append(known)
        body = {"sid": known.id, "status": "queued", "to": known.to, "from": fields.get("From"), "body": fields["Body"]}
        return JSONResponse({**body, "error_code": None, "error_message": None, "num_segments": "1", "price": None}, 201)

    def callback(self, message: Taken, status: str, **more: str) -> tuple[str, dict[str, str], bytes]:
        """The post that tells this status: its address, headers and body."""
        url = str(message.content["StatusCallback"])
        fields = {"MessageSid": message.id, "SmsSid": message.id, "MessageStatus": status, "SmsStatus": status, "To": message.to}
        fields |= {"AccountSid": self.settings.account, "ApiVersion": "2010-04-01", **more}
        text = url + "".join(f"{name}{fields[name]}" for name in sorted(fields))
        return url, _headers(self.settings.token, text, "application/x-www-form-urlencoded"), urlencode(fields).encode()


def json_post(url: str, token: str, body: bytes) -> tuple[str, dict[str, str]]:
    """The address and headers of a post with a JSON body."""
    whole = f"{url}{'&' if '?' in url else '?'}bodySHA256={hashlib.sha256(body).hexdigest()}"
    return whole, _headers(token, whole, "application/json")


def _headers(token: str, text: str, kind: str) -> dict[str, str]:
    mac = hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()
    return {"content-type": kind, "x-twilio-signature": base64.b64encode(mac).decode()}


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return JSONResponse({"code": code, "message": message, "more_info": more, "status": status}, status, headers)


SANDBOX = TwilioSandbox
