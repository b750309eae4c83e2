"""One Dynamics sandbox, one message, Ada and Grace."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.crms.dynamics import Dynamics
from shared.definitions import Destination
from shared.exchange import Request, Response
from shared.http import Http
from shared.jobs import CrmJob, Hop, MessageJob
from shared.ledger import Ledger
from shared.ledger_rows import Message
from shared.profiles import Profiles
from shared.queues import Batch, Queue
from shared.secrets import Secrets
from shared.state import Circuits, Leases
from shared.tokens import Tokens
from sync_crm.contacts import Finder
from sync_crm.timeline import Crm, synchronise
from tests.aws import Aws
from tests.rows import in_ledger
from tests.sandbox.dynamics import DynamicsSandbox

Send = Callable[[Request], Response]

EVENTS = Path(__file__).parents[2] / "events" / "sync_crm"


def definition(sandbox: DynamicsSandbox, **changes: object) -> dict[str, object]:
    """The destination as somebody would write it."""
    settings = sandbox.settings
    auth = {
        "type": "oauth2",
        "token_url": f"{sandbox.url}/{settings.tenant}/oauth2/v2.0/token",
        "client_id": settings.client_id,
        "client_secret": settings.client_secret,
        "scope": f"{sandbox.url}/.default",
    }
    return {"name": "dynamics", "connector": "dynamics", "url": sandbox.url, "auth": auth, **changes}


class World:
    """Everything `sync_crm` stands on, for one test."""

    def __init__(self, aws: Aws, sandbox: DynamicsSandbox) -> None:
        self.aws, self.sandbox = aws, sandbox
        self.ledger = Ledger(aws.dynamodb, aws.table("messages"), aws.clock, 86_400)
        self.profiles = Profiles(aws.dynamodb, aws.table("profiles"))
        self.people: dict[str, str] = {}
        self.contacts: dict[str, str] = {}
        self.queue = aws.queue("crm-dynamics")
        self.parked = aws.queue("crm-dynamics-parked")
        self.http = Http((sandbox.url,))
        self.crm = self.compose()

    def compose(self, wrap: Callable[[Send], Send] = lambda send: send, **changes: object) -> Crm:
        """As a process that has just started: nothing in memory."""
        aws = self.aws
        destination = Destination.model_validate(definition(self.sandbox, **changes))
        leases = Leases(aws.dynamodb, aws.table("state"), aws.clock)
        send = wrap(self.http.send)
        tokens = Tokens(Secrets(aws.secretsmanager, aws.secret_prefix), leases, send, aws.clock)
        authorised = tokens.authorised("destination", destination.name, destination.auth, send)
        finder = Finder(destination.name, Dynamics(destination, aws.clock), authorised, self.profiles)
        circuits = Circuits(aws.dynamodb, aws.table("state"), aws.clock, random.Random(1))
        return Crm(finder, circuits, self.ledger, aws.clock, "test")

    def person(self, name: str, *, contact: bool = True, **columns: object) -> str:
        """A profile, and usually a contact in the CRM."""
        address = f"{name}@example.com"
        self.people[name] = self.profiles.upsert([("email", address)], {"email": address}, self.aws.clock())
        if contact:
            self.contacts[name] = self.sandbox.seed({"emailaddress1": address, "lastname": name, **columns})[0]
        return self.people[name]

    def message(self, message_id: str, profile: str) -> None:
        """A row in the ledger."""
        now = self.aws.clock()
        job = MessageJob(
            message_id=message_id,
            trigger="cart",
            trigger_version=1,
            visit_id="shop#a#1",
            profile_id=profile,
            decided="send",
            campaign="2026LoyaltyCamp",
            delivery="DM190",
            template="t",
            integration="i",
            decided_at=now,
            anchor_at=now,
            valid_until=now,
            hops=(Hop(at=now, hop="match_triggers", what="fired"),),
        )
        in_ledger(self.aws, job)

    def job(self, name: str, kind: str, **changes: object) -> CrmJob:
        """An engagement of this person's message."""
        values: dict[str, object] = {
            "destination": "dynamics",
            "engagement_id": f"e_{name}_{kind}",
            "message_id": f"m_{name}",
            "profile_id": self.people[name],
            "type": kind,
            "at": "2026-11-21T11:58:30Z",
            "campaign": "2026LoyaltyCamp",
            "delivery": "DM190",
            "mirror_url": "https://api.example.com/v1/mirror/m_1/sig",
            "url": "https://shop.example.com/cart" if kind == "clicked" else "",
            **({"code": "550", "reason": "5.1.1 no such mailbox"} if kind == "bounced" else {}),
        }
        return CrmJob.model_validate(values | changes)

    def batch(self, event: dict[str, object]) -> Batch[CrmJob]:
        """The event as the function reads it."""
        parked = Queue(self.aws.sqs, self.parked)
        return Batch(
            event, CrmJob, client=self.aws.sqs, queue_url=self.queue, parked=parked, clock=self.aws.clock, chance=random.Random(1)
        )

    def sync(self, *jobs: CrmJob, crm: Crm | None = None) -> int:
        """Delivers these jobs as one batch; how many are to be retried."""
        return self.handle(self.aws.delivery("crm-dynamics", *jobs), crm)

    def handle(self, event: dict[str, object], crm: Crm | None = None) -> int:
        """Handles one delivery; how many are to be retried."""
        batch = self.batch(event)
        synchronise(batch, crm or self.crm)
        return len(batch.response()["batchItemFailures"])

    def timeline(self, name: str) -> list[str]:
        """The kinds of activities on a contact's timeline."""
        return sorted(str(row["activitytypecode"]) for row in self.sandbox.timeline(self.contacts[name]))

    def row(self, name: str, table: str) -> dict[str, object]:
        """The only activity of a kind that is on a contact's timeline."""
        (row,) = [row for row in self.sandbox.timeline(self.contacts[name]) if row["activitytypecode"] == table]
        return row

    def trace(self, name: str) -> list[Hop]:
        """What `sync_crm` wrote on the trace of a person's message."""
        message: Message | None = self.ledger.read(f"m_{name}")
        assert message is not None
        return [hop for hop in message.trace if hop.hop == "sync_crm"]


@pytest.fixture(scope="session")
def dynamics_server() -> Iterator[DynamicsSandbox]:
    with DynamicsSandbox.run() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(dynamics_server: DynamicsSandbox) -> DynamicsSandbox:
    dynamics_server.control("reset")
    return dynamics_server


@pytest.fixture
def world(aws: Aws, sandbox: DynamicsSandbox) -> Iterator[World]:
    made = World(aws, sandbox)
    for name in ("ada", "grace"):
        made.message(f"m_{name}", made.person(name))
    yield made
    made.http.close()
