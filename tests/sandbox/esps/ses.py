"""Amazon SES, API version 2, SendEmail. Written from its API reference and "Create a signed AWS API request" (
read 2026-11-21).

`POST /v2/email/outbound-emails`, JSON, Signature Version 4 for the service `ses`. Errors: the header `x-amzn-ErrorType` names
the exception, the body has a `message`. Simple content needs a subject and a body; at most 50 recipients, 50 tags of
`[A-Za-z0-9_-]`, 15 headers.
"""

import json
import re
import uuid
from collections.abc import Mapping
from typing import ClassVar

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.sandbox.control import Settings
from tests.sandbox.esps.vendor import Refused, Taken, VendorSandbox
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body
from tests.sandbox.sigv4 import Signer, wrong_with

_ADDRESS = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+")
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_FIELDS = {"FromEmailAddress", "Destination", "Content", "EmailTags", "ConfigurationSetName", "ReplyToAddresses"}


class SesSettings(Settings):
    """The account: its key, its identities, and whether it may send."""

    access_key_id: str = "AKIAIOSFODNN7EXAMPLE"
    secret_access_key: str = "secret-of-aws-secret-access-key-0123"
    region: str = "aws-region"
    identities: tuple[str, ...] = ("example.com",)
    configuration_sets: tuple[str, ...] = ("ses-configuration-set",)
    paused: bool = False
    daily_quota: int = 1_000_000


class SesSandbox(VendorSandbox):
    """One account in one region."""

    paths: ClassVar[Mapping[str, str]] = {"/v2/email/outbound-emails": "send"}
    settings: SesSettings

    @classmethod
    def default_settings(cls) -> SesSettings:
        return SesSettings()

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, "TooManyRequestsException", "Maximum sending rate exceeded.")
        if fault.mode == "revoked":
            return _error(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
        status = 500 if fault.mode == "500" else 503
        return _error(status, "InternalFailure" if status == 500 else "ServiceUnavailable", "Service failure.")

    async def send(self, request: Request) -> Response:
        body = await read_body(request, 40_000_000) or b""
        self._check_signature(request, body)
        try:
            message = json.loads(body)
        except ValueError:
            raise Refused(_error(400, "SerializationException", "Not JSON.")) from None
        self._check(message)
        return JSONResponse({"MessageId": self._take(message)})

    def _check_signature(self, request: Request, body: bytes) -> None:
        of = self.settings
        signer = Signer(access_key_id=of.access_key_id, secret_access_key=of.secret_access_key, region=of.region, service="ses")
        wrong = wrong_with(signer, request, body, self.clock.real())
        if wrong is not None:
            raise Refused(_error(403, *wrong))

    def _check(self, message: JsonValue) -> None:
        if not isinstance(message, dict) or not set(message) <= _FIELDS or not _is_content(message.get("Content")):
            raise Refused(_error(400, "BadRequestException", "A field is missing or not known."))
        if self.settings.paused:
            raise Refused(_error(400, "SendingPausedException", "Email sending is paused."))
        if message.get("ConfigurationSetName", self.settings.configuration_sets[0]) not in self.settings.configuration_sets:
            raise Refused(_error(404, "NotFoundException", "Configuration set does not exist."))
        to = _recipients(message)
        if not 0 < len(to) <= 50 or not all(_ADDRESS.fullmatch(one) for one in to):
            raise Refused(_error(400, "BadRequestException", "Missing final '@domain'"))
        sender = str(message.get("FromEmailAddress", "")).rstrip(">")
        if sender.rpartition("@")[2] not in self.settings.identities:
            sentence = f"Email address is not verified. The following identities failed the check: {sender}"
            raise Refused(_error(400, "MessageRejected", sentence))
        if not all(_TAG.fullmatch(str(part)) for pair in _tags(message) for part in pair):
            raise Refused(_error(400, "BadRequestException", "Invalid tag."))
        if len(self.taken) >= self.settings.daily_quota:
            raise Refused(_error(429, "TooManyRequestsException", "Daily message quota exceeded."))

    def _take(self, message: dict[str, JsonValue]) -> str:
        ours = dict(_tags(message)).get("message_id", "")
        self.taken.append(Taken(str(uuid.uuid4()), _recipients(message)[0], ours, message))
        return self.taken[-1].id


def _recipients(message: dict[str, JsonValue]) -> list[str]:
    destination = message.get("Destination")
    to = destination.get("ToAddresses") if isinstance(destination, dict) else None
    return [str(one) for one in to] if isinstance(to, list) else []


def _tags(message: dict[str, JsonValue]) -> list[tuple[str, str]]:
    tags = message.get("EmailTags", [])
    listed = tags if isinstance(tags, list) else [None]
    return [
        (str(tag["Name"]), str(tag["Value"])) if isinstance(tag, dict) and set(tag) == {"Name", "Value"} else ("", "")
        for tag in listed
    ]


def _is_content(content: JsonValue) -> bool:
    simple = content.get("Simple") if isinstance(content, dict) and set(content) == {"Simple"} else None
    if not isinstance(simple, dict) or not set(simple) <= {"Subject", "Body", "Headers"}:
        return False
    body, headers = simple.get("Body"), simple.get("Headers", [])
    texts = [simple.get("Subject"), *(body.values() if isinstance(body, dict) else [None])]
    pairs = isinstance(headers, list) and len(headers) <= 15 and all(set(one or ()) == {"Name", "Value"} for one in headers)  # type: ignore[arg-type]
    return pairs and len(texts) > 1 and all(isinstance(text, dict) and "Data" in text for text in texts)


def _error(status: int, name: str, message: str) -> Response:
    return JSONResponse({"message": message}, status, {"x-amzn-ErrorType": f"{name}:http://internal.amazon.com/coral/ses/"})


SANDBOX = SesSandbox
