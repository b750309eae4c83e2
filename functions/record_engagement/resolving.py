"""Messages of which nobody knew whether they went out: an ESP that tells what became of one has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from shared.claims import Change, Claims
from shared.clock import Clock
from shared.jobs import Hop
from shared.ledger_rows import Message
from shared.statements import Result

REASON = "the ESP's webhook tells of it"


def resolve(messages: Iterable[Message], claims: Claims, clock: Clock) -> dict[str, Result]:
    """Settles those of these messages that are in doubt as sent. Returns what came of it, by id: refused if another was first."""
    now = clock()
    doubtful = [message for message in messages if message.doubtful(now.timestamp())]
    hop = Hop(at=now, hop="record_engagement", what="sent", reason=REASON)
    results = claims.change(
        Change(one.id, "sent", replace(one.claim, until=0, tried_at=0), one.hops, hop, one) for one in doubtful
    )
    return {message.id: result for message, result in zip(doubtful, results, strict=True)}
