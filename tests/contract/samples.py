"""One sample of every registered connector: all that the contract suite needs to know of a vendor.

A new vendor is tested by its row in `connectors/registry.py` and its entry in `SAMPLES` here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import JsonValue

from connectors.base import Post, Rejected
from connectors.crms.timeline import Entry
from connectors.esps.base import Outgoing, Sent
from connectors.esps.webhooks import read_post
from connectors.registry import CRMS, ESPS, TRACKERS
from shared.definitions import Definition, Destination, Integration, Tracker
from shared.errors import SendbridgeError
from shared.exchange import Exchange, Response
from shared.jobs import CrmJob
from tests.sandbox import standard_webhooks

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ADDRESS = "ada.lovelace@example.com"
KEYS = tuple(
    "whsec_" + base64.b64encode(f"a key of {name} for signing".encode()).decode() for name in ("today", "before", "others")
)
"""The present signing secret, the one before it, and a stranger's."""


@dataclass(frozen=True)
class Inbound:
    """What is posted to a connector."""

    sign: Callable[[str, datetime, bytes], dict[str, str]]
    """The headers of a post: with this secret, at this time, of this body."""
    headers: tuple[str, ...]
    """Those without which no post is taken."""
    post: Callable[[Sequence[JsonValue]], bytes]
    """A body with these events."""
    good: tuple[JsonValue, ...]
    """At least two different events, one of them without an id of its own."""
    bad: JsonValue
    receive: Callable[[Mapping[str, str], bytes, datetime], tuple[list[str], list[int]]]
    """Verifies and reads a post: the ids of its events, and the positions of those that cannot be used."""


def _plain(status: int, headers: Mapping[str, str], body: bytes) -> Response:
    return Response(status, headers, body)


@dataclass(frozen=True)
class Operation:
    """What a connector asks a vendor to do. `start` begins it with a connector that knows nothing yet."""

    start: Callable[[], Exchange[object]]
    answers: tuple[Response, ...]
    """With these it succeeds."""
    answer: Callable[[int, Mapping[str, str], bytes], Response] = _plain
    """The last answer, if the vendor says this of what was asked for."""
    reads: bool = True
    """Whether success needs a body of the vendor's own form."""
    writes: bool = True
    """Whether something may have been done although the answer cannot be read."""


@dataclass(frozen=True)
class Sample:
    """A connector as somebody would use it."""

    definition: Definition
    secrets: tuple[str, ...]
    """Every secret value of the definition."""
    inbound: Inbound | None = None
    operations: Mapping[str, Operation] = field(default_factory=dict)


