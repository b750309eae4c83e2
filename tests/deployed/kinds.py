"""A scenario for each kind of trigger, and for each thing that may keep one from sending: who does what, what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Event = dict[str, Any]
"""As it is posted, but with `ago` in seconds instead of a time, and with `{me}` wherever the visitor's name is to be."""

Body = dict[str, Any]


@dataclass(frozen=True)
class Ending:
    """What becomes of one message: its status, and its subject if it was sent, else the reason."""

    status: str
    why: str


def sent(subject: str) -> Ending:
    """It went out."""
    return Ending("sent", subject)


def skipped(reason: str) -> Ending:
    """It was decided not to send it."""
    return Ending("skipped", reason)


@dataclass(frozen=True)
class Visitor:
    """Somebody who logs in and does something. `ends` is what becomes of each message, in any order."""

    does: Sequence[Event]
    ends: Sequence[Ending]
    traits: Mapping[str, object] = field(default_factory=dict)
    logs_in: bool = True


@dataclass(frozen=True)
class Scenario:
    """Triggers, over what all of them have, and visitors of their tracker."""

    triggers: Mapping[str, Body]
    visitors: Mapping[str, Visitor]
    tracker: str = "site"


def did(name: str, ago: float = 0.0, **properties: object) -> Event:
    """An event of the visitor's browser."""
    return {"name": name, "ago": ago, "properties": properties}


def _login(user: str, ago: float) -> Event:
    """Somebody who logs in on the visitor's browser."""
    traits = {"email": f"{user}@example.com", "first_name": "V"}
    return {"name": "Identified", "ago": ago, "user_id": user, "traits": traits}


def _clock(hours: int) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).strftime("%H:%M")


LAMP = {"key": "lamp", "attributes": {"name": "The Lamp"}}

