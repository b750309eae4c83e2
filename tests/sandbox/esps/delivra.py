"""A Delivra that is as strict as its public client code shows it to be; its real API is documented for its customers only.

Credentials are the headers `username`, `password` and `listname`; JSON in and out, each answer after a byte order mark. That a
message is posted to /send, and what its fields are called, is this sandbox's own.
"""

import codecs
import json
import re

from starlette.requests import Request
from starlette.responses import Response

from tests.sandbox.control import Settings
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body

_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


class DelivraSettings(Settings):
    """The list and who may send to it."""

    user: str = "delivra-user"
    password: str = "secret-of-delivra-password-0123"
    list: str = "delivra-list"


class DelivraSandbox(VendorSandbox):
    """One list."""

    paths = {"/send": "send"}  # noqa: RUF012
    settings: DelivraSettings

    @classmethod
    def default_settings(cls) -> DelivraSettings:
        return DelivraSettings()

    def refusal(self, fault: Fault) -> Response:
        status = {"429": 429, "revoked": 401, "500": 500}.get(fault.mode, 503)
        return _answer(status, {"error": "Refused"}, {"Retry-After": str(fault.retry_after)} if status == 429 else {})

    async def send(self, request: Request) -> Response:
        given = tuple(request.headers.get(name) for name in ("username", "password", "listname"))
        if given != (self.settings.user, self.settings.password, self.settings.list):
            return _answer(401, {"error": "Unauthorized"})
        try:
            message = json.loads(await read_body(request, 1_000_000) or b"")
        except ValueError:
            message = None
        if not isinstance(message, dict) or not _ADDRESS.fullmatch(str(message.get("email", ""))):
            return _answer(400, {"error": "InvalidMessage"})
        known = Taken(str(len(self.taken) + 1), message["email"], str(message.get("reference", "")), message)
        self.taken.append(known)
        return _answer(200, {"MessageID": known.id})


def _answer(status: int, body: object, headers: dict[str, str] | None = None) -> Response:
    return Response(codecs.BOM_UTF8 + json.dumps(body).encode(), status, headers, "application/json; charset=utf-8")


SANDBOX = DelivraSandbox
