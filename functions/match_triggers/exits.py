"""The exit condition after a trigger has fired: an excluded event takes the message back, unless it has gone out.

It is told to the ledger, where `send_message` finds it when it claims the message: so that needs no look at the visit. What is
told follows from the events that came and the visit's row, and telling it twice changes nothing: so if somebody dies before it
is told, it is told when the events come again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from match_triggers.deciding import received
from match_triggers.desk import Desk
from shared.jobs import Hop, MessageJob, TrackerEvent
from shared.visits import Fired, Visit

_MOST = 20
"""Messages that a visit's row remembers: the newest."""


def fired(visit: Visit, jobs: Iterable[MessageJob], now: datetime) -> tuple[Fired, ...]:
    """The messages of a visit that an excluded event may still take back, these among them."""
    known = {one.message_id: one for one in visit.fired if one.valid_until > now}
    new = {job.message_id: _remembered(job) for job in jobs if job.decided == "send" and job.begins_at is not None}
    return tuple([*(known | new).values()][-_MOST:])


def take_back(visit: Visit, events: Sequence[TrackerEvent], desk: Desk) -> None:
    """Tells the ledger of the messages that these events, which the row has already, take back."""
    now = desk.clock()
    for one in visit.fired:
        trigger = desk.triggers.get(one.trigger)
        names = trigger.definition.ended_by if trigger else ()
        event = next((event for event in events if event.name in names and event.at >= one.begins_at), None)
        if event is not None and trigger is not None and one.valid_until > now:
            skipped = Hop(at=now, hop="match_triggers", what="skip", reason=trigger.definition.cancelled_as)
            desk.ledger.skip(one, [received(event), skipped])


def _remembered(job: MessageJob) -> Fired:
    return Fired.model_validate({name: getattr(job, name) for name in Fired.model_fields})
