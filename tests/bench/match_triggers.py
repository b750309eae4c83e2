"""What `match_triggers` asks of AWS and of the processor: for an event that concerns no trigger, for one that does, for a firing.

Calls and items are counted at boto3's transport, with AWS answering at once; rates are per second of CPU. A firing is a visitor
whose cart is abandoned: known by an email address, logged in, with a profile, one message. Run with
`python -m tests.bench.match_triggers`; how late timers are is measured by `tests.bench.lateness`, on a deployed stack.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.bench.cloud import Cloud, answered_by
from tests.bench.rate import Rate, compare

RECORDS, FIRED_TOGETHER = 100, 50
ROUNDS = 30
"""Batches in one round."""
_USUAL: dict[str, Any] = {"template": "t", "integration": "esp", "campaign": "c", "delivery": "d"}
ABANDONED: dict[str, Any] = {
    **_USUAL,
    "name": "abandoned",
    "must_include": ["Product Added"],
    "wait_seconds": 3600,
    "trackers": ["shop"],
}
SIGNED_UP: dict[str, Any] = {
    **_USUAL,
    "name": "welcome",
    "type": "event",
    "must_include": ["Signed Up"],
    "cart": None,
    "trackers": ["blog"],
}


@dataclass(frozen=True)
class Cost:
    """Of one kind of event, each of another visitor, in full batches: per event."""

    what: str
    calls: Mapping[str, float]
    items_read: float
    items_written: float
    rate: Rate
    """Events, or firings, a second of CPU. The floor reads and writes the batch as JSON."""


@dataclass(frozen=True)
class MatchTriggers:
    """By kind of event, and for a firing."""

    costs: tuple[Cost, ...]


class _World:
    """The rows that the function finds; what it writes is taken and forgotten, so that every batch finds the same."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.cloud = Cloud(self._answer)

    def _answer(self, operation: str, request: Any) -> object:
        if operation == "BatchGetItem":
            ((table, wanted),) = request["RequestItems"].items()
            found = [self.rows[key["pk"]["S"]] for key in wanted["Keys"] if key["pk"]["S"] in self.rows]
            return {"Responses": {table: found}, "UnprocessedKeys": {}}
        if operation == "Query":
            kind = request["ExpressionAttributeValues"][":kind"]["S"]
            named: list[dict[str, Any]] = [ABANDONED, SIGNED_UP] if kind == "trigger" else [{"name": "esp"}]
            rows = [
                {"pk": {"S": kind}, "sk": {"S": one["name"]}, "version": {"N": "1"}, "body": {"S": json.dumps(one)}}
                for one in named
            ]
            return {"Items": rows, "Count": len(rows)}
        return {"Successful": [], "Failed": []}


def measure() -> MatchTriggers:
    """Measures each kind of event, and a firing."""
    world = _World()
    with answered_by(world.cloud):
        return MatchTriggers(tuple(_measured(world, what, rows, event, things) for what, rows, event, things in _cases()))


def _cases() -> list[tuple[str, dict[str, dict[str, Any]], dict[str, object], int]]:
    waiting = _rows("Product Added", user=False)
    known = _rows("Product Added", user=True)
    return [
        ("no trigger attends", {}, _events("Page Viewed", tracker="blog"), RECORDS),
        ("nothing waits", {}, _events("Page Viewed"), RECORDS),
        ("restarts a wait", waiting, _events("Page Viewed"), RECORDS),
        ("begins one", {}, _events("Product Added"), RECORDS),
        ("goes on with one", waiting, _events("Product Added"), RECORDS),
        ("ends one, of a user", known, _events("Order Completed", user=True), RECORDS),
        ("a firing", _due(known), _timers(), FIRED_TOGETHER),
    ]


def _measured(world: _World, what: str, rows: dict[str, dict[str, Any]], event: dict[str, object], things: int) -> Cost:
    from match_triggers.handler import handle

    world.rows = rows
    handle(event, None)
    world.cloud.forget()
    answer = handle(event, None)
    assert answer in ({}, {"batchItemFailures": []}), answer
    calls, items = Counter(world.cloud.requests), Counter(world.cloud.items)
    records: Any = event["Records"]
    bodies = [record["body"] for record in records]
    floor = _repeat(lambda: [json.dumps(json.loads(body)) for body in bodies])
    rate = compare(_repeat(lambda: handle(event, None)), floor, things * ROUNDS)
    each = {name: round(number / things, 3) for name, number in sorted(calls.items())}
    return Cost(what, each, round(items["read"] / things, 3), round(items["written"] / things, 3), rate)


def _repeat(work: Callable[[], object]) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(ROUNDS):
            work()

    return repeated


def _now() -> datetime:
    return datetime.now(UTC)