SCENARIOS: dict[str, Scenario] = {
    "abandonment": Scenario(
        {
            "second_look": {
                "type": "abandonment",
                "must_include": [
                    {"event": "Product Viewed", "at_least": 2, "same": "product_id"},
                    {"any": [{"all": [{"cart": "total", "above": 50}, "Product Added"]}, "Checkout Started"]},
                ],
                "wait_seconds": 5,
            }
        },
        {
            "both": Visitor(
                [
                    did("Product Viewed", 2, product_id="lamp"),
                    did("Product Added", 1, product_id="lamp", price=30, quantity=2),
                    did("Product Viewed", 0.5, product_id="lamp"),
                ],
                [sent("second_look")],
            ),
            "two_products": Visitor(
                [
                    did("Product Viewed", 2, product_id="lamp"),
                    did("Product Added", 1, product_id="lamp", price=30, quantity=2),
                    did("Product Viewed", 0.5, product_id="sofa"),
                ],
                [],
            ),
            "small_cart": Visitor(
                [
                    did("Product Viewed", 2, product_id="lamp"),
                    did("Product Added", 1, product_id="lamp", price=30, quantity=1),
                    did("Product Viewed", 0.5, product_id="lamp"),
                ],
                [],
            ),
            "bought": Visitor(
                [
                    did("Product Added", 3, product_id="sofa", price=300),
                    did("Product Viewed", 2, product_id="lamp"),
                    did("Product Viewed", 1, product_id="lamp"),
                    did("Order Completed"),
                ],
                [skipped("order placed")],
            ),
        },
    ),
    "action": Scenario(
        {"asked": {"type": "action", "must_include": ["Quote Asked"], "wait_seconds": 5}},
        # Only what qualifies begins the wait anew, and only the latest sends.
        {"twice": Visitor([did("Quote Asked", 2), did("Quote Asked", 1), did("Page Viewed")], [sent("asked")])},
    ),
    "event": Scenario(
        {"downloaded": {"type": "event", "must_include": ["Brochure Downloaded"], "wait_seconds": 4}},
        {
            "twice": Visitor(
                [did("Brochure Downloaded", 2), did("Brochure Downloaded", 1)], [sent("downloaded"), sent("downloaded")]
            )
        },
    ),
    "session_start": Scenario(
        {"welcome": {"type": "session_start", "wait_seconds": 4}},
        {"comes": Visitor([did("Page Viewed", 1), did("Page Viewed")], [sent("welcome")])},
        tracker="opening",
    ),
    "session_end": Scenario(
        # The shortest session that there is: so the visit was a minute ago, and is told of late.
        {"left": {"type": "session_end", "must_not_include": ["Order Completed"], "session_seconds": 60, "wait_seconds": 1}},
        {
            "leaves": Visitor([did("Page Viewed", 57), did("Page Viewed", 56)], [sent("left")]),
            "buys": Visitor([did("Page Viewed", 57), did("Order Completed", 56)], [skipped("order placed")]),
        },
        tracker="closing",
    ),
    "profile_change": Scenario(
        {
            "promoted": {
                "type": "profile_change",
                "must_include": [{"changed": "tier", "where": [{"path": "new", "equals": "gold"}]}],
                "wait_seconds": 4,
                "trackers": [],
            }
        },
        {
            "to_gold": Visitor(
                [{**did("Identified", 1), "user_id": "{me}", "traits": {"tier": "gold"}}],
                [sent("promoted")],
                traits={"tier": "silver"},
            ),
            "to_silver": Visitor([did("Page Viewed")], [], traits={"tier": "silver"}),
        },
    ),
    "search": Scenario(
        {
            "searched": {
                "type": "abandonment",
                "must_include": [{"event": "Products Searched", "where": [{"path": "query", "exists": True}]}],
                "must_not_include": ["Product Added", "Order Completed"],
                "cancelled_as": "found, or bought",
                "wait_seconds": 5,
                "cart": None,
                "metadata": {"term": {"event": "Products Searched", "path": "query"}},
                "template": "searched",
            }
        },
        {
            # What was searched for last is told first: events have times of their own.
            "finds_nothing": Visitor(
                [did("Products Searched", 1, query="lamp"), did("Products Searched", 2, query="lmap")], [sent("Found lamp?")]
            ),
            "finds": Visitor(
                [did("Products Searched", 2, query="lamp"), did("Product Added", 1, product_id="lamp")],
                [skipped("found, or bought")],
            ),
        },
    ),
    "cancels": Scenario(
        {
            "loser": {"type": "action", "must_include": ["Course Viewed"], "wait_seconds": 9},
            "winner": {"type": "event", "must_include": ["Course Booked"], "wait_seconds": 4, "cancels": ["loser"]},
        },
        {
            "books": Visitor(
                [did("Course Viewed", 2), did("Course Booked", 1)], [sent("winner"), skipped("cancelled by winner")]
            ),
            "looks": Visitor([did("Course Viewed", 2)], [sent("loser")]),
        },
    ),
    "reentry": Scenario(
        {"once": {"type": "event", "must_include": ["Tour Taken"], "wait_seconds": 4, "reentry_seconds": 3600}},
        {"twice": Visitor([did("Tour Taken", 2), did("Tour Taken", 1)], [sent("once"), skipped("fired already")])},
    ),
    "audience": Scenario(
        {
            "local": {
                "type": "event",
                "must_include": ["Store Viewed"],
                "wait_seconds": 4,
                "audience": [{"path": "land", "in": ["DE", "AT"]}],
            }
        },
        {
            "in": Visitor([did("Store Viewed")], [sent("local")], traits={"land": "AT"}),
            "out": Visitor([did("Store Viewed")], [skipped("not in the audience")], traits={"land": "US"}),
        },
    ),
    "identity": Scenario(
        {"known": {"type": "event", "must_include": ["Form Sent"], "wait_seconds": 4}},
        {
            "shared_device": Visitor(
                [_login("{me}", 3), _login("{me}-other", 2), did("Form Sent", 1)], [skipped("several profiles")], logs_in=False
            ),
            "alias": Visitor(
                [
                    _login("{me}", 4),
                    {"name": "Signed In", "ago": 3, "user_id": "{me}-new", "traits": {"first_name": "V"}},
                    {"name": "Aliased", "ago": 2, "user_id": "{me}-new", "identifiers": {"user_id": "{me}"}, "alias": True},
                    did("Form Sent", 1),
                ],
                [sent("known")],
                logs_in=False,
            ),
            "stranger": Visitor([did("Form Sent", 1)], [skipped("no profile")], logs_in=False),
        },
    ),
    "lookup": Scenario(
        {
            "restocked": {
                "type": "event",
                "must_include": ["Product Wished"],
                "wait_seconds": 4,
                "lookups": {"product": {"entity": "things", "key": "event.properties.product_id"}},
                "requires": ["lookup.product.name"],
                "if_missing": "drop",
                "template": "restocked",
            }
        },
        {
            "known": Visitor([did("Product Wished", product_id="lamp")], [sent("The Lamp is back")]),
            "unknown": Visitor([did("Product Wished", product_id="sofa")], [skipped("missing: lookup.product.name")]),
        },
    ),
    "elsewhere": Scenario(
        {"waiting": {"type": "abandonment", "must_include": ["Seat Chosen"], "wait_seconds": 5}},
        {
            # The order is told by the shop's server, which knows the user only.
            "buys": Visitor(
                [did("Seat Chosen", 2), {"name": "Order Completed", "ago": 1, "user_id": "{me}", "anonymous_id": None}],
                [skipped("order placed")],
            ),
            "does_not": Visitor([did("Seat Chosen", 2)], [sent("waiting")]),
        },
    ),
    "hours": Scenario(
        {
            "by_day": {
                "type": "event",
                "must_include": ["Call Asked"],
                "wait_seconds": 4,
                "hours": {"begins": _clock(-2), "ends": _clock(2)},
            }
        },
        {
            "here": Visitor([did("Call Asked")], [sent("by_day")]),
            "far_away": Visitor(
                [did("Call Asked")],
                [Ending("waiting", "outside the trigger's hours")],
                traits={"time_zone": "Pacific/Kiritimati"},
            ),
        },
    ),
    "paused": Scenario(
        {"resumed": {"type": "event", "must_include": ["Sample Asked"], "wait_seconds": 2, "template": "paused"}},
        {"waits": Visitor([did("Sample Asked")], [sent("The newest")])},
    ),
    "unpublished": Scenario(
        {"gone": {"type": "event", "must_include": ["Trial Asked"], "wait_seconds": 2}},
        {"waits": Visitor([did("Trial Asked")], [skipped("the trigger was unpublished")])},
    ),
}

