"""What became of messages: opt-outs first, then the CRM queues, and last the ledger, which makes it final.

A crash anywhere before the ledger has an engagement repeats its effects, all of which may be repeated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from record_engagement.resolving import resolve
from shared.catalogue import Catalogue
from shared.claims import Claims
from shared.clock import Clock, iso
from shared.definitions import Destination
from shared.errors import Transient
from shared.jobs import CrmJob, Engagement, EngagementsJob, Hop
from shared.ledger import Ledger
from shared.ledger_rows import Message
from shared.links import Links
from shared.observe import count, logger
from shared.person import Cause, Suppression
from shared.profiles import Profiles
from shared.queues import Batch, Queue, Record
from shared.scrub import scrub

KEPT = 200
"""Engagements of one message that are stored and synchronised. More come from robots that follow links."""

_AT_ONCE = 50
"""Engagements in one write: DynamoDB's expressions have at most 4 KB."""

_ASKED_FOR: tuple[Cause, ...] = ("complained", "unsubscribed")

HOP = "record_engagement"


@dataclass(frozen=True)
class Books:
    """Where engagements have their effects."""

    ledger: Ledger
    claims: Claims
    profiles: Profiles
    destinations: Catalogue[Destination]
    crm_queues: Mapping[str, Queue]
    parked: Queue
    links: Links
    clock: Clock
    environment: str


@dataclass(frozen=True)
class _News:
    """What is new of one message: `kept` of it is stored, `beyond` is more than one message may have."""

    message: Message
    kept: Sequence[Engagement]
    beyond: Sequence[Engagement]


def record_all(batch: Batch[EngagementsJob], books: Books) -> None:
    """Gives every engagement of the batch its effects, once; those of unknown messages are parked alone."""
    try:
        failed, known = _record_known(batch.records, books)
    except Exception as error:  # of AWS: all come back
        for record in batch.records:
            batch.settle(record, error)
        return
    for record in batch.records:
        _settle(record, failed, known, batch, books)


def _settle(
    record: Record[EngagementsJob],
    failed: Mapping[str, Exception],
    known: Mapping[str, Message],
    batch: Batch[EngagementsJob],
    books: Books,
) -> None:
    trouble = [failed[e.message_id] for e in record.body.engagements if e.message_id in failed]
    if trouble:
        batch.retry(record, trouble[0])
        return
    # Last, so that nothing is parked twice because a neighbour had to be repeated.
    strays = [e for e in record.body.engagements if not _is_of(e, known.get(e.message_id))]
    try:
        books.parked.park_all(((EngagementsJob(engagements=(e,)).model_dump_json(), _stray(e)) for e in strays), books.clock)
    except Exception as error:  # of AWS
        batch.retry(record, error)


def _is_of(engagement: Engagement, message: Message | None) -> bool:
    """Whether this is a message of ours, sent through the integration whose ESP says so: no ESP may speak for another."""
    return message is not None and message.integration == engagement.integration


def _stray(engagement: Engagement) -> str:
    what = f"{engagement.integration} sent no message {engagement.message_id[:80]!r}"
    return f"{what}: not of this deployment, or past its retention"


def _record_known(
    records: Iterable[Record[EngagementsJob]], books: Books
) -> tuple[Mapping[str, Exception], Mapping[str, Message]]:
    by_message: dict[str, dict[str, Engagement]] = defaultdict(dict)
    for record in records:
        for engagement in record.body.engagements:
            by_message[engagement.message_id].setdefault(engagement.id, engagement)
    known = books.ledger.read_all(by_message)
    ours = {m.id: [e for e in by_message[m.id].values() if _is_of(e, m)] for m in known.values()}
    news = [one for one in (_news(message, ours[message.id]) for message in known.values()) if one is not None]
    for one in news:
        _opt_out(one, books)
    _synchronise(news, books)
    failed: dict[str, Exception] = {}
    for one in news:
        try:
            _write(one, books)
        except Exception as error:  # a message's failure must not touch its neighbours
            failed[one.message.id] = error
    told = [message for message in known.values() if ours[message.id] and message.id not in failed]
    results = resolve(told, books.claims, books.clock)
    return failed | {key: result for key, result in results.items() if isinstance(result, Transient)}, known