def _signed(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    return standard_webhooks.headers(secret, "msg_1", int(at.timestamp()), body)


_SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")


def _together(events: Sequence[JsonValue]) -> bytes:
    return json.dumps({"events": list(events)}).encode()


def _tracker() -> Sample:
    definition = Tracker.model_validate({"name": "shop", "secrets": KEYS[:2]})

    def receive(headers: Mapping[str, str], body: bytes, now: datetime) -> tuple[list[str], list[int]]:
        connector, post = TRACKERS.load("standard_webhooks"), Post(headers, body)
        connector.verify(definition, post, lambda: now)
        read = connector.events(definition, post, lambda: now)
        return [e.id for e in read if not isinstance(e, Rejected)], [e.index for e in read if isinstance(e, Rejected)]

    event: dict[str, JsonValue] = {
        "name": "Product Added",
        "time": "2026-11-21T11:59:00Z",
        "anonymous_id": "a1",
        "traits": {"email": ADDRESS},
    }
    good: tuple[JsonValue, ...] = ({"id": "evt_1", **event}, {**event, "name": "Cart Viewed"})
    return Sample(definition, KEYS[:2], Inbound(_signed, _SIGNED, _together, good, {**event, "time": "yesterday"}, receive))


def sending(connector: str, integration: Integration, body: JsonValue) -> Exchange[Sent]:
    """The operation of sending one message. Raises what it came to if that is no success."""
    answered = yield from ESPS.load(connector).send(integration, [Outgoing("m_1", integration.url, body)], lambda: NOW)
    [outcome] = answered.outcomes
    if isinstance(outcome, SendbridgeError):
        raise outcome
    return outcome


def _esp() -> Sample:
    secret = "sk_live_0123456789"
    definition = Integration.model_validate(
        {
            "name": "postbird",
            "url": "https://api.postbird.example/v1/messages",
            "secret_headers": {"X-Api-Key": secret},
            "auth": {"type": "basic", "username": "shop", "password": "pass-0123456789"},
            "body": {"to": "{{ to }}"},
            "idempotency_header": "Idempotency-Key",
            "webhook": {"secrets": KEYS[:2], "events": "events", "types": {"opened": "opened", "bounced": "bounced"}},
        }
    )

    def receive(headers: Mapping[str, str], body: bytes, now: datetime) -> tuple[list[str], list[int]]:
        parsed = read_post(ESPS.load("rest"), definition, Post(headers, body), lambda: now)
        return [e.id for e in parsed.engagements], [index for index, _, _ in parsed.problems]

    event: dict[str, JsonValue] = {
        "type": "opened",
        "time": "2026-11-21T11:59:00Z",
        "metadata": {"message_id": "m_1"},
        "email": ADDRESS,
    }
    good: tuple[JsonValue, ...] = ({"id": "evt_1", **event}, {**event, "type": "bounced"})
    keyless = definition.model_copy(update={"idempotency_header": ""})

    def send(integration: Integration) -> Operation:
        accepted = Response(202, {"content-type": "application/json"}, b'{"id": "pb_1"}')
        return Operation(lambda: sending("rest", integration, {"to": ADDRESS}), (accepted,))

    return Sample(
        definition,
        (*KEYS[:2], secret, "pass-0123456789"),
        Inbound(_signed, _SIGNED, _together, good, {**event, "time": "yesterday"}, receive),
        {"send": send(definition), "send without idempotency key": send(keyless)},
    )


_BATCH = {"content-type": "multipart/mixed; boundary=batchresponse_1"}
_PHRASE = "Whatever"


def _in_batch(status: int, headers: Mapping[str, str], body: bytes) -> Response:
    """The vendor's answer to the one operation of a batch."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = "--batchresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    inner = f"HTTP/1.1 {status} {_PHRASE}\r\n{lines}\r\n".encode() + body
    return Response(200, _BATCH, head.encode() + inner + b"\r\n--batchresponse_1--\r\n")


def _crm() -> Sample:
    secret = "client-0123456789"
    auth = {"type": "oauth2", "token_url": "https://login.example.com/t", "client_id": "app", "client_secret": secret}
    url = "https://org.crm.dynamics.com"
    definition = Destination.model_validate({"name": "dynamics", "url": url, "auth": auth, "follow_up_bounces": False})
    job = CrmJob(
        destination="dynamics",
        engagement_id="e_1",
        message_id="m_1",
        profile_id="p_1",
        type="bounced",
        at=NOW,
        campaign="Autumn",
        delivery="Cart",
        mirror_url="https://api.example.com/v1/mirror/m_1/s",
        code="550",
        reason="no such mailbox",
    )
    row = {"contactid": "11111111-2222-4333-8444-555555555555", "emailaddress1": ADDRESS, "statecode": 0}
    found = Response(200, {}, json.dumps({"value": [row]}).encode())
    table = Response(200, {}, b'{"EntitySetName": "sb_emailbounces"}')
    relation = {
        "ReferencedEntity": "contact",
        "ReferencingEntityNavigationPropertyName": "regardingobjectid_contact_sb_emailbounce",
    }
    relations = Response(200, {}, json.dumps({"value": [relation]}).encode())
    described = (table, relations, _in_batch(204, {}, b""))
    connector = CRMS.load("dynamics")

    def write() -> Exchange[object]:
        return connector(definition, lambda: NOW).write([Entry(job, "c-1")])

    return Sample(
        definition,
        (secret,),
        operations={
            "contacts": Operation(lambda: connector(definition, lambda: NOW).contacts([ADDRESS]), (found,), writes=False),
            "write": Operation(write, described),
            "write one record": Operation(write, described, _in_batch, reads=False),
        },
    )


SAMPLES: dict[tuple[str, str], Callable[[], Sample]] = {
    ("tracker", "standard_webhooks"): _tracker,
    ("ESP", "rest"): _esp,
    ("CRM", "dynamics"): _crm,
}
