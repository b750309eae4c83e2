"""A load on a deployed stack, to its end: visitors who leave a cart behind, their messages, and what becomes of those.

Each visitor does twenty things, gets one message, and makes four engagements for the CRM (sent, opened, two clicks) and
one that only the ledger has (delivered). The ESP tells of each kind at another time, as opens and clicks do not come together.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from cli.local.world import World
from tests.bench.dynamodb_units import size_of
from tests.bench.meter import TABLES, Meter, Reading
from tests.sandbox.tracker import Tracker

Shape = Literal["one", "mixed", "visit"]
"""How a tracker posts: each event alone, twenty at once, each of another visitor, or a visitor's twenty at once.

The last comes evenly, two visitors a second, so that its timers tell of the stack and not of a machine at its limit.
"""

EVENTS_EACH = 20
ENGAGEMENTS_EACH = 5
IN_CRM_EACH = 4
ESP_BATCH = 20
"""Engagements in a post of the ESP."""
_PATIENCE = 90.0
_EVENLY = 0.5
_TOLD = (
    {"types": ["delivered"]},
    {"types": ["opened"]},
    {"types": ["clicked"]},
    {"types": ["clicked"], "url": "https://a.example/2"},
)


@dataclass(frozen=True)
class Load:
    """A load that was played, and what it took."""

    shape: Shape
    events: int
    messages: int
    engagements: int
    """In the CRM."""
    posts: int
    visits_posted: int
    """Visits in each post, over all posts: what has to be looked up at most."""
    esp_posts: int
    used: Reading
    lateness: tuple[float, ...]
    """Seconds from each deadline to the decision about it."""
    sent_after: tuple[float, ...]
    """Seconds from each deadline to the ESP's answer."""
    row_bytes: Mapping[str, float]
    """Mean size of a row at the end, by table."""


def play(meter: Meter, prefix: str, visitors: int, shape: Shape) -> Load:
    """Plays it. Raises TimeoutError if it does not come to its end."""
    before = meter.read()
    people = [f"{prefix}-{number}" for number in range(visitors)]
    world = meter.world
    world.vendors.crm.command("contacts", contacts=[{"lastname": one, "emailaddress1": _email(one)} for one in people])
    posts = list(_posts(people, shape))
    _post(world, posts, _EVENLY if shape == "visit" else 0.0)
    ids = _until("messages at the ESP", lambda: _taken(world, prefix), visitors)
    esp_posts = 0
    for number, kind in enumerate(_TOLD, 1):
        answers: Any = world.vendors.esp.command("emit", message_ids=ids, batch=ESP_BATCH, **kind)  # type: ignore[arg-type]
        esp_posts += len(answers)
        _until(f"engagements of kind {number}", lambda n=number: _recorded(meter, people, n + 1), visitors)  # type: ignore[misc]
    rows = _until("timelines", lambda: _on_timelines(meter, people), visitors)
    used = meter.read() - before
    lateness, after = ([_figure(row, name) for row in rows] for name in ("lateness", "seconds_after_deadline"))
    events = visitors * EVENTS_EACH
    return Load(
        shape=shape,
        events=events,
        messages=visitors,
        engagements=visitors * IN_CRM_EACH,
        posts=len(posts),
        visits_posted=sum(len({event["anonymous_id"] for event in post}) for post in posts),
        esp_posts=esp_posts,
        used=used,
        lateness=tuple(lateness),
        sent_after=tuple(after),
        row_bytes={table: statistics.mean(size_of(row) for row in meter.rows(table)) for table in TABLES},
    )


def _email(person: str) -> str:
    return f"{person}@example.com"


def _posts(people: Sequence[str], shape: Shape) -> Iterator[list[dict[str, object]]]:
    """The posts of all, each visitor's in their order."""
    if shape == "visit":
        yield from ([_event(person, step) for step in range(EVENTS_EACH)] for person in people)
        return
    together = 1 if shape == "one" else EVENTS_EACH
    for start in range(0, len(people), EVENTS_EACH):
        some = people[start : start + EVENTS_EACH]
        steps = [_event(person, step) for step in range(EVENTS_EACH) for person in some]
        yield from (steps[n : n + together] for n in range(0, len(steps), together))