PAUSED = ("resumed", "gone")
"""Triggers that are paused when their events come."""


def definitions() -> list[Body]:
    """All that the scenarios stand on."""
    trackers = [{"kind": "tracker", "name": name, "proof": "none"} for name in ("site", "opening", "closing")]
    return [
        *trackers,
        *_TEMPLATES,
        *(_trigger(one, name, said) for one in SCENARIOS.values() for name, said in one.triggers.items()),
    ]


def _trigger(scenario: Scenario, name: str, said: Body) -> Body:
    usual = {"template": "plain", "integration": "postbird", "campaign": "Kinds", "delivery": name}
    return {"kind": "trigger", "name": name, "trackers": [scenario.tracker], **usual, **said}


def template(name: str, subject: str, **sample: object) -> Body:
    """A template that says hello."""
    given = {"profile": {"first_name": "Ada"}, **sample}
    html = "<p>Hello {{ profile.first_name }}</p>"
    return {"kind": "template", "name": name, "subject": subject, "html": html, "sample": given}


_TEMPLATES = [
    template("plain", "{{ message.trigger }}"),
    template("searched", "Found {{ metadata.term }}?", metadata={"term": "lamp"}),
    template("restocked", "{{ lookup.product.name }} is back", lookup={"product": {"name": "Lamp"}}),
    template("paused", "The first"),
]
