"""One batch of messages, in stages: met, chosen for, checked, claimed, posted, settled, told of.

Why a message goes out once: its row is claimed with a lease before the post, and settled right after it. A crash between leaves
it claimed; whoever finds it then knows that it may have gone out, and looks into that before anything else (`doubts.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from send_message.choosing import choose
from send_message.claiming import prepare
from send_message.doubts import meet
from send_message.outbox import Outbox
from send_message.posting import Posting
from send_message.settling import Ending, Settler
from send_message.slots import Slots, give_back
from send_message.work import Run, Work
from shared.aws import CALLS
from shared.errors import Busy, Transient
from shared.jobs import MessageJob
from shared.queues import Batch


def send_all(batch: Batch[MessageJob], outbox: Outbox, remaining: Callable[[], float]) -> None:
    """Works off a batch. `remaining` is how many seconds are left of the invocation."""
    run, aws_calls = Run(batch, outbox, remaining), CALLS.total()
    settler = Settler(run)
    works = run.each(_met(run, settler), lambda work: _is_to_go(run, settler, work))
    posting = Posting(run, settler, aws_calls)
    # What turns out to have a row already, which only a message that was sent back has, goes through it all once more.
    for work in _sent(run, settler, posting, _sent(run, settler, posting, works)):
        batch.settle(work.record, Busy("another delivery of this message was first", retry_after=1))
    settler.flush()
    settler.tell()
    give_back(run)
    run.outbox.reports.add(settler.counts)


def _sent(run: Run, settler: Settler, posting: Posting, works: Sequence[Work]) -> list[Work]:
    """Brings messages to their end; returns those of which it must be decided anew."""
    if not works:
        return []
    chosen = run.each(works, lambda work: choose(run, settler, work))
    reserved = Slots(run, settler).reserve(_within_limits(run, chosen))
    groups, others = prepare(run, settler, reserved)
    posting.post(groups)
    settler.flush()
    return others


def _met(run: Run, settler: Settler) -> list[Work]:
    """The messages of the batch, each once, the most important first, with what the ledger knows of those that came before."""
    # Of two deliveries of one message in a batch, the one that came most often stands for both.
    records = sorted(run.batch.records, key=lambda record: record.receives)
    works = {record.body.message_id: Work(record) for record in records}
    met = run.each(works.values(), lambda work: _known(run, work))
    again = [work.job.message_id for work in met if work.record.receives > 1]
    rows = run.all_of(met, lambda: run.outbox.ledger.read_all(again) if again else {})
    if rows is None:
        return []
    for work in met:
        work.row = rows.get(work.job.message_id)
    left = run.each(met, lambda work: meet(run, settler, work))
    return sorted(left, key=lambda work: -work.trigger.priority if work.trigger else 0)


def _known(run: Run, work: Work) -> bool:
    rule = run.outbox.triggers.get(work.job.trigger)
    work.trigger = rule.definition if rule else None
    return True


def _is_to_go(run: Run, settler: Settler, work: Work) -> bool:
    if work.job.decided == "skip":
        settler.add(Ending(work, "skipped", run.outbox.hop("skipped", work.job.reason)))
    return work.job.decided == "send"


def _within_limits(run: Run, works: Sequence[Work]) -> list[Work]:
    """Those of the messages that their ESPs' limits let through now; the others come back."""
    by_integration: dict[str, list[Work]] = defaultdict(list)
    for work in works:
        by_integration[work.via.integration.name].append(work)
    granted = {work for name, some in by_integration.items() for work in _granted(run, name, some)}
    return [work for work in works if work in granted]


def _granted(run: Run, name: str, works: Sequence[Work]) -> Sequence[Work]:
    limit = works[0].via.integration.limit
    if limit is None:
        return works
    grant = run.all_of(works, lambda: run.outbox.limits.take(name, limit, len(works)))
    if grant is None:
        return []
    now = run.outbox.clock()
    for work in works[grant.granted :]:
        wait = work.waits(now, max(grant.retry_after, 0.1))
        run.batch.settle(work.record, Transient(f"the limit of {name} is reached", retry_after=wait))
    return works[: grant.granted]
