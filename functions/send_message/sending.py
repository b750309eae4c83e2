"""One batch of messages: each is checked, claimed, sent and settled.

Why a message goes out once: it is claimed with a lease before the post, and settled right after it. A crash between leaves it
claimed; whoever claims it next knows that it may have gone out, and posts the same body under the same idempotency key, or,
where the ESP has none, parks it as unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from send_message.attempt import Attempt
from send_message.checks import reason_to_skip
from send_message.outbox import Outbox, circuit
from send_message.reading import Readings
from shared.aws import CALLS
from shared.definitions import Integration
from shared.errors import Busy, Permanent, Transient
from shared.ids import engagement_id
from shared.jobs import Engagement, EngagementsJob, MessageJob
from shared.ledger import Message
from shared.queues import Batch, Record

_MARGIN = 3.0
"""Seconds that everything but the ESP's answer may take."""


def send_all(batch: Batch[MessageJob], outbox: Outbox, remaining: Callable[[], float]) -> None:
    """Works off a batch. `remaining` is how many seconds are left of the invocation."""
    jobs = [record.body for record in batch.records]
    sending = _Sending(outbox, Readings(jobs, outbox.visits, outbox.profiles, outbox.clock), remaining)
    batch.each(sending.one)
    try:
        sending.tell()
    except Exception as error:  # they are sent: when they come back, they are only told of again
        for record, _ in sending.sent:
            batch.settle(record, error)


@dataclass
class _Sending:
    outbox: Outbox
    readings: Readings
    remaining: Callable[[], float]
    sent: list[tuple[Record[MessageJob], Engagement]] = field(default_factory=list)

    def one(self, record: Record[MessageJob]) -> None:
        """Brings one message to its end, or raises why it is not there yet."""
        job = record.body
        if job.decided == "skip":
            self.outbox.ledger.skip(job, [self.outbox.hop("skipped", job.reason)])
        else:
            self._send(record)

    def tell(self) -> None:
        """Queues the engagements `sent` of the batch."""
        if self.sent:
            self.outbox.engagements.send(EngagementsJob(engagements=tuple(engagement for _, engagement in self.sent)))

    def _send(self, record: Record[MessageJob]) -> None:
        job, outbox, aws_calls = record.body, self.outbox, CALLS.total()
        integration = outbox.integrations.require(job.integration).definition
        template = outbox.templates.require(job.template).definition
        rule = outbox.triggers.get(job.trigger)
        trigger = rule.definition if rule else None
        visit, profile = self.readings.of(job)
        reason = reason_to_skip(job, trigger, visit, profile, channel=integration.channel, now=outbox.clock())
        if reason is not None or trigger is None or profile is None:
            self._skip(record, reason or "")
            return
        self._wait_unless_possible(integration)
        claim = outbox.ledger.claim(job, outbox.lease_seconds)
        if not claim.mine:
            self._not_ours(record, claim.message)
            return
        hop = Attempt(job, trigger, template, integration, profile, claim, outbox, aws_calls).make()
        self._note(record, hop.at)

    def _wait_unless_possible(self, integration: Integration) -> None:
        if self.remaining() < integration.timeout_seconds + _MARGIN:
            raise Transient("too little is left of this invocation", retry_after=0)
        self.outbox.circuits.check(circuit(integration))

    def _skip(self, record: Record[MessageJob], reason: str) -> None:
        job, ledger = record.body, self.outbox.ledger
        if ledger.skip(job, [self.outbox.hop("skipped", reason)]):
            return
        claim = ledger.claim(job, self.outbox.lease_seconds)
        if not claim.mine:
            self._not_ours(record, claim.message)
            return
        unknown = f"outcome unknown: an earlier attempt may have reached the ESP, and now: {reason}"
        ledger.settle(job.message_id, "parked", [self.outbox.hop("parked", unknown)], unknown=True)
        raise Permanent(unknown)

    def _not_ours(self, record: Record[MessageJob], message: Message) -> None:
        """Somebody else is sending it, or it is done."""
        if message.status == "sending":
            wait = message.lease_until - self.outbox.clock().timestamp()
            raise Busy("another delivery of this message is being sent", retry_after=max(wait, 1))
        if message.status == "sent":  # by a process that may have been killed before it told of it
            self._note(record, next(hop.at for hop in reversed(message.trace) if hop.what == "sent"))

    def _note(self, record: Record[MessageJob], at: datetime) -> None:
        job = record.body
        engagement = Engagement(
            id=engagement_id(job.message_id, "sent"),
            message_id=job.message_id,
            integration=job.integration,
            type="sent",
            at=at,
            received_at=at,
        )
        self.sent.append((record, engagement))
