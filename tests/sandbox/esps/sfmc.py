"""Marketing Cloud's token endpoint, Transactional Messaging API and Event Notification Service. Written from their references
(read 2026-11-21).

`POST /v2/token` takes JSON with an account id; a token lives for 1079 s and is for one business unit. `POST
/messaging/v1/email/messages/{key}` answers 202, or an error with `errorcode`; a key is taken once in two days. `GET` of the same
address tells what became of it. Events are posted in lists, `x-sfmc-ens-signature` being the base64 of an HMAC-SHA256.
"""

import base64
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.sandbox.control import Settings
from tests.sandbox.esps.vendor import Taken, VendorSandbox
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body

TOKEN_SECONDS = 1079
KEY_SECONDS = 2 * 86_400
_SEND = "/messaging/v1/email/messages/"
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


class SfmcSettings(Settings):
    """The installed package and the business unit."""

    client_id: str = "sfmc-client-id"
    client_secret: str = "secret-of-sfmc-client-secret-0123"
    account_id: str = "sfmc-account-id"
    definitions: tuple[str, ...] = ("sfmc-definition-key",)
    signature_key: str = "secret-of-sfmc-signature-key-0123"
    blocked: bool = False
    not_sent: tuple[str, ...] = ()


class SfmcSandbox(VendorSandbox):
    """One business unit."""

    paths = {"/v2/token": "token", _SEND + "{key}": "send"}  # noqa: RUF012
    settings: SfmcSettings

    @classmethod
    def default_settings(cls) -> SfmcSettings:
        return SfmcSettings()

    def forget(self) -> None:
        super().forget()
        self.keys: dict[str, float] = {}

    def routes(self) -> list[BaseRoute]:
        own = [Route("/v2/token", self._token, methods=["POST"]), Route(_SEND + "{key}", self._status, methods=["GET"])]
        return [*own, *super().routes()]

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _limited(fault.retry_after)
        if fault.mode == "revoked":
            return _unauthorised(fault.target)
        return _error(500 if fault.mode == "500" else 503, 10000, "Internal error")

    async def _token(self, request: Request) -> Response:
        try:
            asked = json.loads(await read_body(request, 10_000) or b"")
        except ValueError:
            asked = None
        if not _is_json(request) or not isinstance(asked, dict) or asked.get("grant_type") != "client_credentials":
            return JSONResponse({"error": "invalid_request", "error_description": "Invalid token request."}, 400)
        given = (asked.get("client_id"), asked.get("client_secret"))
        if given != (self.settings.client_id, self.settings.client_secret) or asked.get("account_id") != self.settings.account_id:
            return _unauthorised("token")
        token = self.tokens.issue(self.settings.client_id, TOKEN_SECONDS)
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS, "scope": "email_send"})

    async def send(self, request: Request) -> Response:
        if self.tokens.judge(request.headers.get("authorization", ""))[0] != "good":
            return _unauthorised("send")
        if self.settings.blocked:
            return _error(429, 50200, "Your requests are temporarily blocked.")
        try:
            asked = json.loads(await read_body(request, 1_000_000) or b"") if _is_json(request) else None
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            return _error(400, 10001, "The request body must be JSON.")
        key = request.path_params["key"]
        fault = next((text for is_so, text in self._faults(key, asked) if is_so), None)
        return _error(400, 109000, fault) if fault else self._take(key, asked)

    def _faults(self, key: str, asked: dict[str, object]) -> Iterator[tuple[bool, str]]:
        yield len(key) > 100, "messageKey has more than 100 characters"
        yield asked.get("definitionKey") not in self.settings.definitions, "definitionKey is not found"
        recipient = asked.get("recipient")
        yield not isinstance(recipient, dict), "recipient is required"
        assert isinstance(recipient, dict)
        yield not recipient.get("contactKey"), "contactKey is required"
        yield not _ADDRESS.fullmatch(str(recipient.get("to", ""))), "to is not a valid email address"
        attributes = recipient.get("attributes", {})
        texts = isinstance(attributes, dict) and all(isinstance(one, str) for one in attributes.values())
        yield not texts, "attributes must be texts"
        unknown = {*asked} - {"definitionKey", "recipient"} | {*recipient} - {"contactKey", "to", "attributes"}
        yield bool(unknown), "an unknown property"

    def _take(self, key: str, asked: dict[str, object]) -> Response:
        if self.keys.get(key, 0) > self.clock():
            text = "MCMS_UTM_Validation_DuplicateMessageKey: messageKey reused within the past 2 days"
            part = {"messageKey": key, "errorcode": 109110, "message": text}
            return JSONResponse({"requestId": str(uuid.uuid4()), "errorcode": 109110, "responses": [part]}, 400)
        self.keys[key] = self.clock() + KEY_SECONDS
        recipient = asked["recipient"]
        assert isinstance(recipient, dict)
        self.taken.append(Taken(key, str(recipient["to"]), key, recipient))
        return JSONResponse({"requestId": str(uuid.uuid4()), "errorcode": 0, "responses": [{"messageKey": key}]}, 202)

    async def _status(self, request: Request) -> Response:
        if self.tokens.judge(request.headers.get("authorization", ""))[0] != "good":
            return _unauthorised("send")
        key = request.path_params["key"]
        if key not in self.keys:
            return _error(404, 109001, "messageKey is not found")
        kind = "EmailNotSent" if key in self.settings.not_sent else "EmailSent"
        return JSONResponse(
            {"requestId": "r", "eventCategoryType": f"TransactionalSendEvents.{kind}", "info": {"messageKey": key}}
        )

    def post(self, events: list[object]) -> tuple[dict[str, str], bytes]:
        """Headers and body of a post of these events."""
        body = json.dumps(events).encode()
        return signed(self.settings.signature_key, body), body


def signed(key: str, body: bytes) -> dict[str, str]:
    """The headers of a post: the key is used as the text that it is."""
    mac = hmac.new(key.encode(), body, hashlib.sha256).digest()
    return {"content-type": "application/json", "x-sfmc-ens-signature": base64.b64encode(mac).decode()}


def event(kind: str, key: str, **info: object) -> dict[str, object]:
    """One event of this kind about the message of this key."""
    facts = {"eventCategoryType": f"TransactionalSendEvents.{kind}", "timestampUTC": 1795262310123, "compositeId": "1.2.3.4.5"}
    ids = {"definitionKey": "sfmc-definition-key", "definitionId": str(uuid.UUID(int=7)), "mid": 510000123, "eid": 510000000}
    return {**facts, **ids, "info": {"messageKey": key, "subscriberKey": "42", "to": "person1@example.com", **info}}


def greeting() -> bytes:
    """What is posted, unsigned, to see who answers."""
    return json.dumps({"callbackId": str(uuid.UUID(int=1)), "verificationKey": str(uuid.UUID(int=2))}).encode()


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip() == "application/json"


def _limited(seconds: int) -> Response:
    body = {"message": "Rate limit exceeded", "errorcode": 50100, "retryAfter": seconds}
    return JSONResponse(body, 429, {"Retry-After": str(seconds)})


def _unauthorised(target: str) -> Response:
    if target == "token":
        why = "Invalid client ID. Use the client ID in Marketing Cloud Installed Packages."
        return JSONResponse({"error": "invalid_client", "error_description": why}, 401)
    return _error(401, 0, "Not Authorized")


def _error(status: int, code: int, message: str) -> Response:
    return JSONResponse({"message": message, "errorcode": code, "documentation": ""}, status)


SANDBOX = SfmcSandbox
