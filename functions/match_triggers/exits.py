"""The exit condition after a trigger has fired: what ends it takes the message back, unless it has gone out.

It is told to the ledger, where `send_message` finds it when it claims the message: so that needs no look at the visit. What is
told follows from the events that came and the visitor's row, and telling it twice changes nothing: so if somebody dies before it
is told, it is told when the events come again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from match_triggers.cart import cart_of, names_of_cart
from match_triggers.deciding import received
from match_triggers.desk import Desk
from match_triggers.listeners import Listener
from shared.jobs import Hop, MessageJob, TrackerEvent
from shared.visit_rules import any_holds
from shared.visits import Fired, Visit

_MOST = 20
"""Messages that a visitor's row remembers: the newest."""


def fired(visit: Visit, jobs: Iterable[MessageJob], now: datetime) -> tuple[Fired, ...]:
    """The messages of a visitor that may still be taken back, these among them."""
    known = {one.message_id: one for one in visit.fired if one.valid_until > now}
    new = {job.message_id: _remembered(job) for job in jobs if job.decided == "send" and job.begins_at is not None}
    return tuple([*(known | new).values()][-_MOST:])


def take_back(visit: Visit, events: Sequence[TrackerEvent], desk: Desk) -> list[Fired]:
    """Tells the ledger of the messages that these events, which the row has already, take back. Returns those."""
    now = desk.clock()
    listeners = {one.name: one for one in desk.listening(visit.tracker).listeners} if visit.fired else {}
    taken: list[Fired] = []
    for one in visit.fired:
        listener = listeners.get(one.trigger)
        event = _ender(one, visit, events, listener) if listener and one.valid_until > now else None
        if event is not None and listener is not None:
            skipped = Hop(at=now, hop="match_triggers", what="skip", reason=listener.definition.cancelled_as)
            _skip(one, [received(event), skipped], desk)
            taken.append(one)
    return taken


def recall(visit: Visit, desk: Desk) -> None:
    """Tells the ledger of the messages that a decision in the row's outbox takes back."""
    now = desk.clock()
    for one in visit.fired:
        if one.message_id in visit.recalled:
            hop = Hop(at=now, hop="match_triggers", what="skip", reason=visit.recalled[one.message_id])
            _skip(one, [hop], desk)


def _skip(one: Fired, hops: Sequence[Hop], desk: Desk) -> None:
    """Tells the ledger. What it says of a message for the first time is counted."""
    if desk.ledger.skip(one, hops):
        desk.counts.ended(one, "skipped", hops[-1].reason)


def _ender(one: Fired, visit: Visit, events: Iterable[TrackerEvent], listener: Listener) -> TrackerEvent | None:
    """The event that ends what has fired, if what happened since it began does."""
    trigger = listener.definition
    # A rule about the cart is met by no event, and yet each that the cart is made of may be the one that ends it.
    of_cart = frozenset() if listener.ended_at_once else names_of_cart(trigger.cart)
    later = (event for event in events if event.at >= one.begins_at)
    event = next((event for event in later if listener.ends(event) or event.name in of_cart), None)
    if event is None or listener.ended_at_once:
        return event
    since = [event for event in visit.events if event.at >= one.begins_at]
    ended = any_holds(trigger.ended_by, since, lambda: cart_of(visit.events, trigger.cart), trigger.cart)
    return event if ended else None


def _remembered(job: MessageJob) -> Fired:
    return Fired.model_validate({name: getattr(job, name) for name in Fired.model_fields})
