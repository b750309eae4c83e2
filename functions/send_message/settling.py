"""Settling: what became of messages is written to the ledger, many in one request, and only then do their jobs end.

Written when 25 wait, or 250 ms after the first of them: so a function that is killed leaves few of which nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from send_message.work import Run, Work
from shared.claims import Change, Fresh
from shared.errors import Busy, Transient
from shared.ids import engagement_id
from shared.jobs import Engagement, EngagementsJob, Hop, MessageJob
from shared.ledger_rows import Claim, Message, Status, as_message
from shared.queues import Record
from shared.reports import Counts
from shared.statements import AT_ONCE, Refused, Result

_LONGEST = 0.25
_TOLD_AT_ONCE = 400
"""Engagements in one queue message: some 100 kB."""


@dataclass(frozen=True)
class Ending:
    """What became of a message. `error` is what its job ends in, None if it is done."""

    work: Work
    status: Status
    hop: Hop | None
    error: Exception | None = None
    doubtful: bool = False
    esp_message_id: str = ""


@dataclass
class Settler:
    """The endings of one batch."""

    run: Run
    counts: Counts = field(default_factory=Counts)
    """What has become of messages, for the reports."""
    _waiting: list[Ending] = field(default_factory=list)
    _since: datetime | None = None
    _sent: list[tuple[Record[MessageJob], Engagement]] = field(default_factory=list)

    def add(self, ending: Ending) -> None:
        """Takes an ending; it is written soon."""
        if self._since is None:
            self._since = self.run.outbox.clock()
        self._waiting.append(ending)
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Writes what waits, if it is enough or waits long enough."""
        if len(self._waiting) >= AT_ONCE or self.due_in() == 0:
            self.flush()

    def due_in(self) -> float | None:
        """Seconds until what waits must be written; None if nothing waits."""
        if self._since is None:
            return None
        return max(0.0, _LONGEST - (self.run.outbox.clock() - self._since).total_seconds())

    def flush(self) -> None:
        """Writes what waits, and ends its jobs."""
        endings, self._waiting, self._since = self._waiting, [], None
        fresh = [ending for ending in endings if ending.work.claim is None and ending.work.row is None]
        known = [ending for ending in endings if ending.work.claim is not None or ending.work.row is not None]
        self._write(fresh, lambda: self.run.outbox.claims.insert([self._fresh(ending) for ending in fresh]))
        self._write(known, lambda: self.run.outbox.claims.change([self._change(ending) for ending in known]))

    def note(self, work: Work, at: datetime, integration: str) -> None:
        """Has it told that the message was sent."""
        engagement = Engagement.model_construct(
            id=engagement_id(work.job.message_id, "sent"),
            message_id=work.job.message_id,
            integration=integration,
            type="sent",
            at=at,
            received_at=at,
        )
        self._sent.append((work.record, engagement))

    def tell(self) -> None:
        """Queues the engagements `sent` of the batch. If that fails, their jobs come back: then they are only told of again."""
        for start in range(0, len(self._sent), _TOLD_AT_ONCE):
            some = self._sent[start : start + _TOLD_AT_ONCE]
            try:
                self.run.outbox.engagements.send(EngagementsJob.model_construct(engagements=tuple(one for _, one in some)))
            except Exception as error:  # of AWS
                for record, _ in some:
                    self.run.batch.settle(record, error)

    def _write(self, endings: Sequence[Ending], write: Callable[[], Sequence[Result]]) -> None:
        if not endings:
            return
        try:
            results = write()
        except Exception as error:  # of AWS: all come back, and whoever gets them finds out
            for ending in endings:
                self.run.batch.settle(ending.work.record, error)
            return
        for ending, result in zip(endings, results, strict=True):
            self._end(ending, result)

    def _end(self, ending: Ending, result: Result) -> None:
        work, batch = ending.work, self.run.batch
        try:
            if isinstance(result, Transient):
                raise result
            if isinstance(result, Refused):
                self._overtaken(work, result)
            else:
                self._count(ending)
                if ending.status == "sent" and ending.hop is not None:
                    self.note(work, ending.hop.at, _integration(work))
            if ending.error is not None:
                raise ending.error
        except Exception as error:  # a message's failure must not touch its neighbours
            batch.settle(work.record, error)

    def _count(self, ending: Ending) -> None:
        """What its trigger decided not to send was counted there."""
        if ending.work.job.decided == "send" and ending.status in ("sent", "skipped", "parked"):
            self.counts.ended(ending.work.job, ending.status, ending.hop.reason if ending.hop else "")

    def _overtaken(self, work: Work, refused: Refused) -> None:
        """Somebody else has changed the row meanwhile: the ESP's webhook may have told that it was sent."""
        now = as_message(refused.row) if refused.row else None
        if now is None or now.status != "sent":
            raise Busy("the message's row was changed by another", retry_after=1)
        self.note(work, sent_at(now), now.integration)

    def _fresh(self, ending: Ending) -> Fresh:
        hops = [ending.hop] if ending.hop else []
        return Fresh(ending.work.job, ending.status, _freed(self._claim(ending.work), ending), hops)

    def _change(self, ending: Ending) -> Change:
        work = ending.work
        was = None if work.claim is not None else work.row
        claim = _freed(self._claim(work), ending)
        return Change(work.job.message_id, ending.status, claim, work.hops, ending.hop, was, ending.esp_message_id)

    def _claim(self, work: Work) -> Claim:
        if work.claim is not None:
            return work.claim
        if work.row is not None:
            return replace(work.row.claim, by=self.run.by)
        return Claim(self.run.by, 0, _integration(work), work.chosen.version if work.chosen else 0, 0)


def sent_at(message: Message) -> datetime:
    """When a message was sent, as its trace says."""
    return next(hop.at for hop in reversed(message.trace) if hop.what == "sent")


def _freed(claim: Claim, ending: Ending) -> Claim:
    return replace(claim, until=0, tried_at=claim.tried_at if ending.doubtful else 0)


def _integration(work: Work) -> str:
    if work.claim is not None:
        return work.claim.integration
    if work.row is not None:
        return work.row.integration
    return work.chosen.integration.name if work.chosen else work.job.integration
