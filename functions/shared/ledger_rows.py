"""Rows of the ledger: what became of each message, from the decision to its last engagement, with its trace.

A message has a row of its own until it is sent, and a second one, under its id and `#after`, for all that comes then. Writing a
row costs by its whole size, and most writes come after the send: one row for everything would cost twice as much.

| status | means |
|---|---|
| `sending` | somebody has claimed it until `lease_until`; after that it may have gone out |
| `waiting` | it surely did not go out, and is tried again |
| `unknown` | it may have gone out: the ESP's webhook, its look-up or its idempotency key will tell |
| `sent`, `skipped` | final |
| `parked` | it is tried again when a person sends it back to its queue |

`tried_at` is not 0 while it may have gone out: the time of the first such attempt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import JsonValue, TypeAdapter

from shared.clock import from_iso, iso
from shared.jobs import Hop

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from shared.rows import Row

_HOPS = TypeAdapter(tuple[Hop, ...])

Status = Literal["sending", "waiting", "unknown", "sent", "skipped", "parked"]


@dataclass(frozen=True)
class Claim:
    """Who has a message, until when, and what is kept of it meanwhile."""

    by: str
    """Of one invocation; nobody else's is the same."""
    until: float
    """Unix time."""
    integration: str
    integration_version: int
    """Which one it goes through: of two, if the first one's ESP is down."""
    tried_at: float
    """Unix time of the first attempt of which nobody knows whether it went out: this one, or an earlier one."""
    kept: str = ""
    """Where its content is."""
    alone: bool = True
    """Whether it is the only message of its request, so that its idempotency key is its own."""
    sent_to: str = ""
    """Which address it goes to: `shared.person.Profile.place`."""


@dataclass(frozen=True)
class Message:
    """A message as the ledger has it."""

    id: str
    status: Status
    trigger: str
    visit_id: str
    profile_id: str | None
    campaign: str
    delivery: str
    created_at: datetime
    attempts: int
    claim: Claim
    cancelled: str
    """Why it should not go out any more, said while it could no longer be skipped."""
    esp_message_id: str
    trace: tuple[Hop, ...]
    hops: int
    """How many groups of them its first row has."""
    engagements: Mapping[str, str]
    """Engagement id → its type, of those recorded."""

    @property
    def integration(self) -> str:
        """Which integration it goes, or went, through."""
        return self.claim.integration

    def doubtful(self, now: float) -> bool:
        """Whether it may have gone out, and nobody is about to say."""
        if self.status == "sending":
            return self.claim.until < now
        return self.status in ("unknown", "parked") and self.claim.tried_at > 0


class Facts(Protocol):
    """What a row says of a message: a job, or what a visit remembers of one."""

    @property
    def message_id(self) -> str:
        """Ours."""

    @property
    def trigger(self) -> str:
        """Its name."""

    @property
    def visit_id(self) -> str:
        """Whose visit it is about."""

    @property
    def profile_id(self) -> str | None:
        """Who gets it."""

    @property
    def campaign(self) -> str:
        """The trigger's."""

    @property
    def delivery(self) -> str:
        """The trigger's."""

    @property
    def integration(self) -> str:
        """The trigger's, by name."""

    @property
    def decided_at(self) -> datetime:
        """When it was decided."""


def hops_column(*groups: Sequence[Hop]) -> AttributeValueTypeDef:
    """Groups of hops, each as one text: a JSON list."""
    return {"L": [{"S": _HOPS.dump_json(tuple(group), exclude_defaults=True).decode()} for group in groups if group]}


def _hops(texts: AttributeValueTypeDef) -> list[Hop]:
    return [hop for text in texts["L"] for hop in _HOPS.validate_json(text["S"])]


def facts_column(job: Facts) -> AttributeValueTypeDef:
    """What never changes of a message, but for what DynamoDB itself looks at, as JSON."""
    facts = {"trigger": job.trigger, "profile_id": job.profile_id, "campaign": job.campaign, "delivery": job.delivery}
    return {"S": json.dumps({**facts, "integration": job.integration})}


def way_column(claim: Claim) -> AttributeValueTypeDef:
    """Which way a message goes, as JSON: a write costs by its columns."""
    way = [claim.integration, claim.integration_version, claim.kept, claim.alone, claim.sent_to]
    return {"S": json.dumps(way)}


def expiry(job: Facts, retention: int) -> int:
    """When the row may be deleted, so many seconds after the decision, in Unix time."""
    return int(job.decided_at.timestamp()) + retention


def as_message(item: Row, after: Row | None = None) -> Message:
    """A message, of its rows."""
    later: Row = after or {}
    hops = [*_hops(item["trace"]), *(_hops(later["trace"]) if later else ())]
    facts: dict[str, str] = json.loads(item["facts"]["S"])
    return Message(
        id=item["pk"]["S"],
        status=item["status"]["S"],  # type: ignore[arg-type]  # written by this class only
        trigger=facts["trigger"],
        visit_id=item["visit_id"]["S"],
        profile_id=facts["profile_id"],
        campaign=facts["campaign"],
        delivery=facts["delivery"],
        created_at=from_iso(item["created_at"]["S"]),
        attempts=int(_of(item, "attempts", "N", "0")),
        claim=_claim(item, facts["integration"]),
        cancelled=_of(item, "cancelled", "S", ""),
        esp_message_id=_of(item, "esp_message_id", "S", ""),
        trace=tuple(sorted(hops, key=lambda hop: hop.at)),
        hops=len(item["trace"]["L"]),
        engagements={key: value["S"] for key, value in later.items() if key.startswith("e_")},
    )


def _claim(item: Row, integration: str) -> Claim:
    way = json.loads(_of(item, "way", "S", "null")) or [integration, 0, "", True, ""]
    return Claim(
        by=_of(item, "claimed_by", "S", ""),
        until=float(_of(item, "lease_until", "N", "0")),
        integration=way[0],
        integration_version=way[1],
        tried_at=float(_of(item, "tried_at", "N", "0")),
        kept=way[2],
        alone=way[3],
        sent_to=way[4],
    )


def _of(item: Row, column: str, kind: Literal["S", "N"], otherwise: str) -> str:
    value = item.get(column)
    return value[kind] if value else otherwise


def as_json(message: Message) -> dict[str, JsonValue]:
    """A message as the admin API shows it."""
    return {
        "message_id": message.id,
        "status": message.status,
        "trigger": message.trigger,
        "visit_id": message.visit_id,
        "profile_id": message.profile_id,
        "campaign": message.campaign,
        "delivery": message.delivery,
        "integration": message.integration,
        "created_at": iso(message.created_at),
        "attempts": message.attempts,
        "esp_message_id": message.esp_message_id,
        "engagements": dict(message.engagements),
        "trace": [json.loads(hop.model_dump_json()) for hop in message.trace],
    }
