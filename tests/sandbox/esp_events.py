"""What becomes of a message at Postbird, and the events that say so."""

import secrets
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tests.sandbox.clock import iso
from tests.sandbox.esp_messages import Message, first_link

Kind = Literal["delivered", "opened", "clicked", "bounced", "complained", "unsubscribed"]
DEAD = ("dead", "grace")
HARD: dict[str, str] = {"type": "hard", "code": "550", "reason": "5.1.1 The email account does not exist"}
SOFT: dict[str, str] = {"type": "soft", "code": "452", "reason": "4.2.2 The mailbox is full"}
Event = dict[str, object]


class Accepted(BaseModel):
    """A message Postbird took, with everything that came of it."""

    model_config = ConfigDict(validate_assignment=False)

    id: str
    accepted: float
    idempotency_key: str | None
    token_serial: int
    message: Message
    events: list[Event] = []

    def report(self) -> dict[str, object]:
        """As the inbox shows it."""
        return self.model_dump(mode="json", by_alias=True)

    def event(self, kind: Kind, after: float, url: str | None = None, bounce: dict[str, str] | None = None) -> Event:
        """A new event of this message, `after` seconds past its acceptance."""
        event: Event = {
            "id": "evt_" + secrets.token_hex(12),
            "type": f"message.{kind}",
            "time": iso(self.accepted + after),
            "message_id": self.id,
            "recipient": self.message.to.email,
            "metadata": self.message.metadata,
        }
        if kind == "clicked":
            event["url"] = url or first_link(self.message.html) or "https://example.com/"
        if kind == "bounced":
            event["bounce"] = bounce or HARD
        self.events.append(event)
        return event


def live(accepted: Accepted, pace: float) -> list[Event]:
    """The message's natural life: a bounce, or delivered, opened and clicked, `pace` seconds apart."""
    if accepted.message.to.email.lower().startswith(DEAD):
        return [accepted.event("bounced", pace)]
    events = [accepted.event("delivered", pace), accepted.event("opened", 2 * pace)]
    link = first_link(accepted.message.html)
    return [*events, accepted.event("clicked", 3 * pace, link)] if link else events
