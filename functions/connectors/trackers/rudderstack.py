"""RudderStack's webhook destination: calls as Segment's, one a post or a JSON array of them, and no signature.

So the destination is to be given a header of one's own (`proof: header`, `bearer` or `basic`). `timestamp` is corrected by
RudderStack for a visitor's wrong clock, as Segment's is.

What another system posted to a RudderStack webhook *source* comes as a track call `webhook_source_event` with an
`anonymousId` made up for that post. If that is itself a call, it is taken as what it is; else it is an event of that name, whose
properties are what was posted, and of a visitor who is nobody.

Sources, read 2026-11: the documentation's event specification, and the open source of its server and transformer.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import JsonValue

from connectors.base import Post
from connectors.trackers.segment import CALLS, Segment
from shared.jobs import TrackerEvent
from shared.trackers import Tracker


class _RudderStack(Segment):
    setup = (
        "In RudderStack, add the destination Webhook with the method POST, and have it post to `/v1/events/{name}`.",
        "Add a header with a long random value, and give the tracker `proof: header`, its name as `header` and the value in "
        "`secrets`.",
    )

    def event(self, tracker: Tracker, posted: JsonValue, post: Post, received_at: datetime) -> TrackerEvent | None:
        """One call. Raises Unusable."""
        return super().event(tracker, _unwrapped(posted), post, received_at)


CONNECTOR = _RudderStack()


def _unwrapped(posted: JsonValue) -> JsonValue:
    """The call that a webhook source was posted, with the id and the time that it got there if it has none; else the same."""
    if not isinstance(posted, dict) or posted.get("event") != "webhook_source_event":
        return posted
    inner = posted.get("properties")
    if not isinstance(inner, dict) or inner.get("type") not in CALLS or not (inner.get("userId") or inner.get("anonymousId")):
        return posted
    timed = inner.get("timestamp") or inner.get("originalTimestamp")
    given = ("messageId",) if timed else ("messageId", "timestamp", "originalTimestamp")
    return {**{key: posted[key] for key in given if key in posted}, **inner}
