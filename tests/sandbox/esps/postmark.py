"""Postmark's batch endpoint. Written from its API reference (Email API, error codes; read 2026-11-21).

`POST /email/batch`, `X-Postmark-Server-Token`, JSON in and out: a list of at most 500 messages, 50 MB in all. The answer is
200 with one part per message, `ErrorCode` 0 or why it was refused; only what concerns all of them is a 401, 422 or 429.
`GET /messages/outbound?count&offset` lists the messages of a stream, by default `outbound`, filtered by `metadata_NAME`.

In the sandbox, recipients that begin with `inactive` are inactive.
"""

import json
import re
import uuid
from collections.abc import Mapping
from typing import ClassVar

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.sandbox.clock import iso
from tests.sandbox.control import Settings
from tests.sandbox.esps.vendor import Refused, Taken, VendorSandbox
from tests.sandbox.faults import Fault
from tests.sandbox.server import read_body

MOST = 500
MAX_BODY = 50_000_000
MAX_METADATA = {"keys": 10, "key": 20, "value": 80}
_ADDRESS = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+")
_TEXTS = {"From", "To", "Cc", "Bcc", "Subject", "Tag", "HtmlBody", "TextBody", "ReplyTo", "TrackLinks", "MessageStream"}
_FIELDS = _TEXTS | {"Headers", "Metadata", "TrackOpens", "Attachments"}
_OWN_HEADERS = {"from", "to", "cc", "bcc", "subject", "reply-to", "date", "message-id", "content-type", "mime-version"}


class PostmarkSettings(Settings):
    """The server: its token, whom it may send as, and its streams."""

    token: str = "secret-of-postmark-server-token-0123"
    sender_domain: str = "example.com"
    streams: tuple[str, ...] = ("outbound",)
    credits: int = 1_000_000


class PostmarkSandbox(VendorSandbox):
    """One Postmark server."""

    paths: ClassVar[Mapping[str, str]] = {"/email/batch": "send"}
    settings: PostmarkSettings

    @classmethod
    def default_settings(cls) -> PostmarkSettings:
        return PostmarkSettings()

    def refusal(self, fault: Fault) -> Response:
        if fault.mode == "429":
            return _error(429, 429, "Rate limit exceeded", {"Retry-After": str(fault.retry_after)})
        if fault.mode == "revoked":
            return _error(401, 10, "Request does not contain a valid Server token.")
        return _error(500 if fault.mode == "500" else 503, 0, "Internal server error")

    async def send(self, request: Request) -> Response:
        if request.headers.get("x-postmark-server-token") != self.settings.token:
            raise Refused(_error(401, 10, "Request does not contain a valid Server token."))
        if not _is_json(request.headers.get("content-type")) or not _is_json(request.headers.get("accept")):
            raise Refused(_error(422, 409, "The request's Content-Type and Accept must be application/json."))
        return JSONResponse([self._part(message) for message in _messages(await read_body(request, MAX_BODY))])

    def routes(self) -> list[BaseRoute]:
        return [*super().routes(), Route("/messages/outbound", self._search)]

    async def _search(self, request: Request) -> Response:
        query = request.query_params
        if request.headers.get("x-postmark-server-token") != self.settings.token:
            return _error(401, 10, "Request does not contain a valid Server token.")
        if not {"count", "offset"} <= set(query):
            return _error(422, 403, "count and offset are required.")
        found = [
            {"MessageID": taken.id, "Metadata": taken.content["Metadata"], "Status": "Sent"}
            for taken in self.taken
            if taken.ours == query.get("metadata_message_id", taken.ours)
            and taken.content.get("MessageStream", "outbound") == query.get("messagestream", "outbound")
        ]
        page = found[int(query["offset"]) :][: int(query["count"])]
        return JSONResponse({"TotalCount": len(found), "Messages": page})

    def _part(self, message: dict[str, JsonValue]) -> dict[str, JsonValue]:
        try:
            self._check(message)
        except _Fault as fault:
            return {"ErrorCode": fault.code, "Message": str(fault)}
        to, metadata = str(message["To"]), message.get("Metadata") or {}
        assert isinstance(metadata, dict)
        known = Taken(str(uuid.uuid4()), to, str(metadata.get("message_id", "")), message)
        self.taken.append(known)
        at = iso(self.clock.real())
        return {"To": to, "SubmittedAt": at, "MessageID": known.id, "ErrorCode": 0, "Message": "OK"}

    def _check(self, message: dict[str, JsonValue]) -> None:
        sender, to = str(message.get("From", "")), str(message.get("To", ""))
        if not _fits(message):
            raise _Fault(403, "Invalid request field(s).")
        if not _ADDRESS.search(sender) or not all(_ADDRESS.fullmatch(one.strip()) for one in to.split(",")):
            raise _Fault(300, f"Invalid 'To' or 'From' address: '{to}'.")
        if not sender.rstrip(">").endswith("@" + self.settings.sender_domain):
            raise _Fault(400, f"The Sender Signature for {sender} was not found.")
        if not message.get("HtmlBody") and not message.get("TextBody"):
            raise _Fault(300, "Provide either email TextBody or HtmlBody or both.")
        if message.get("MessageStream", "outbound") not in self.settings.streams:
            raise _Fault(1235, "The 'MessageStream' provided does not exist on this server.")
        if len(self.taken) >= self.settings.credits:
            raise _Fault(405, "You ran out of credits.")
        if to.startswith("inactive"):
            raise _Fault(406, f"You tried to send to recipient(s) that have been marked as inactive: {to}.")


class _Fault(Exception):
    """Why one message is refused."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def _messages(body: bytes | None) -> list[dict[str, JsonValue]]:
    if body is None:
        raise Refused(_error(413, 413, "The request is too large."))
    try:
        messages = json.loads(body)
    except ValueError:
        raise Refused(_error(422, 402, "Invalid JSON.")) from None
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        raise Refused(_error(422, 403, "Expected a list of messages."))
    if len(messages) > MOST:
        raise Refused(_error(422, 410, "Too many messages in the batch."))
    return messages


def _fits(message: dict[str, JsonValue]) -> bool:
    """Whether all fields are known and of their type."""
    headers, metadata = message.get("Headers", []), message.get("Metadata", {})
    return (
        set(message) <= _FIELDS
        and all(isinstance(message[name], str) for name in _TEXTS & set(message))
        and isinstance(headers, list)
        and all(_is_header(one) for one in headers)
        and isinstance(metadata, dict)
        and len(metadata) <= MAX_METADATA["keys"]
        and all(len(key) <= MAX_METADATA["key"] for key in metadata)
        and all(isinstance(value, str) and len(value) <= MAX_METADATA["value"] for value in metadata.values())
    )


def _is_header(one: JsonValue) -> bool:
    if not isinstance(one, dict) or set(one) != {"Name", "Value"} or not all(isinstance(part, str) for part in one.values()):
        return False
    return str(one["Name"]).lower() not in _OWN_HEADERS and "\n" not in str(one["Value"])


def _is_json(header: str | None) -> bool:
    return (header or "").partition(";")[0].strip().lower() == "application/json"


def _error(status: int, code: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"ErrorCode": code, "Message": sentence}, status, headers)


SANDBOX = PostmarkSandbox
