"""All that sending works with."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

from pydantic import JsonValue

from send_message.slot_table import SlotTable
from shared.catalogue import Catalogue
from shared.claims import Claims
from shared.clock import Clock
from shared.definitions import Integration, Policy, Template
from shared.jobs import Hop
from shared.ledger import Ledger
from shared.limits import Limits
from shared.links import Links
from shared.mirrors import Mirrors
from shared.profiles import Profiles
from shared.queues import Queue
from shared.reports import Reports
from shared.state import Circuits
from shared.tokens import Send, Tokens
from shared.triggers import Trigger


@dataclass
class Outbox:
    """What one process has of a deployment, for sending."""

    triggers: Catalogue[Trigger]
    templates: Catalogue[Template]
    integrations: Catalogue[Integration]
    policies: Catalogue[Policy]
    profiles: Profiles
    slots: SlotTable
    ledger: Ledger
    claims: Claims
    mirrors: Mirrors
    links: Links
    circuits: Circuits
    limits: Limits
    tokens: Tokens
    http_send: Send
    engagements: Queue
    reports: Reports
    clock: Clock
    environment: str
    lease_seconds: int
    concurrency: int
    """Requests at a time to an ESP that needs long to answer."""
    pace: dict[str, float] = field(default_factory=dict)
    """Seconds that each integration's ESP needs for an answer: a mean in which the last ones count most."""

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """Where requests wait for slow ESPs."""
        return ThreadPoolExecutor(self.concurrency, "post")

    def hop(self, what: str, reason: str = "", data: Mapping[str, JsonValue] | None = None) -> Hop:
        """A step of a message's trace, taken now."""
        return Hop.model_construct(at=self.clock(), hop="send_message", what=what, reason=reason, data=dict(data or {}))


def circuit(integration: Integration) -> str:
    """The name of an integration's circuit."""
    return f"integration#{integration.name}"
