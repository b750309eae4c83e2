"""Messages that the ledger knows already: done, in somebody else's hands, to be tried again, or perhaps gone out.

Of the last kind, in this order: the ESP's own webhook tells that it has it; the same bytes are posted again under a key that the
ESP still remembers; the vendor's look-up tells; and once `unknown_wait_seconds` are over, the integration's policy decides.
"""

from __future__ import annotations

from datetime import timedelta

from connectors.esps.base import Sent
from send_message.outcomes import reason_of
from send_message.settling import Ending, Settler, sent_at
from send_message.work import Chosen, Run, Work
from shared.definitions import Integration
from shared.errors import Busy, Permanent, Transient
from shared.exchange import run as exchanged
from shared.ledger_rows import Message
from shared.observe import logger

_UNKNOWN = "outcome unknown: an earlier attempt may have reached the ESP"


def meet(run: Run, settler: Settler, work: Work) -> bool:
    """Whether a message is to be sent, or looked into, now. Raises Busy if somebody else has it."""
    row = work.row
    if row is None:
        return True
    if row.status == "sent":  # by a process that may have been killed before it told of it
        settler.note(work, sent_at(row), row.integration)
        return False
    if row.status == "skipped":
        run.outbox.ledger.explain(row, work.job.hops)
        return False
    now = run.outbox.clock().timestamp()
    if row.doubtful(now):
        work.doubtful = True
        if row.engagements:
            _sent(run, settler, work, "", "the ESP's webhook tells of it")
        return not row.engagements
    if row.status == "sending":
        raise Busy("another delivery of this message is being sent", retry_after=max(row.claim.until - now, 1))
    if row.cancelled:
        run.unsent.append(work)
        settler.add(Ending(work, "skipped", run.outbox.hop("skipped", row.cancelled)))
        return False
    return True


def resolve(run: Run, settler: Settler, work: Work, against: str = "") -> bool:
    """Whether a message is to be posted. One that may have gone out only if that does no harm, or if it is so wished.

    `against`: why it should not be sent any more.
    """
    row = work.row
    if row is None or not work.doubtful:
        return True
    against = against or row.cancelled
    if not against and key_holds(run, work.via.integration, row):
        work.content = run.outbox.mirrors.read(row.claim.kept)
        work.repeat = work.content is not None
        if work.repeat:
            return True
    return _looked_up(run, settler, work, row, against)


def key_holds(run: Run, integration: Integration, row: Message) -> bool:
    """Whether the ESP still knows the attempt's key, and will for as long as another one lasts."""
    ends = row.claim.tried_at + integration.idempotency_seconds - integration.timeout_seconds
    return integration.sends_once and row.claim.alone and run.outbox.clock().timestamp() < ends


def _looked_up(run: Run, settler: Settler, work: Work, row: Message, against: str) -> bool:
    known, said = _asked(run, work.via, work, row)
    if isinstance(known, Sent):
        _sent(run, settler, work, known.esp_message_id, "the ESP's look-up tells of it")
        return False
    told_by = row.claim.tried_at + work.via.integration.unknown_wait_seconds
    left = told_by - run.outbox.clock().timestamp()
    if left > 0:
        _wait(run, settler, work, left)
        return False
    if said and against:
        settler.add(Ending(work, "skipped", run.outbox.hop("skipped", against)))
    elif against:
        _park(run, settler, work, f"{_UNKNOWN}, and now: {against}")
    elif said:
        work.note, work.doubtful = "the ESP's look-up does not know the earlier attempt", False
    elif work.via.integration.unknown == "retry":
        work.note = "sent again, as the integration says, although an earlier attempt may have reached the ESP"
    else:
        _park(run, settler, work, _UNKNOWN)
    return bool(work.note)


def _asked(run: Run, chosen: Chosen, work: Work, row: Message) -> tuple[Sent | None, bool]:
    """What the vendor's look-up says, and whether it says anything."""
    outbox, integration = run.outbox, chosen.integration
    work.content = work.content or outbox.mirrors.read(row.claim.kept)
    if work.content is None:
        return None, False
    exchange = chosen.esp.look_up(integration, work.outgoing, outbox.clock)
    work.content = None
    if exchange is None:
        return None, False
    send = outbox.tokens.authorised("integration", integration.name, integration.auth, outbox.http_send)
    try:
        return exchanged(exchange, send), True
    except Exception as error:  # whatever it is: then the look-up does not tell
        logger.warning("look-up failed", integration=integration.name, reason=reason_of(error))
        return None, False


def _sent(run: Run, settler: Settler, work: Work, esp_message_id: str, reason: str) -> None:
    settler.add(Ending(work, "sent", run.outbox.hop("sent", reason), esp_message_id=esp_message_id))


def _wait(run: Run, settler: Settler, work: Work, seconds: float) -> None:
    error = Transient(_UNKNOWN, retry_after=seconds)
    if work.row is not None and work.row.status == "unknown":
        raise error
    until = run.outbox.clock() + timedelta(seconds=seconds)
    hop = run.outbox.hop("waits", f"{_UNKNOWN}: its webhook or look-up may tell until {until:%H:%M:%S} UTC")
    settler.add(Ending(work, "unknown", hop, error, doubtful=True))


def _park(run: Run, settler: Settler, work: Work, reason: str) -> None:
    settler.add(Ending(work, "parked", run.outbox.hop("parked", reason), Permanent(reason), doubtful=True))
