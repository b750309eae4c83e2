"""Adobe I/O Events: webhooks of any of Adobe's products, among them the triggers of Experience Cloud.

Events are CloudEvents, or of the older form `{"event_id", "event"}`; a post has one or, in batches, a list of them. What is said
once by a webhook may be said again, in another order, and in the journal (`adobe_journal.py`): its id is made of what it is.

Posts are signed twice with RSA, by keys that Adobe serves from one host; either signature will do, as one of the keys may be
about to change. These keys sign for all of Adobe's customers, and anybody may have his events posted to any address: so an event
counts only if it names the tracker's client id. The older signature, by the client secret alone, is taken from trackers that
have it as a secret.

Source: Adobe I/O Events (Webhooks, Signature verification, Journaling, FAQ), Experience Cloud Triggers (read 2026-11-21).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.trackers.adobe_commerce import of_commerce
from connectors.trackers.base import (
    EventFormat,
    Reply,
    Unusable,
    content_id,
    fields_of,
    made,
    object_of,
    one_or_many,
    text_of,
    time_of,
    unix_time_of,
)
from shared.clock import Clock
from shared.errors import BadRequest, SendbridgeError, Transient
from shared.exchange import Exchange, Request
from shared.fields import Hmac
from shared.ids import digest
from shared.jobs import TrackerEvent
from shared.mapping import at, text_at
from shared.signatures import verify_hmac
from shared.trackers import Tracker

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

KEYS = "https://static.adobeioevents.com"
"""Where Adobe serves its public keys. A post names a path there, and nothing else."""

TRIGGER = "Experience Cloud Trigger"
"""What a trigger is called, unless the tracker's `names` have a name for its id."""

_SIGNATURES = tuple((f"x-adobe-digital-signature-{n}", f"x-adobe-public-key{n}-path") for n in (1, 2))
_BY_SECRET = Hmac(header="x-adobe-signature", encoding="base64")
_PATH = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){1,6}")
_CHALLENGE = re.compile(r"[!-~]{1,500}")
_VALIDATES = re.compile(r"([a-z0-9-]{1,63}\.)+adobe\.io")
"""Hosts that may be asked to validate a registration: Adobe's gateways. Not `adobeioruntime.net`, where anybody's code runs."""
_VALIDATION_SIZE = 4_000
_PATIENCE = 4
"""Seconds for one key: Adobe gives up after ten, and there may be two to fetch."""
_PLAIN = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
_MESSAGE = "com.adobe.mcloud.pipeline.pipelineMessage"
_TRIGGER = "com.adobe.mcloud.protocol.trigger"
_TRAITS = frozenset({"email", "phone"})
_ADDRESSEE = "must be the tracker's client_id"