def _news(message: Message, engagements: Iterable[Engagement]) -> _News | None:
    new = [engagement for engagement in engagements if engagement.id not in message.engagements]
    room = max(KEPT - len(message.engagements), 0)
    return _News(message, new[:room], new[room:]) if new else None


def _opt_out(news: _News, books: Books) -> None:
    """Whoever's address is dead, or who wants no more, gets no more."""
    message = news.message
    for engagement in (*news.kept, *news.beyond):
        suppression = _suppression(engagement, message.claim.sent_to)
        if suppression is not None and message.profile_id is not None:
            books.profiles.suppress(message.profile_id, suppression)


def _suppression(engagement: Engagement, sent_to: str) -> Suppression | None:
    """On the channel and of the address that the message went to: the person may have another by now."""
    channel, _, address = sent_to.partition("#")
    if engagement.type == "bounced":
        reason = f"hard bounce {scrub(engagement.code, 50)}".rstrip()
        return (
            Suppression(channel, "bounced", reason, engagement.at, engagement.integration, address) if engagement.hard else None
        )
    cause = next((one for one in _ASKED_FOR if one == engagement.type), None)
    return Suppression(channel, cause, cause, engagement.at, engagement.integration, address) if cause else None


def _synchronise(news: Iterable[_News], books: Books) -> None:
    engagements = [(one.message, engagement) for one in news for engagement in one.kept]
    for name, destination in books.destinations.all().items():
        wanted = [pair for pair in engagements if _wants(destination.definition, pair[1])]
        queue = books.crm_queues.get(name)
        if queue is not None:
            queue.send_all(job for job in (_job(name, *pair, books) for pair in wanted) if job is not None)
        elif wanted:
            logger.error("destination has no queue: add it to the deployment's destinations", destination=name)
            count("Misconfigured", books.environment)


def _wants(destination: Destination, engagement: Engagement) -> bool:
    return engagement.type in destination.events and (engagement.hard or engagement.type != "bounced")


def _job(destination: str, message: Message, engagement: Engagement, books: Books) -> CrmJob | None:
    if message.profile_id is None:
        return None
    return CrmJob(
        destination=destination,
        engagement_id=engagement.id,
        message_id=message.id,
        profile_id=message.profile_id,
        type=engagement.type,
        at=engagement.at,
        campaign=message.campaign,
        delivery=message.delivery,
        mirror_url=books.links.mirror(message.id),
        url=engagement.url,
        code=engagement.code,
        reason=engagement.reason,
    )


def _write(news: _News, books: Books) -> None:
    for start in range(0, len(news.kept), _AT_ONCE):
        some = news.kept[start : start + _AT_ONCE]
        books.ledger.record(news.message.id, some, [_hop(engagement, books.clock) for engagement in some])
    if news.beyond:
        why = f"more than {KEPT} engagements: no more are kept"
        hop = Hop(at=books.clock(), hop=HOP, what="ignored", reason=why)
        books.ledger.note_once(news.message.id, {"too many engagements": hop})


def _hop(engagement: Engagement, clock: Clock) -> Hop:
    lag = (engagement.received_at - engagement.at).total_seconds()
    return Hop(
        at=clock(),
        hop=HOP,
        what=engagement.type,
        reason=scrub(_reason(engagement)),
        data={"engagement": engagement.id, "happened_at": iso(engagement.at), "arrived_after_seconds": round(lag, 3)},
    )


def _reason(engagement: Engagement) -> str:
    kind = ("hard" if engagement.hard else "soft") if engagement.type == "bounced" else ""
    return " ".join(filter(None, (kind, engagement.code, engagement.reason)))
