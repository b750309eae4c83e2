"""One destination, and the messages of Ada and Grace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from record_engagement.recording import Books, record_all
from shared.catalogue import Definitions
from shared.claims import Claims
from shared.definitions import Destination
from shared.jobs import CrmJob, Engagement, EngagementsJob, Hop, MessageJob
from shared.ledger import Ledger
from shared.ledger_rows import Message
from shared.links import Links
from shared.person import Profile
from shared.profiles import Profiles
from shared.queues import Batch, Queue
from tests.aws import Aws
from tests.rows import in_ledger

SAMPLE = Path(__file__).parents[2] / "events" / "record_engagement" / "opened_twice_and_bounced.json"

AUTH = {"type": "oauth2", "token_url": "https://login.example.com/t", "client_id": "i", "client_secret": "s"}


def sample() -> str:
    """The sample event's body."""
    body: str = json.loads(SAMPLE.read_text())["Records"][0]["body"]
    return body


class World:
    """Everything `record_engagement` stands on, for one test."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.ledger = Ledger(aws.dynamodb, aws.table("messages"), aws.clock, 86_400)
        self.profiles = Profiles(aws.dynamodb, aws.table("profiles"))
        self.people: dict[str, str] = {}
        aws.queue("crm-dynamics")
        self.books = self.compose()

    def compose(self) -> Books:
        """As a process that has just started."""
        aws = self.aws
        definitions = Definitions(aws.table("definitions"), aws.dynamodb, aws.clock, 0)
        return Books(
            self.ledger,
            Claims(aws.dynamodb, aws.table("messages"), 86_400),
            self.profiles,
            definitions.catalogue(Destination, secrets=False),
            {"dynamics": Queue(aws.sqs, aws.queue("crm-dynamics"))},
            Queue(aws.sqs, aws.queue("engagements-parked")),
            Links("key", "https://api.example.com"),
            aws.clock,
            "test",
        )

    def person(self, name: str, sent_to: str = "email#") -> None:
        """A profile and a message sent to it."""
        now = self.aws.clock()
        address = f"{name}@example.com"
        self.people[name] = self.profiles.upsert([("email", address)], {"email": address}, now)
        job = MessageJob(
            message_id=f"m_{name}",
            trigger="cart",
            trigger_version=1,
            visit_id=f"shop#a#{name}",
            profile_id=self.people[name],
            decided="send",
            campaign="2026LoyaltyCamp",
            delivery="DM190",
            template="t",
            integration="postbird",
            decided_at=now,
            anchor_at=now,
            valid_until=now,
        )
        in_ledger(self.aws, job, sent_to=sent_to)

    def engagement(self, name: str, kind: str, **changes: object) -> Engagement:
        """One thing that became of this person's message."""
        values: dict[str, object] = {
            "id": f"e_{name}_{kind}",
            "message_id": f"m_{name}",
            "integration": "postbird",
            "type": kind,
            "at": "2026-11-21T11:58:00Z",
            "received_at": "2026-11-21T11:59:00.500Z",
        }
        return Engagement.model_validate(values | changes)

    def batch(self, event: dict[str, object]) -> Batch[EngagementsJob]:
        """The event as the function reads it."""
        aws = self.aws
        parked = Queue(aws.sqs, aws.queue("engagements-parked"))
        url = aws.queue("engagements")
        return Batch(event, EngagementsJob, client=aws.sqs, queue_url=url, parked=parked, clock=aws.clock)

    def record(self, *engagements: Engagement) -> int:
        """Delivers these engagements as one post; how many queue messages are to be retried."""
        return self.handle(self.aws.delivery("engagements", EngagementsJob(engagements=engagements)))

    def handle(self, event: dict[str, object]) -> int:
        """Handles one delivery; how many queue messages are to be retried."""
        batch = self.batch(event)
        record_all(batch, self.books)
        return len(batch.response()["batchItemFailures"])

    def message(self, name: str) -> Message:
        """This person's row in the ledger."""
        message = self.ledger.read(f"m_{name}")
        assert message is not None
        return message

    def trace(self, name: str) -> list[Hop]:
        """What `record_engagement` wrote on the trace."""
        return [hop for hop in self.message(name).trace if hop.hop == "record_engagement"]

    def profile(self, name: str) -> Profile:
        """This person."""
        profile = self.profiles.get(self.people[name])
        assert profile is not None
        return profile

    def crm_jobs(self, queue: str = "crm-dynamics") -> list[CrmJob]:
        """Takes what is in a CRM's queue."""
        return [CrmJob.model_validate_json(body) for body in self.aws.received(queue)]


@pytest.fixture
def world(aws: Aws) -> World:
    made = World(aws)
    for name in ("ada", "grace"):
        made.person(name)
    aws.define("destination", name="dynamics", url="https://org.example.com", auth=AUTH)
    return made
