"""Posting claimed messages, and what becomes of them.

To an ESP that answers at once one request follows the other; while one needs long, several wait for it at a time. Only the
requests are made in other threads: everything else stays in this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from pydantic import JsonValue

from connectors.esps.base import Answered, Outcome, Sent
from send_message.outbox import circuit
from send_message.outcomes import OUTCOMES, End, came_to, reason_of, wait_of
from send_message.settling import Ending, Settler
from send_message.work import MARGIN, Run, Work
from shared.aws import CALLS
from shared.errors import Busy, Misconfigured, Permanent, SendbridgeError, Transient, Unknown
from shared.exchange import Request, Response
from shared.exchange import run as exchanged
from shared.ledger_rows import Status
from shared.observe import count, logger

_SLOW = 0.02
"""Seconds for an answer, more or less, from which on it is worth to wait for several at a time."""


@dataclass
class Group:
    """The messages of one request."""

    works: Sequence[Work]
    run: Run
    posts: int = 0
    answers: list[Outcome | Exception] = field(default_factory=list)
    pause: float | None = None
    seconds: float = 0

    def post(self) -> Group:
        """Posts them; raises nothing. Of several under one key of which nobody knows, the same bytes go out once more: they
        will not come together again."""
        self._try()
        if len(self.works) > 1 and self._works_again():
            self._try()
        return self

    def _works_again(self) -> bool:
        via = self.works[0].via
        unknown = any(came_to(answer, posted=self.posts > 0) == "nobody knows" for answer in self.answers)
        return unknown and via.integration.sends_once and self.run.remaining() > via.integration.timeout_seconds + MARGIN

    def _try(self) -> None:
        outbox, via = self.run.outbox, self.works[0].via
        integration = via.integration
        exchange = via.esp.send(integration, [work.outgoing for work in self.works], outbox.clock)
        try:
            send = outbox.tokens.authorised("integration", integration.name, integration.auth, self._counted)
            answered: Answered = exchanged(exchange, send)
        except Exception as error:  # whatever it is: it is what the attempt came to
            self.answers = [error] * len(self.works)
        else:
            self.answers, self.pause = [*answered.outcomes], answered.pause

    def _counted(self, request: Request) -> Response:
        self.posts += 1
        answer = self.run.outbox.http_send(request)
        self.seconds = answer.seconds
        return answer


@dataclass
class Posting:
    """Of one batch. `aws_calls` is how many were made before it began."""

    run: Run
    settler: Settler
    aws_calls: int

    def post(self, groups: Sequence[Sequence[Work]]) -> None:
        """Posts all, and settles all."""
        left = iter(groups)
        for group in left:
            if self._is_slow(group):
                self._at_a_time(chain([group], left))
            elif (made := self._possible(group)) is not None:
                self._answered(made.post())

    def _is_slow(self, group: Sequence[Work]) -> bool:
        return self.run.outbox.pace.get(group[0].via.integration.name, 0) > _SLOW

    def _at_a_time(self, groups: Iterator[Sequence[Work]]) -> None:
        """Several at a time, as many as the function's setting says."""
        outbox, done = self.run.outbox, SimpleQueue[Group | BaseException]()
        running, more = 0, True
        while more or running:
            while more and running < outbox.concurrency:
                group = next(groups, None)
                more = group is not None
                made = self._possible(group) if group is not None else None
                if made is not None:
                    outbox.pool.submit(_post, made, done)
                    running += 1
            running -= self._next(done) if running else 0
            self.settler.flush_if_due()

    def _next(self, done: SimpleQueue[Group | BaseException]) -> int:
        """Ends the next one that is answered; 0 if none was until something else must be done."""
        try:
            group = done.get(timeout=self.settler.due_in())
        except Empty:
            return 0
        if isinstance(group, BaseException):
            raise group
        self._answered(group)
        return 1

    def _possible(self, works: Sequence[Work]) -> Group | None:
        """None if it is not to be posted now after all: there is no time left, or the ESP is down by now."""
        integration = works[0].via.integration
        open_for = self.run.outbox.circuits.open_for(circuit(integration))
        if open_for:
            reason = f"{circuit(integration)}: the circuit is open"
            self._back(works, Transient(reason, retry_after=works[0].waits(self.run.outbox.clock(), open_for)))
        elif self.run.remaining() < integration.timeout_seconds + MARGIN:
            self._back(works, Transient("too little is left of this invocation", retry_after=0))
        else:
            return Group(works, self.run)
        return None

    def _back(self, works: Sequence[Work], error: Transient) -> None:
        for work in works:
            status: Status = "unknown" if work.doubtful else "waiting"
            hop = self.run.outbox.hop("waits", error.reason, {"attempt": work.attempt})
            self.settler.add(Ending(work, status, hop, error, doubtful=work.doubtful))

    def _answered(self, group: Group) -> None:
        integration = group.works[0].via.integration
        if group.seconds:
            pace = self.run.outbox.pace
            pace[integration.name] = (pace.get(integration.name, 0) + group.seconds) / 2
        for work, answer in zip(group.works, group.answers, strict=True):
            work.posts = group.posts
            self._ended(work, answer)
        self._account(group)

    def _ended(self, work: Work, answer: Outcome | Exception) -> None:
        end = OUTCOMES[came_to(answer, posted=work.posts > 0), work.doubtful, self._keyed(work)]
        if isinstance(answer, Sent):
            hop = self.run.outbox.hop("sent", work.note, self._figures(work, answer))
            self.settler.add(Ending(work, end.status, hop, esp_message_id=answer.esp_message_id))
            return
        error = self._error(work, end, answer)
        hop = self.run.outbox.hop("parked" if end.job == "parked" else "waits", reason_of(error), {"attempt": work.attempt})
        self.settler.add(Ending(work, end.status, hop, error, end.doubtful))
        self.run.unsent += [work] if end.status == "parked" and not end.doubtful else []

    def _keyed(self, work: Work) -> bool:
        """Whether the same bytes may go out again. What failed before it was posted, was refused by nobody's key."""
        integration, claim = work.via.integration, work.claim
        if claim is None or not integration.sends_once or not claim.alone:
            return False
        return work.posts > 0 and self.run.outbox.clock().timestamp() < claim.tried_at + integration.idempotency_seconds

    def _error(self, work: Work, end: End, answer: Exception) -> Exception:
        """What the message's job ends in."""
        now, integration = self.run.outbox.clock(), work.via.integration
        if end.job == "parked":
            return Permanent(f"outcome unknown, and now: {reason_of(answer)}") if end.doubtful else answer
        if end.job == "when told" and work.claim is not None:
            told_by = work.claim.tried_at + integration.unknown_wait_seconds
            return Transient(f"outcome unknown: {reason_of(answer)}", retry_after=max(told_by - now.timestamp(), 1))
        seconds = wait_of(answer)
        if isinstance(answer, Transient) and seconds is not None:
            return Transient(answer.reason, retry_after=work.waits(now, seconds))
        return answer

    def _figures(self, work: Work, sent: Sent) -> dict[str, JsonValue]:
        """Of the hop `sent`. The deadline is when the visitor had been silent for the trigger's wait."""
        outbox, integration, job = self.run.outbox, work.via.integration, work.job
        now = outbox.clock()
        wait_seconds = work.trigger.wait_seconds if work.trigger else 0
        segments: dict[str, JsonValue] = {"segments": work.content.segments} if work.content and work.content.segments else {}
        return segments | {
            "status": sent.status,
            "milliseconds": round(sent.seconds * 1000),
            "host": urlsplit(integration.url).netloc,
            "integration": integration.name,
            "attempt": work.attempt,
            "esp_calls": work.posts,
            # Of the whole batch so far, with the call that will write this.
            "aws_calls": CALLS.total() - self.aws_calls + 1,
            "batch": len(self.run.batch.records),
            "seconds_after_decision": round((now - job.decided_at).total_seconds(), 3),
            "seconds_after_deadline": round((now - job.anchor_at).total_seconds() - wait_seconds, 3),
            "mirror_url": outbox.links.mirror(job.message_id),
        }

    def _account(self, group: Group) -> None:
        """Tells the circuit how the ESP does. Being told to wait for one message, or for our own, is no failure of it."""
        outbox, integration = self.run.outbox, group.works[0].via.integration
        for answer in dict.fromkeys(group.answers):
            if isinstance(answer, Sent) or (isinstance(answer, Permanent) and group.posts):
                outbox.circuits.succeeded(circuit(integration))
            elif isinstance(answer, SendbridgeError) and _is_failure(answer):
                outbox.circuits.failed(circuit(integration), answer)
            if isinstance(answer, Misconfigured):
                logger.error("misconfigured", integration=integration.name, reason=answer.reason)
                count("Misconfigured", outbox.environment)
        if group.pause:
            outbox.circuits.pause(circuit(integration), group.pause)


def _post(group: Group, done: SimpleQueue[Group | BaseException]) -> None:
    try:
        done.put(group.post())
    except BaseException as error:  # whatever it is, somebody waits for it
        done.put(error)


def _is_failure(answer: SendbridgeError) -> bool:
    waits_for_one = isinstance(answer, Unknown) and answer.retry_after is not None
    return not isinstance(answer, Busy | Permanent) and not waits_for_one
