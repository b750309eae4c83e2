"""The deployed matcher against a reference that is slow and obvious, over random visits and triggers of all types.

`REFERENCE_EXAMPLES=20000 pytest tests/match_triggers/test_reference.py` tries more of them.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.memory import Memory, MemoryBatch
from match_triggers.arrivals import arrive
from match_triggers.firing import fire
from shared.catalogue import Versioned
from shared.clock import from_iso, iso
from shared.ids import message_id, visit_id
from shared.jobs import EventsJob, MessageJob, TimerJob, TrackerEvent
from shared.triggers import Trigger
from tests.aws import Now
from tests.match_triggers.reference import Decision, Did, Reference
from tests.match_triggers.shop import START

EXAMPLES = int(os.environ.get("REFERENCE_EXAMPLES", "100"))
MANY = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

NAMES = ("Product Added", "Product Viewed", "Order Completed", "Product Removed")
CART = ("Product Added", "Product Removed", "Cart Viewed")
UNNAMED = "Page Viewed"
VISITORS = ("anna-1", "anna-2", "nobody")
"""Two devices of one user, and somebody unknown."""
LONGEST = 500


def user_of(visitor: str) -> str | None:
    name, device, _ = visitor.partition("-")
    return name if device else None


def exact(definitions: Iterable[dict[str, Any]], history: Sequence[Happened]) -> list[Happened]:
    """The history, without the second device where not all is exact that becomes of somebody with two.

    A visitor's row is looked at when what it knows falls due, and what the same user did elsewhere is only found then. Where what
    must be included may be there and then be no more, a row may come to nothing by itself: then nobody looks.
    """
    text = str([one["must_include"] for one in definitions])
    lasting = not any(word in text for word in ("at_most", "none", "cart"))
    return [one for one in history if lasting or one.visitor != VISITORS[1]]


names = st.sampled_from(NAMES)
leaves = st.one_of(
    names,
    st.builds(lambda name, above: {"event": name, "where": [{"path": "price", "above": above}]}, names, st.integers(0, 3)),
    st.builds(lambda name, times: {"event": name, "at_least": times}, names, st.integers(2, 3)),
    st.builds(lambda name: {"event": name, "at_least": 2, "same": "product_id"}, names),
    st.builds(lambda name, times: {"event": name, "at_most": times}, names, st.integers(1, 2)),
    st.builds(lambda name, above: {"event": name, "sum": "price", "above": above}, names, st.integers(1, 6)),
)
rules = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda those: {"all": those}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda those: {"any": those}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one, those: {"all": [one, {"none": those}]}, inner, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda one, least: {"all": [one, {"cart": "quantity", "at_least": least}]}, inner, st.integers(1, 3)),
    ),
    max_leaves=4,
)
TYPES = ("abandonment", "action", "event", "session_start", "session_end")


@st.composite
def triggers(draw: st.DrawFn, types: Sequence[str] = TYPES) -> list[dict[str, Any]]:
    """A few triggers, with every default filled in."""
    found: list[dict[str, Any]] = []
    for name in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        kind = draw(st.sampled_from(types))
        on_visits = kind.startswith("session")
        restarts = ("any_event", "nothing") if on_visits else ("any_event", "qualifying_event", "nothing")
        found.append(
            {
                "name": name,
                "type": kind,
                "must_include": draw(st.lists(rules, min_size=0 if on_visits else 1, max_size=2)),
                "must_not_include": draw(st.one_of(st.just(["Order Completed"]), st.lists(rules, max_size=1))),
                "wait_seconds": draw(st.sampled_from((10, 40, 100, 250, 700))),
                "restarted_by": draw(st.sampled_from(restarts)),
                "session_seconds": draw(st.sampled_from((60, 120, 1000))),
                "new_visit": draw(st.sampled_from(("goes_on", "goes_on", "cancels"))),
                "reentry_seconds": draw(st.sampled_from((0, 0, 50, 100, 400, None))),
                "cancels": draw(st.sampled_from(([], [], [], "all", ["a"], ["b", "c"]))),
                "priority": draw(st.integers(0, 1)),
            }
        )
    return found


@dataclass(frozen=True)
class Happened:
    visitor: str
    did: Did


@st.composite
def histories(draw: st.DrawFn) -> list[Happened]:
    """What the visitors did, in the order of time."""
    what = st.tuples(
        st.sampled_from((*NAMES, *NAMES, UNNAMED, UNNAMED)),
        st.integers(0, LONGEST // 10),
        st.sampled_from(VISITORS[:1] * 4 + VISITORS),
        st.integers(0, 3),
        st.sampled_from(("p1", "p2")),
    )
    drawn = draw(st.lists(what, min_size=1, max_size=16))
    found = [
        Happened(visitor, Did(f"e{number:02d}", name, 10 * tens, {"price": price, "product_id": product}))
        for number, (name, tens, visitor, price, product) in enumerate(drawn)
    ]
    return sorted(found, key=lambda one: (one.did.second, one.did.id))


def expected(definitions: Sequence[dict[str, Any]], history: Sequence[Happened]) -> tuple[list[object], set[str]]:
    """Every decision, and the messages that other triggers take back."""
    decisions: list[object] = []
    recalled: set[str] = set()
    for visitor in VISITORS:
        own = [one.did for one in history if one.visitor == visitor]
        elsewhere = [
            one.did for one in history if one.visitor != visitor and user_of(visitor) and user_of(one.visitor) == user_of(visitor)
        ]
        reference = Reference(definitions, own, elsewhere, user_of(visitor) is not None).run()
        decisions += [seen(visitor, one) for one in reference.decisions]
        recalled |= {id_of(visitor, trigger, key, definitions) for trigger, key in reference.taken_back}
    return sorted(decisions, key=str), recalled


def seen(visitor: str, one: Decision) -> object:
    told = (one.due, sorted(one.cart.items())) if one.sent else ()
    return visitor, one.trigger, one.sent, one.reason, one.begins, told


def id_of(visitor: str, trigger: str, key: str, definitions: Iterable[dict[str, Any]]) -> str:
    kind = next(one["type"] for one in definitions if one["name"] == trigger)
    first = iso(START + timedelta(seconds=int(key))) if kind.startswith("session") else key
    return message_id(trigger, visit_id("shop", visitor, None), first)


class Site:
    """The function with everything around it in memory, its clock, and timers that go off on time."""

    def __init__(self, definitions: Iterable[dict[str, Any]]) -> None:
        usual = {"template": "t", "integration": "i", "campaign": "c", "delivery": "d", "validity_seconds": 86400}
        made = [Trigger.model_validate({**usual, **definition}) for definition in definitions]
        self.memory = Memory({trigger.name: Versioned(trigger, 1) for trigger in made})
        self.clock = Now(START - timedelta(seconds=1))
        self.desk = self.memory.desk(self.clock)
        self.memory.profiles.upsert([("user_id", "anna")], {"email": "anna@example.com"}, START - timedelta(days=1))

    def arrive(self, *jobs: EventsJob) -> None:
        arrive(MemoryBatch(jobs), self.desk)

    def wait(self, until: datetime | None) -> None:
        """Timers go off as time goes by: to its end, if no time is given."""
        while (due := self.memory.visits.next_due()) is not None and (until is None or due < until):
            self.clock.at = max(due, self.clock.at)
            fire(MemoryBatch([TimerJob(visit_ids=tuple(self.memory.visits.take_due(self.clock.at)))]), self.desk)
        if until is not None:
            self.clock.at = until

    def decisions(self) -> list[object]:
        """What was sent to be carried out; the same twice is one."""
        jobs = {job.message_id: job for job in self.memory.messages.sent if isinstance(job, MessageJob)}
        return sorted((decided(job) for job in jobs.values()), key=str)

    def agrees_on(self, recalled: set[str]) -> bool:
        """Whether these messages were taken back by other triggers, or before that by what ended them."""
        taken_back = self.memory.ledger.taken_back
        cancelled = {key for key, hops in taken_back.items() if hops[-1].reason.startswith("cancelled by")}
        return cancelled <= recalled <= taken_back.keys()


def decided(job: MessageJob) -> object:
    timer = next(hop for hop in job.hops if hop.what == "timer")
    assert job.begins_at is not None
    items: Any = job.context["cart"]
    cart = sorted((item["product_id"], item["quantity"]) for item in items)
    told = (second_of(from_iso(str(timer.data["due_at"]))), cart) if job.decided == "send" else ()
    return job.visit_id.split("#")[2], job.trigger, job.decided == "send", job.reason, second_of(job.begins_at), told


def second_of(time: datetime) -> int:
    return round((time - START).total_seconds())


def event_of(one: Happened) -> TrackerEvent:
    at = START + timedelta(seconds=one.did.second)
    return TrackerEvent(
        id=one.did.id,
        tracker="shop",
        name=one.did.name,
        at=at,
        received_at=at,
        anonymous_id=one.visitor,
        user_id=user_of(one.visitor),
        properties=dict(one.did.properties),
    )


def cut(items: Sequence[Any], sizes: Iterable[int]) -> Iterator[list[Any]]:
    rest = iter(items)
    for size in itertools.chain(sizes, itertools.repeat(5)):
        part = list(itertools.islice(rest, size))
        if not part:
            return
        yield part


@dataclass(frozen=True)
class Delivery:
    """A history, and how it arrives: shuffled, some of it repeated, cut into posts and those into batches."""

    history: list[Happened]
    order: list[Happened]
    again: list[tuple[Happened, float]]
    """What is repeated, and how far between its first arrival and the end."""
    sizes: tuple[list[int], list[int]]

    def batches(self, order: Sequence[Happened]) -> list[list[list[Happened]]]:
        """As it arrives, first in this order."""
        arriving = list(order)
        for one, share in self.again:
            first = arriving.index(one) + 1
            arriving.insert(first + round(share * (len(arriving) - first)), one)
        posts = list(cut(arriving, self.sizes[0]))
        return list(cut(posts, self.sizes[1]))


@st.composite
def deliveries(draw: st.DrawFn) -> Delivery:
    history = draw(histories())
    sizes = st.lists(st.integers(1, 4), max_size=20)
    again = draw(st.lists(st.tuples(st.sampled_from(history), st.floats(0, 1)), max_size=4))
    return Delivery(history, list(draw(st.permutations(history))), again, (draw(sizes), draw(sizes)))


def in_turn(delivery: Delivery, definitions: Iterable[dict[str, Any]]) -> list[Happened]:
    """What no trigger names comes after all that happened before it: of what comes earlier nothing is kept."""
    text = str(list(definitions))
    named = [one for one in delivery.order if one.did.name in (*CART, "Order Completed") or one.did.name in text]
    for one in (one for one in delivery.history if one not in named):
        after = max((index for index, other in enumerate(named) if other.did.second <= one.did.second), default=-1)
        named.insert(after + 1, one)
    return named


def compare(definitions: list[dict[str, Any]], delivery: Delivery, order: Sequence[Happened]) -> None:
    """All arrives before anything falls due; then time goes by."""
    site = Site(definitions)
    for batch in delivery.batches(order):
        site.arrive(*(EventsJob(events=tuple(map(event_of, exact(definitions, post)))) for post in batch))
    site.wait(None)
    decisions, recalled = expected(definitions, exact(definitions, delivery.history))
    assert site.decisions() == decisions
    assert site.agrees_on(recalled)


@MANY
@given(triggers(), deliveries())
def test_whatever_order_it_came_in(definitions: list[dict[str, Any]], delivery: Delivery) -> None:
    compare(definitions, delivery, in_turn(delivery, definitions))


@MANY
@given(triggers(), triggers(("session_start", "session_end")), deliveries())
def test_whatever_order_all_came_in_for_those_who_hear_of_all(
    definitions: list[dict[str, Any]], others: list[dict[str, Any]], delivery: Delivery
) -> None:
    """With a trigger on sessions, every event is kept, and none may come too early."""
    compare([*definitions[:2], {**others[0], "name": "visits"}], delivery, delivery.order)


@MANY
@given(triggers(), histories(), st.lists(st.integers(1, 4), max_size=20), st.data())
def test_as_it_happens(definitions: list[dict[str, Any]], history: list[Happened], sizes: list[int], data: st.DataObject) -> None:
    """Events arrive as they happen, some twice, and timers go off in between."""
    site, history = Site(definitions), exact(definitions, history)
    for second, together in itertools.groupby(history, key=lambda one: one.did.second):
        site.wait(START + timedelta(seconds=second))
        again = data.draw(st.lists(st.sampled_from([one for one in history if one.did.second <= second]), max_size=1))
        for post in cut([*together, *again], sizes):
            site.arrive(EventsJob(events=tuple(map(event_of, post))))
    site.wait(None)
    decisions, recalled = expected(definitions, history)
    assert site.decisions() == decisions
    assert site.agrees_on(recalled)
