"""Any JSON, by a mapping that its user wrote: where in what is posted each part of a tracker event is.

A body is an event, a list of events, or has the list at the path `events` of the mapping. A path is keys and list positions apart
by dots (`data.items.0.sku`), within the event; one that begins with `body.` is within the whole body, for what is said once for
all events. Where a value may be in several places, the first that has one counts. What is nowhere is left out, but for the name
and the time: an event without them is rejected, with the path at which they were looked for.
"""

from __future__ import annotations

from pydantic import JsonValue

from connectors.base import Post, Read
from connectors.bodies import parsed
from connectors.trackers.base import TrackerFormat, bounded, each, one_or_many
from connectors.trackers.mapped import Readers
from shared.clock import Clock
from shared.errors import BadRequest
from shared.mapping import at
from shared.trackers import Mapping, Tracker


class AnyJson(TrackerFormat):
    """JSON of any form."""

    setup = (
        "Write down where in what is posted each part of an event is, as the tracker's `mapping`.",
        "Choose the proof that the sender can give, best of all `hmac`: the header, algorithm and encoding of its signature, and "
        "the header with the time of signing, if there is one. Some can send no more than a header of their own, or a login.",
        "Have it post to `/v1/events/{name}`. `sendbridge explain event` shows what the mapping makes of recorded posts.",
    )

    forgiving = True  # it is a vendor who posts, some of whose events may be about nobody

    def __init__(self) -> None:
        self._readers = Readers(self.called)

    def events(self, tracker: Tracker, post: Post, clock: Clock) -> list[Read | None]:
        """What each event of the post is, in their order. Raises BadRequest (400) if there is none where the mapping says."""
        mapping, body, received_at = tracker.mapping or Mapping(), parsed(post.body), clock()
        read = self._readers.of(mapping)
        return each(bounded(_listed(mapping, body)), lambda posted: read(tracker, posted, body, received_at))


CONNECTOR = AnyJson()


def _listed(mapping: Mapping, body: JsonValue) -> list[JsonValue]:
    try:
        return one_or_many(at(body, mapping.events))
    except BadRequest as error:
        raise BadRequest(error.reason, field=mapping.events or "body") from None
