"""One sample of every registered connector: all that the contract suite needs to know of a vendor.

A new vendor is tested by its row in `connectors/registry.py` and its entry in `SAMPLES` here: an ESP by `esps/<vendor>.py`, a
tracker's format by `trackers/<format>.py`, both by a function `sample`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from connectors.crms.timeline import Entry
from connectors.registry import CRMS
from shared.definitions import Destination, Integration
from shared.exchange import Exchange, Response
from shared.jobs import CrmJob
from tests.contract.sample import ADDRESS, KEYS, NOW, Inbound, Operation, Sample, reading, sending
from tests.sandbox import standard_webhooks


def _signed(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    return standard_webhooks.headers(secret, "msg_1", int(at.timestamp()), body)


_SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")


def _together(events: Sequence[JsonValue]) -> bytes:
    return json.dumps({"events": list(events)}).encode()


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

    receive = reading("rest", definition)
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


def _vendors_own(kind: str, folder: str) -> dict[tuple[str, str], Callable[[], Sample]]:
    """The samples in `tests/contract/<folder>/<name>.py`."""
    names = [path.stem for path in (Path(__file__).parent / folder).glob("[a-z]*.py")]
    return {(kind, name): partial(_sample_of, f"tests.contract.{folder}.{name}") for name in names}


def _sample_of(module: str) -> Sample:
    made: Sample = importlib.import_module(module).sample()
    return made


SAMPLES: dict[tuple[str, str], Callable[[], Sample]] = {
    **_vendors_own("ESP", "esps"),
    **_vendors_own("tracker", "trackers"),
    ("ESP", "rest"): _esp,
    ("CRM", "dynamics"): _crm,
}
