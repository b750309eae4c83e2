"""What the formats of web analytics have in common: numbers as texts, products by other names, events without id and time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime

from pydantic import JsonValue

from connectors.base import Post
from shared.clock import iso
from shared.ids import digest
from shared.trackers import Tracker

_OF_ONE = ("product_id", "name", "price", "quantity", "category")


def minute_id(tracker: Tracker, posted: JsonValue, received_at: datetime) -> str:
    """An id for an event that says neither its id nor its time: made of its content and of the minute in which it came.

    Nothing better is left: the same content may well happen again, and a repeated post seldom comes later than that.
    """
    return digest("event", tracker.name, json.dumps(posted, sort_keys=True), iso(received_at)[:16])


def asked(tracker: Tracker, post: Post) -> dict[str, JsonValue]:
    """The parameters of a post's URL, as an event; but not the key that proves who posts."""
    return {name: value for name, value in post.query.items() if tracker.proof != "query" or name != tracker.parameter}


def number_of(value: JsonValue) -> JsonValue:
    """The number that a text says, whole if it is; what is no number stays what it is."""
    if not isinstance(value, str) or len(value) > 30:
        return value
    try:
        return int(value) if value.isdecimal() else _finite(float(value), value)
    except ValueError:
        return value


def _finite(number: float, text: str) -> JsonValue:
    return number if math.isfinite(number) else text


def renamed(posted: Mapping[str, JsonValue], names: Mapping[str, str]) -> dict[str, JsonValue]:
    """What is posted under any of these names, under ours."""
    return {ours: posted[theirs] for theirs, ours in names.items() if theirs in posted}


def with_products(properties: dict[str, JsonValue], products: list[dict[str, JsonValue]]) -> None:
    """Puts the products into the properties: as a list, and beside it what is said of a single one, as Segment's events have it.

    Of several it is the category, if that is the same for all.
    """
    if not products:
        return
    properties["products"] = [*products]
    category = products[0].get("category")
    if category and all(one.get("category") == category for one in products):
        properties.setdefault("category", category)
    if len(products) == 1:
        for name in _OF_ONE:
            if name in products[0]:
                properties.setdefault(name, products[0][name])