def _event(name: str, number: int, at: datetime, tracker: str, *, user: bool) -> Any:
    from shared.jobs import TrackerEvent

    product = {"product_id": f"sku-{number}", "name": "Desk lamp", "price": 49.5, "quantity": 1, "category": "Lighting"}
    return TrackerEvent(
        id=f"{name}-{number}",
        tracker=tracker,
        name=name,
        at=at,
        received_at=at,
        anonymous_id=f"browser-{number}",
        user_id=f"user-{number}" if user else None,
        properties={**product, "url": "https://shop.example.com/products/desk-lamp"},
    )


def _events(name: str, tracker: str = "shop", *, user: bool = False) -> dict[str, object]:
    """A batch of the queue `events`: each post has one event, of another visitor."""
    from shared.jobs import EventsJob

    at = _now() + timedelta(seconds=30)
    return _batch(
        "events", [EventsJob(events=(_event(name, n, at, tracker, user=user),)).model_dump_json() for n in range(RECORDS)]
    )


def _timers() -> dict[str, object]:
    from match_triggers.desk import TOGETHER
    from shared.jobs import TimerJob

    ids = [f"shop#a#browser-{number}" for number in range(FIRED_TOGETHER)]
    parts = [ids[n : n + TOGETHER] for n in range(0, len(ids), TOGETHER)]
    return _batch("timers", [TimerJob(visit_ids=tuple(part)).model_dump_json() for part in parts])


def _batch(queue: str, bodies: list[str]) -> dict[str, object]:
    attributes = {"ApproximateReceiveCount": "1"}
    arn = f"arn:aws:sqs:eu-west-1:1:{queue}"
    rest = {"receiptHandle": "r", "attributes": attributes, "eventSourceARN": arn}
    return {"Records": [{"messageId": str(n), "body": body, **rest} for n, body in enumerate(bodies)]}


def _rows(name: str, *, user: bool) -> dict[str, dict[str, Any]]:
    """A visitor each who has done so just now, and waits; and the people whom they are."""
    from match_triggers.keeping import merged
    from match_triggers.listeners import Listener, Listening
    from shared.catalogue import Versioned
    from shared.triggers import Trigger

    now, listening = _now(), Listening((Listener(Versioned(Trigger.model_validate(ABANDONED), 1)),))
    rows: dict[str, dict[str, Any]] = {}
    for number in range(RECORDS):
        visit = merged(f"shop#a#browser-{number}", None, [_event(name, number, now, "shop", user=user)], listening, now)
        assert visit is not None
        rows |= _row(visit)
        rows |= _person(number) if user else {}
    return rows


def _row(visit: Any) -> dict[str, dict[str, Any]]:
    text = visit.model_dump_json(exclude_defaults=True)
    return {visit.id: {"pk": {"S": visit.id}, "visit": {"S": text}, "version": {"N": "1"}}}


def _person(number: int) -> dict[str, dict[str, Any]]:
    from shared.person import identifier_hash

    identifier = f"identifier#user_id#{identifier_hash(('user_id', f'user-{number}'))}"
    attributes = {"email": f"user-{number}@example.com", "first_name": "Ada"}
    columns = {"attributes": attributes, "changed": {}, "identifiers": {}}
    profile = {name: {"S": json.dumps(value)} for name, value in columns.items()}
    return {
        identifier: {"pk": {"S": identifier}, "profile_id": {"S": f"p_{number}"}},
        f"profile#p_{number}": {"pk": {"S": f"profile#p_{number}"}, **profile, "crm_ids": {"M": {}}, "version": {"N": "1"}},
    }


def _due(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same two hours later: as if all had happened earlier."""
    from shared.visits import Visit

    ago = timedelta(hours=2)
    found = dict(rows)
    for key, row in rows.items():
        if "visit" in row:
            visit = Visit.model_validate_json(row["visit"]["S"])
            (event,), ((begin, end),) = visit.events, visit.active
            earlier = {
                "events": (event.model_copy(update={"at": event.at - ago}),),
                "active": ((begin - ago, end - ago),),
                "due_at": visit.due_at - ago if visit.due_at else None,
            }
            found |= _row(visit.model_copy(update=earlier))
            assert key in found
    return found


def show(it: MatchTriggers) -> None:
    """Prints a row per kind of event."""
    print(f"match_triggers, per event in batches of {RECORDS} visitors (a firing: of {FIRED_TOGETHER})")
    print("  the event            items read   written       a second of CPU   of floor   AWS calls")
    for one in it.costs:
        calls = ", ".join(f"{name} {number:g}" for name, number in one.calls.items()) or "none"
        figures = f"{one.items_read:>10g} {one.items_written:>9g} {one.rate.ours:>21,.0f} {one.rate.share:>10.1%}"
        print(f"  {one.what:<20} {figures}   {calls}")


def main() -> None:
    """Prints the figures."""
    show(measure())


if __name__ == "__main__":
    main()
