"""Segment: its webhook destinations, and whoever posts as its HTTP tracking API is posted to.

A body is one call (track, identify, page, screen, group, alias), a JSON array of them (the Actions webhook with batching), or
`{"batch": [...]}` (the tracking API). A track call is called by its `event`; the others are "Identified", "Page Viewed", "Screen
Viewed", "Group Identified" and "Aliased". What `context.page` says is in the properties, where they say nothing themselves; what
is known of the person is in the traits, also under our names (`firstName` as `first_name`), and with identify the device's zone.

**What a signature of Segment's is worth.** `X-Signature` is the hexadecimal HMAC-SHA1 of the call under the shared secret. Of a
batch it covers the first call and nothing else: whoever has one signed call can put any others behind it, and nobody can tell.
So with `proof: vendor` a batch of more than one call is refused as a whole, once its first call is proven, with a sentence that
says what to do: batching off in Segment, or a proof that covers the whole post. Segment can send headers of one's own with it:
with `proof: header` (or `bearer`, `basic`) batches of any size are taken. To take the first call and park the others would keep
nothing that anybody may ever trust, and let a stranger fill the parked queue. A signature has no time in it either: an old post
can be posted again, and changes nothing, as a call is known by its `messageId`.

Sources, read 2026-11: "Spec: Common Fields" and the pages of the calls, "Webhooks (Actions)" and its open source, "HTTP API".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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
from connectors.trackers.traits import with_usual_names
from shared.clock import Clock
from shared.errors import BadRequest
from shared.fields import Hmac
from shared.jobs import TrackerEvent
from shared.signatures import verify_hmac
from shared.trackers import Tracker

Call = dict[str, JsonValue]

_SIGNED = Hmac(header="x-signature", algorithm="sha1", encoding="hex")

_PAGE = ("url", "path", "referrer", "search", "title")

_NAMES: Mapping[str, str] = {
    "identify": "Identified",
    "page": "Page Viewed",
    "screen": "Screen Viewed",
    "group": "Group Identified",
    "alias": "Aliased",
}

_JSON = json.JSONDecoder()

_TOO_MANY = (
    "the signature covers only the first event of a batch: switch batching off in Segment, or let it send a header of your own "
    "and set the tracker's proof to header"
)


class Segment(EventFormat):
    """Calls of Segment's specification."""

    setup: tuple[str, ...] = (
        "In Segment, add the destination Webhooks (Actions), or the classic Webhooks, and have it post to `/v1/events/{name}`.",
        "Give it a shared secret, put the same into the tracker's `secrets`, and leave batching off, as it covers one event.",
        "Or, for batches: add a header with a long random value to the action, and give the tracker `proof: header`, its name as "
        "`header` and the value in `secrets`.",
        "A library that posts to a host of one's own needs `proof: write_key`, with its write key in `secrets`.",
    )

    def verify(self, tracker: Tracker, post: Post, clock: Clock) -> None:
        """Refuses (401) what none of the tracker's secrets has signed, and any batch of which only the first call can be."""
        batched = post.body.startswith(b"[")
        signed = _first_of(post.body) if batched else post.body
        verify_hmac(post.headers, signed, (secret.get_secret_value() for secret in tracker.secrets), _SIGNED, clock)
        if batched and len(post.body) != len(signed) + 2:
            raise BadRequest(_TOO_MANY, field="body", status=401)

    def listed(self, tracker: Tracker, post: Post) -> Sequence[JsonValue]:
        """The calls of a post. Raises BadRequest (400)."""
        return batched(parsed(post.body), "type")

    def event(self, tracker: Tracker, posted: JsonValue, post: Post, received_at: datetime) -> TrackerEvent | None:
        """One call. Raises Unusable."""
        call = fields_of(posted)
        kind = call.get("type")
        if not isinstance(kind, str) or kind not in _READ:
            raise Unusable("type", _DELETE if kind == "delete" else "must be track, identify, page, screen, group or alias")
        context = object_of(call.get("context"), "context")
        user, visitor = text_of(call.get("userId"), "userId"), text_of(call.get("anonymousId"), "anonymousId")
        previous = text_of(call.get("previousId"), "previousId") if kind == "alias" else None
        return made(
            tracker,
            id=text_of(call.get("messageId"), "messageId") or content_id(tracker, posted),
            name=self.called(tracker, _NAMES[kind] if kind in _NAMES else _event_of(call)),
            at=self.happened_at(call) or received_at,
            received_at=received_at,
            anonymous_id=visitor or previous,
            user_id=user,
            identifiers=(("user_id", previous),) if previous and previous != visitor else (),
            alias=kind == "alias",
            properties=_with_page(_READ[kind](call), context),
            traits=with_usual_names(_traits(kind, call, context)),
        )

    def happened_at(self, call: Call) -> datetime | None:
        """When it happened: `timestamp` is right even if the visitor's clock is wrong. None if the call does not say.

        Raises Unusable.
        """
        for field in ("timestamp", "originalTimestamp"):
            if (value := call.get(field)) is not None:
                return time_of(value, field)
        return None


CONNECTOR = Segment()

_DELETE = "a person is not deleted by an event: have the people who run Sendbridge delete the profile"


def _first_of(body: bytes) -> bytes:
    """The bytes of an array's first element, as they stand there; nothing if there is none that can be read.

    They must not be written anew: no other language writes numbers as JavaScript does.
    """
    try:
        text = body[1:].decode()
        return text[: _JSON.raw_decode(text)[1]].encode()
    except (ValueError, RecursionError):
        return b""


def _event_of(call: Call) -> str:
    name = call.get("event")
    if not isinstance(name, str):
        raise Unusable("event", "must be a text: the name of what happened")
    return name


def _properties(call: Call) -> Call:
    return object_of(call.get("properties"), "properties")


def _viewed(call: Call) -> Call:
    """The properties of a page or a screen, of which the name and the category stand beside them."""
    beside = {key: call[key] for key in ("name", "category") if call.get(key)}
    return {**beside, **_properties(call)} if beside else _properties(call)


def _group(call: Call) -> Call:
    """What is said of the group: that is nothing of the person."""
    return {**object_of(call.get("traits"), "traits"), "group_id": text_of(call.get("groupId"), "groupId")}


_READ: Mapping[str, Callable[[Call], Call]] = {
    "track": _properties,
    "identify": lambda call: {},
    "page": _viewed,
    "screen": _viewed,
    "group": _group,
    "alias": lambda call: {},
}

CALLS = tuple(_READ)
"""The types of calls that say something of a visitor."""


def _with_page(properties: Call, context: Call) -> Call:
    """The properties, and where the visitor was, as far as they do not say so themselves."""
    page = context.get("page")
    if not isinstance(page, dict):
        return properties
    return {**{key: page[key] for key in _PAGE if page.get(key)}, **properties}


def _traits(kind: str, call: Call, context: Call) -> Call:
    """What is said of the person, there or in the context; with identify, also by what the device is set to."""
    known = object_of(context.get("traits"), "context.traits")
    if kind != "identify":
        return known
    device = {ours: context[theirs] for theirs, ours in (("timezone", "time_zone"), ("locale", "locale")) if context.get(theirs)}
    return {**device, **known, **object_of(call.get("traits"), "traits")}