class AdobeIo(EventFormat):
    """The format `adobe_io`."""

    forgiving = True
    setup = (
        "In the Developer Console, add I/O Events to a project with OAuth Server-to-Server credentials, and a registration of "
        "type webhook with this tracker's address. Its challenge is answered by itself.",
        "`client_id` is the project's: Adobe signs for all its customers, so events for any other are refused. With `proof: "
        "vendor` there is nothing else to fill in. Old registrations that sign by the client secret have it in `secrets`.",
        "`identifiers` says where the person is: `user_id: eVar3` if that dimension of a trigger has the CRM's id. A trigger is "
        "called as `names` says for its id, else `Experience Cloud Trigger`; its visitor is the ECID.",
        "`journal` (the address of the registration's journal, the organisation, and the project's credentials) has what the "
        "webhook missed read from there, each minute. `silence_seconds` has an alarm go off when the webhook brings nothing for "
        "so long: Adobe switches one off after failures, and only a person can switch it on again.",
        "Triggers must be in the product profile of the credentials, or Adobe shows no report suites, and no events come.",
    )

    def greeting(self, tracker: Tracker, post: Post) -> Reply | Exchange[Reply] | None:
        """Answers the challenge of a new registration: its value, or what comes of calling the address that it names.

        Raises BadRequest if there is none, or if the address is none of Adobe's.
        """
        if post.method == "GET":
            challenge = post.query.get("challenge", "")
            if not _CHALLENGE.fullmatch(challenge):
                raise BadRequest("expected Adobe's challenge, as printable ASCII", field="challenge")
            return Reply(200, challenge, _PLAIN)
        url = _validation_url(post)
        return None if url is None else _validated(url)

    def verify(self, tracker: Tracker, post: Post, clock: Clock) -> Exchange[None] | None:
        """Refuses (401) what neither of Adobe's keys, nor the client secret, has signed for this tracker's client id."""
        signed = [
            (_unbase64(post.headers[name]), post.headers.get(path, "")) for name, path in _SIGNATURES if name in post.headers
        ]
        if not signed and _BY_SECRET.header in post.headers and tracker.secrets:
            verify_hmac(post.headers, post.body, (one.get_secret_value() for one in tracker.secrets), _BY_SECRET, clock)
            return None
        # What needs no key comes first: a forger is to cost us, and Adobe, no request.
        usable = [(signature, path) for signature, path in signed if signature and _PATH.fullmatch(path)]
        if not usable:
            header, path = _SIGNATURES[0]
            raise BadRequest(f"expected a signature in {header} and the path of its key in {path}", field=header, status=401)
        _check_addressees(tracker, post)
        return _signed_by_one(usable, post.body)

    def event(self, tracker: Tracker, posted: JsonValue, post: Post, received_at: datetime) -> TrackerEvent:
        """A trigger of Experience Cloud, or any other event. Raises Unusable."""
        outer = fields_of(posted)
        if tracker.proof == "vendor" and _by_key(post) and not _is_for(tracker, outer):
            raise Unusable("recipientclientid", _ADDRESSEE)
        content = outer.get("data") if "specversion" in outer else outer.get("event", posted)
        message = content.get(_MESSAGE) if isinstance(content, dict) else None
        if message is not None:
            return _trigger(tracker, object_of(message, _MESSAGE), received_at)
        if "specversion" in outer:
            return self._cloud_event(tracker, outer, received_at)
        return self._legacy(tracker, outer, object_of(content, "event"), post, received_at)

    def _cloud_event(self, tracker: Tracker, outer: dict[str, JsonValue], received_at: datetime) -> TrackerEvent:
        code, given = text_of(outer.get("type"), "type"), text_of(outer.get("id"), "id")
        if code is None or given is None:
            raise Unusable("type" if code is None else "id", "must be there")
        data = outer.get("data")
        content: dict[str, JsonValue] = data if isinstance(data, dict) else {} if data is None else {"value": data}
        return self._any(
            tracker,
            # Two sources may use one id, and a source may not use it twice (CloudEvents 1.0, section 3.1.1).
            id=digest("event", tracker.name, text_of(outer.get("source"), "source") or "", given),
            code=code,
            at=time_of(outer["time"], "time") if outer.get("time") is not None else received_at,
            received_at=received_at,
            content=content,
        )

    def _legacy(
        self, tracker: Tracker, outer: dict[str, JsonValue], content: dict[str, JsonValue], post: Post, received_at: datetime
    ) -> TrackerEvent:
        """`{"event_id", "event"}`. A header names the type of a single one, if its content does not."""
        code = text_at(content, "type") or text_at(content, "@type") or post.headers.get("x-adobe-event-code", "")
        if not code:
            raise Unusable("event.type", "must be there")
        return self._any(
            tracker,
            id=text_of(outer.get("event_id"), "event_id") or content_id(tracker, content),
            code=code,
            at=time_of(content["time"], "event.time") if content.get("time") is not None else received_at,
            received_at=received_at,
            content=content,
        )

    def _any(
        self, tracker: Tracker, *, id: str, code: str, at: datetime, received_at: datetime, content: dict[str, JsonValue]
    ) -> TrackerEvent:
        commerce = of_commerce(code, content)
        if commerce is None:
            return _made(tracker, id=id, name=self.called(tracker, code), at=at, received_at=received_at, properties=content)
        name = tracker.names.get(code, commerce.name)
        properties = commerce.properties
        return _made(tracker, id=id, name=name, at=at, received_at=received_at, properties=properties, known=commerce.person)


def _trigger(tracker: Tracker, message: dict[str, JsonValue], received_at: datetime) -> TrackerEvent:
    """A trigger of Experience Cloud: who it is about is the ECID, unless the tracker knows a dimension that says more."""
    said = object_of(message.get(_TRIGGER), _TRIGGER)
    which, visitor = text_of(said.get("triggerId"), "triggerId"), text_of(said.get("mcId"), "mcId")
    moment = said.get("triggerTimestamp")
    if which is None:
        raise Unusable("triggerId", "must be there")
    return _made(
        tracker,
        # Not `event_id`: that is of the delivery, and webhook, journal and Adobe's own repeats must come to the same.
        id=digest("trigger", tracker.name, which, visitor or "", str(moment)),
        name=tracker.names.get(which) or tracker.names.get(TRIGGER, TRIGGER),
        at=unix_time_of(moment, "triggerTimestamp", "milliseconds"),
        received_at=received_at,
        properties={"trigger_id": which, **_summary(said)},
        known={"anonymous_id": visitor, "ecid": visitor} if visitor else {},
    )


