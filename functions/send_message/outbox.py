"""All that sending works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from shared.catalogue import Catalogue
from shared.clock import Clock
from shared.definitions import Integration, Template, Trigger
from shared.jobs import Hop
from shared.ledger import Ledger
from shared.links import Links
from shared.mirrors import Mirrors
from shared.profiles import Profiles
from shared.queues import Queue
from shared.state import Circuits
from shared.tokens import Send, Tokens
from shared.visits import Visits


@dataclass(frozen=True)
class Outbox:
    """What one process has of a deployment, for sending."""

    triggers: Catalogue[Trigger]
    templates: Catalogue[Template]
    integrations: Catalogue[Integration]
    visits: Visits
    profiles: Profiles
    ledger: Ledger
    mirrors: Mirrors
    links: Links
    circuits: Circuits
    tokens: Tokens
    http_send: Send
    engagements: Queue
    clock: Clock
    environment: str
    lease_seconds: int

    def hop(self, what: str, reason: str = "", data: Mapping[str, JsonValue] | None = None) -> Hop:
        """A step of a message's trace, taken now."""
        return Hop(at=self.clock(), hop="send_message", what=what, reason=reason, data=dict(data or {}))


def circuit(integration: Integration) -> str:
    """The name of an integration's circuit."""
    return f"integration#{integration.name}"