def _event(person: str, step: int) -> dict[str, object]:
    """The nth thing a visitor does: looks around, says who they are, puts two things into the cart, and looks further."""
    page = {
        "url": f"https://shop.example.com/lamps/{step}",
        "title": "Lamps for desks and for reading",
        "referrer": "https://shop.example.com/",
    }
    product = {"product_id": f"lamp-{step}", "name": "Desk lamp", "price": 49.5, "quantity": 1}
    event: dict[str, object] = {
        "id": f"{person}-{step}",
        "anonymous_id": f"browser-{person}",
        "name": "Page Viewed",
        "properties": page,
    }
    if step == 3:
        return event | {"name": "Signed In", "user_id": person, "traits": {"email": _email(person), "first_name": "Ada"}}
    return event | {"name": "Product Added", "properties": page | product} if step in (8, 12) else event


def _post(world: World, posts: Sequence[list[dict[str, object]]], pause: float) -> None:
    """Four connections at a time, with this pause before each visitor; a visitor's events keep their order."""
    groups: dict[object, list[list[dict[str, object]]]] = {}
    for post in posts:
        groups.setdefault(post[0]["anonymous_id"], []).append(post)
    with Tracker(world.events_url, world.shop_secret) as tracker, ThreadPoolExecutor(4) as pool:
        asked = []
        for own in groups.values():
            time.sleep(pause)
            asked.append(pool.submit(_post_in_turn, tracker, own))
        statuses = {status for one in asked for status in one.result()}
    if statuses != {202}:
        raise RuntimeError(f"posts were answered with {statuses} instead of 202")


def _post_in_turn(tracker: Tracker, posts: Iterable[list[dict[str, object]]]) -> set[int]:
    return {answer.status_code for post in posts for answer in tracker.post(post)}


def _taken(world: World, prefix: str) -> list[str]:
    inbox: Any = world.vendors.esp.ask("inbox")
    return [taken["id"] for taken in inbox["messages"] if taken["message"]["to"]["email"].startswith(f"{prefix}-")]


def _own(meter: Meter, people: Iterable[str]) -> list[dict[str, Any]]:
    """The messages of these people: what the ledger keeps of each after the send is put under `after`."""
    visits = {f"browser-{person}" for person in people}
    rows = {row["pk"]["S"]: row for row in meter.rows("messages")}
    own = (row for row in rows.values() if visits & set(row.get("visit_id", {"S": ""})["S"].split("#")))
    return [{**row, "after": rows.get(f"{row['pk']['S']}#after", {})} for row in own]


def _recorded(meter: Meter, people: Sequence[str], number: int) -> list[dict[str, Any]]:
    """The messages that have this many engagements."""
    return [row for row in _own(meter, people) if sum(key.startswith("e_") for key in row["after"]) >= number]


def _on_timelines(meter: Meter, people: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of the ledger all of whose engagements are in the CRM."""
    return [row for row in _own(meter, people) if sum(hop["hop"] == "sync_crm" for hop in _trace(row)) == IN_CRM_EACH]


def _trace(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [hop for part in (row, row["after"]) if part for some in part["trace"]["L"] for hop in json.loads(some["S"])]


def _figure(row: dict[str, Any], name: str) -> float:
    return next(float(hop["data"][name]) for hop in _trace(row) if name in hop.get("data", {}))


def _until(what: str, look: Callable[[], list[Any]], wanted: int) -> list[Any]:
    deadline = time.monotonic() + _PATIENCE
    while len(found := look()) < wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: {len(found)} of {wanted} after {_PATIENCE:.0f} s")
        time.sleep(0.25)
    if len(found) > wanted:
        raise RuntimeError(f"{what}: {len(found)} instead of {wanted}")
    return found
