"""PostHog: its webhook destination, and whoever posts as its capture API is posted to.

A body is `{"event": {...}, "person": {...}}` (the destination's own template), one capture `{"event": "name", "distinct_id",
"properties", ...}`, an array of captures, or `{"batch": [...]}`. Nothing is signed: the destination is to be given a header of
one's own (`proof: bearer`); captures have the project's key as `api_key` (`proof: write_key`).

`distinct_id` is a visitor's or a person's, and only the other properties say which. It is anonymous if `$is_identified` or
`$process_person_profile` is false, or if it is the device's own id; else it is the person's, and `$device_id` the visitor's. What
a server captures has neither, and so is of a person.

What is in `$set`, `$set_once` and `person` is of the person, but for names that begin with `$`, which PostHog gives itself. An
event without `timestamp` happened when we heard of it, as PostHog takes it; without `uuid` it is known by its content (and, if it
has neither, by the minute).

Sources, read 2026-11: "Capture and batch API endpoints", "Anonymous vs identified events", "Identifying users", and the open
source of posthog-js and of the webhook destination's template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.trackers.base import (
    EventFormat,
    Unusable,
    batched,
    content_id,
    fields_of,
    made,
    object_of,
    text_of,
    time_of,
)
from connectors.trackers.loose import minute_id
from connectors.trackers.traits import with_usual_names
from shared.jobs import TrackerEvent
from shared.trackers import Tracker

_Fields = dict[str, JsonValue]

_ALIASES = ("$create_alias", "$merge_dangerously")

_NOT_KEPT = frozenset({"$set", "$set_once", "token", "distinct_id"})
"""What stands in an event's properties and is not of the event."""

_USUAL: Mapping[str, str] = {
    "$current_url": "url",
    "$pathname": "path",
    "$referrer": "referrer",
    "$screen_name": "name",
    "$group_key": "group_id",
}


class _PostHog(EventFormat):
    names: Mapping[str, str] = {
        "$pageview": "Page Viewed",
        "$screen": "Screen Viewed",
        "$identify": "Identified",
        "$set": "Identified",
        "$groupidentify": "Group Identified",
        **dict.fromkeys(_ALIASES, "Aliased"),
    }
    write_key = "api_key"
    setup = (
        "In PostHog, add the destination HTTP Webhook with the method POST and its own body, to `/v1/events/{name}`.",
        "Add the header `Authorization` with `Bearer` and a long random value; give the tracker `proof: bearer` and the value.",
        "A library that posts to a host of one's own needs `proof: write_key`, with the project's API key in `secrets`.",
    )

    def listed(self, tracker: Tracker, post: Post) -> Sequence[JsonValue]:
        """The events of a post. Raises BadRequest (400)."""
        return batched(parsed(post.body), "event")

    def event(self, tracker: Tracker, posted: JsonValue, post: Post, received_at: datetime) -> TrackerEvent | None:
        """One event. Raises Unusable."""
        fields = fields_of(posted)
        delivered = isinstance(fields.get("event"), dict)
        event = object_of(fields["event"], "event") if delivered else fields
        person = object_of(fields.get("person"), "person") if delivered else {}
        name, given = event.get("event"), object_of(event.get("properties"), "properties")
        if not isinstance(name, str):
            raise Unusable("event", "must be a text: the name of what happened")
        stamp = event.get("timestamp")
        visitor, user, others = _who(name, event, given)
        return made(
            tracker,
            id=text_of(event.get("uuid", given.get("$insert_id")), "uuid") or _made_id(tracker, posted, stamp, received_at),
            name=self.called(tracker, name),
            at=received_at if stamp is None else time_of(stamp, "timestamp"),
            received_at=received_at,
            anonymous_id=visitor,
            user_id=user,
            identifiers=others,
            alias=name in _ALIASES,
            properties=_properties(given),
            traits=_traits(event, given, person),
        )


CONNECTOR = _PostHog()


def _made_id(tracker: Tracker, posted: JsonValue, stamp: JsonValue, received_at: datetime) -> str:
    return minute_id(tracker, posted, received_at) if stamp is None else content_id(tracker, posted)


def _who(name: str, event: _Fields, given: _Fields) -> tuple[str | None, str | None, tuple[tuple[str, str], ...]]:
    """The visitor, the person, and what else the person is called."""
    distinct = text_of(event.get("distinct_id", given.get("distinct_id")), "distinct_id")
    device = text_of(given.get("$device_id"), "properties.$device_id")
    if name == "$identify":
        return text_of(given.get("$anon_distinct_id"), "properties.$anon_distinct_id") or device, distinct, ()
    if name in _ALIASES:
        alias = text_of(given.get("alias"), "properties.alias")
        return alias, distinct, (("user_id", alias),) if alias else ()
    known = given.get("$is_identified")
    if known is False or distinct == device or (known is None and given.get("$process_person_profile") is False):
        return distinct, None, ()
    return device, distinct, ()


def _properties(given: _Fields) -> _Fields:
    """An event's properties, and beside them what is called otherwise here."""
    usual: _Fields = {ours: value for theirs, ours in _USUAL.items() if (value := given.get(theirs)) and value != "$direct"}
    kept = {key: value for key, value in given.items() if key not in _NOT_KEPT}
    return {**usual, **kept}


def _traits(event: _Fields, given: _Fields, person: _Fields) -> _Fields:
    """What is known of the person: what was there first is overwritten by what is so now."""
    said = (
        object_of(given.get("$set_once", event.get("$set_once")), "$set_once"),
        object_of(person.get("properties"), "person.properties"),
        object_of(given.get("$set", event.get("$set")), "$set"),
    )
    return with_usual_names({key: value for one in said for key, value in one.items() if not key.startswith("$")})
