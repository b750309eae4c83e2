"""One message of a batch, and the batch as a whole, on their way through the stages."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import TypeVar

from connectors.esps.base import Esp, Outgoing
from send_message.outbox import Outbox
from shared.definitions import Integration, Template
from shared.jobs import MessageJob
from shared.ledger_rows import Claim, Message
from shared.mirrors import Content
from shared.person import Profile
from shared.queues import Batch, Record
from shared.triggers import Trigger

T = TypeVar("T")

MARGIN = 3.0
"""Seconds that everything but the ESP's answer may take."""


@dataclass(eq=False)
class Work:
    """One message, with what is known of it so far."""

    record: Record[MessageJob]
    row: Message | None = None
    """As the ledger has it; None if it has none, as far as we know."""
    trigger: Trigger | None = None
    chosen: Chosen | None = None
    let_through: str = ""
    """The integration whose circuit has let it through: of an open one, only one message at a time is."""
    profile: Profile | None = None
    content: Content | None = None
    claim: Claim | None = None
    """Once it is ours."""
    doubtful: bool = False
    """Whether an earlier attempt may have gone out."""
    repeat: bool = False
    """Whether the bytes of an attempt that may have gone out are to be posted again, under their key."""
    note: str = ""
    """Why it is sent although it may have gone out."""
    posts: int = 0
    """Requests handed to the ESP's connection: if none, the ESP cannot have taken anything."""

    @property
    def job(self) -> MessageJob:
        """What is to be sent."""
        return self.record.body

    @property
    def via(self) -> Chosen:
        """What it is sent through, from when that is chosen on."""
        if self.chosen is None:
            raise AssertionError("not chosen yet")
        return self.chosen

    @property
    def hops(self) -> int:
        """How many groups of hops its row has."""
        return self.row.hops if self.row else min(len(self.job.hops), 1)

    @property
    def attempt(self) -> int:
        """The number of the present attempt."""
        return self.row.attempts + 1 if self.row else 1

    @property
    def outgoing(self) -> Outgoing:
        """For the connector, from when it is rendered on."""
        if self.content is None:
            raise AssertionError("not rendered yet")
        return Outgoing(self.job.message_id, self.content.url, self.content.body, self.content.headers)

    def waits(self, now: datetime, seconds: float) -> float:
        """So many seconds, or less: when its validity is over, it is to be looked at."""
        left = (self.job.valid_until - now).total_seconds()
        return min(seconds, max(left, 0) + 1)


@dataclass(frozen=True)
class Chosen:
    """The integration that a message goes through, and its template."""

    integration: Integration
    version: int
    esp: Esp
    template: Template


@dataclass
class Run:
    """One batch, with what all of its stages use. `by` is this invocation's name in the ledger."""

    batch: Batch[MessageJob]
    outbox: Outbox
    remaining: Callable[[], float]
    """Seconds left of the invocation."""
    by: str = field(default_factory=lambda: uuid.uuid4().hex)
    unsent: list[Work] = field(default_factory=list)
    """Messages that have a slot and surely do not go out after all."""
    numbers: Iterator[int] = field(default_factory=count)
    """For the names of what is kept: none is used twice."""

    def all_of(self, works: Iterable[Work], step: Callable[[], T]) -> T | None:
        """What all of these need. If that fails they all come back, and it is None."""
        try:
            return step()
        except Exception as error:  # of AWS
            for work in works:
                self.batch.settle(work.record, error)
            return None

    def each(self, works: Iterable[Work], step: Callable[[Work], bool]) -> list[Work]:
        """The works that a step leaves to the next one. A message's failure, whatever it is, does not touch its neighbours."""
        left = []
        for work in works:
            try:
                if step(work):
                    left.append(work)
            except Exception as error:  # settled for this one alone
                self.batch.settle(work.record, error)
        return left