def _summary(said: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The dimensions, each with its newest value, and under `dimensions` with all; the products; how it came to the trigger."""
    summary = at(said, "enrichments.analyticsHitSummary")
    dimensions = at(summary, "dimensions")
    values = dict(_dimensions(dimensions)) if isinstance(dimensions, dict) else {}
    newest: dict[str, JsonValue] = {name: listed[-1] for name, listed in values.items() if listed}
    if (url := newest.get("pageURL")) is not None:
        newest["url"] = url
    products, path = at(summary, "products"), said.get("triggerPath")
    extras: dict[str, JsonValue] = {"dimensions": values, "products": products, "path": path}  # type: ignore[dict-item]  # lists of JSON
    return newest | {name: value for name, value in extras.items() if value}


def _dimensions(dimensions: dict[str, JsonValue]) -> Iterator[tuple[str, list[JsonValue]]]:
    for name, one in dimensions.items():
        data = one.get("data") if isinstance(one, dict) else None
        if data is not None:
            yield name, data if isinstance(data, list) else [data]


def _made(
    tracker: Tracker,
    *,
    id: str,
    name: str,
    at: datetime,
    received_at: datetime,
    properties: dict[str, JsonValue],
    known: Mapping[str, str] | None = None,
) -> TrackerEvent:
    """The event, of whoever its properties name where the tracker's `identifiers` say, else of whoever is `known`."""
    person = {**(known or {}), **dict(_identified(tracker, properties))}
    return made(
        tracker,
        id=id,
        name=name,
        at=at,
        received_at=received_at,
        anonymous_id=person.pop("anonymous_id", None),
        user_id=person.pop("user_id", None),
        traits={key: person.pop(key) for key in sorted(_TRAITS & person.keys())},
        identifiers=tuple(person.items()),
        properties=properties,
    )


def _identified(tracker: Tracker, properties: dict[str, JsonValue]) -> Iterator[tuple[str, str]]:
    for namespace, source in tracker.identifiers.items():
        paths = (source,) if isinstance(source, str) else source
        if value := next((text for path in paths if (text := text_at(properties, path))), ""):
            yield namespace, value


def _validation_url(post: Post) -> str | None:
    """The address in an asynchronous challenge; None if the post is something else. Raises BadRequest if it may not be called."""
    if len(post.body) > _VALIDATION_SIZE or b'"validationUrl"' not in post.body:
        return None
    url = at(parsed(post.body), "validationUrl")
    if url is None:
        return None
    if not isinstance(url, str) or not _is_adobes(url):
        raise BadRequest("must be an https address of adobe.io", field="validationUrl")
    return url


def _is_adobes(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(_VALIDATES.fullmatch(parts.netloc))
    except ValueError:
        return False


def _validated(url: str) -> Exchange[Reply]:
    answer = yield Request("GET", url, timeout=_PATIENCE)
    if answer.status >= 400:
        raise Transient(f"Adobe answered HTTP {answer.status} to the validation of the webhook")
    return Reply(200, "validated", _PLAIN)


def _unbase64(text: str) -> bytes:
    """The bytes; empty if the text is not exactly how a signature's bytes are written."""
    try:
        value = base64.b64decode(text.encode(errors="surrogatepass"), validate=True) if len(text) <= 2_000 else b""
    except (binascii.Error, ValueError):
        return b""
    return value if base64.b64encode(value).decode() == text else b""


def _by_key(post: Post) -> bool:
    """Whether a post is signed by Adobe's keys, and so has to be addressed to us: they sign for everybody."""
    return any(name in post.headers for name, _ in _SIGNATURES)


def _check_addressees(tracker: Tracker, post: Post) -> None:
    """Raises BadRequest (401) if no event is for this tracker's client id; one of several that is not is rejected by itself."""
    try:
        events = one_or_many(parsed(post.body))
    except BadRequest as error:
        raise BadRequest("expected signed events as JSON", field="body", status=401) from error
    if not any(_is_for(tracker, one) for one in events):
        raise BadRequest(_ADDRESSEE, field="recipientclientid", status=401)


def _is_for(tracker: Tracker, event: JsonValue) -> bool:
    """By the client id; a trigger that names none, by the organisation, if the tracker has it."""
    named = [given for key in ("recipientclientid", "recipient_client_id") if (given := at(event, key)) is not None]
    if named:
        return all(given == tracker.client_id for given in named)
    message = _message_of(event)
    ours = tracker.journal.organization if tracker.journal else None
    return ours is not None and at(message, "header.imsOrg") == ours


def _message_of(event: JsonValue) -> JsonValue:
    content = at(event, "event")
    return content.get(_MESSAGE) if isinstance(content, dict) else None


def _signed_by_one(signed: list[tuple[bytes, str]], body: bytes) -> Exchange[None]:
    """Raises BadRequest (401) if no signature fits; Transient if a key that might have made one fit cannot be had now."""
    missing: SendbridgeError | None = None
    for signature, path in signed:
        try:
            answer = yield Request("GET", KEYS + path, timeout=_PATIENCE)
        except SendbridgeError as error:
            missing = error
            continue
        if answer.status in (408, 429) or answer.status >= 500:
            missing = Transient(f"the host of Adobe's keys answered HTTP {answer.status}")
        elif answer.status == 200 and _signs(answer.body, signature, body):
            return
    if missing is not None:
        raise Transient(f"a key of Adobe's cannot be had: {missing.reason}")
    raise BadRequest("no signature matches the body", field=_SIGNATURES[0][0], status=401)


def _signs(pem: bytes, signature: bytes, body: bytes) -> bool:
    """Whether the signature of the body is this key's: RSA with SHA-256 (PKCS #1 v1.5)."""
    # Only where posts are verified is the library in the bundle.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    key = _public_key(pem)
    try:
        if key is not None:
            key.verify(signature, body, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return key is not None


@lru_cache(8)
def _public_key(pem: bytes) -> RSAPublicKey | None:
    """The key; None if it is no RSA key."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) else None


CONNECTOR = AdobeIo()
