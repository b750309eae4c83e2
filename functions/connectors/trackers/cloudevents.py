"""CloudEvents 1.0 over HTTP: binary (attributes in `ce-` headers), structured, and in batches.

An event's name is its `type`, its time its `time` (if it has none, when we hear of it), and it is known by `source` and `id`
together. Of its data, `anonymous_id`, `user_id`, `identifiers` (by namespace), `traits` and `properties` are what they are
called; where there are no `properties`, they are all the rest of the data. If the data is of another form, the tracker has a
`mapping`: its paths are within the data, and those that begin with `body.` within the whole event (`body.subject`,
`body.data.x`). The name, the time and the id stay those of the event, unless the mapping says where they are. `subject` is no
identity by itself: for most senders it is the thing that something happened to.

Sources (read 2026-11): CloudEvents 1.0.2: core, JSON format, HTTP protocol binding; HTTP 1.1 Web Hooks for Event Delivery.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping as Map
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import unquote

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.trackers.base import EventFormat, Reply, Unusable, bounded, fields_of, made, time_of
from connectors.trackers.envelopes import payload_of
from connectors.trackers.mapped import Readers
from shared.clock import iso
from shared.errors import BadRequest
from shared.ids import digest
from shared.jobs import TrackerEvent
from shared.trackers import Mapping, Tracker

_REQUIRED = ("specversion", "id", "source", "type")
_JSON = re.compile(r"[^;]*[/+]json *(;|$)", re.IGNORECASE)
"""A media type of JSON; one that is not given is, too."""
_ASKED_BY = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_KNOWN = "sendbridge$id"
"""Where the whole event has what it is known by, for its mapping."""
_DEFAULTS = {"id": f"body.{_KNOWN}", "name": "body.type", "time": "body.time"}


def _adapted(mapping: Mapping) -> Mapping:
    """A mapping that leaves id, name and time to the event where it does not say where they are."""
    left = {name: path for name, path in _DEFAULTS.items() if name not in mapping.model_fields_set}
    return mapping.model_copy(update=left | ({"time_format": "iso"} if "time" in left else {}))


class CloudEvents(EventFormat):
    """Events of CloudEvents 1.0."""

    setup = (
        "Set the tracker's `proof`: `bearer` for `Authorization: Bearer TOKEN`, or `query` with `parameter: access_token`.",
        "Have events delivered to `/v1/events/{name}` in the CloudEvents 1.0 schema. Who asks first whether they may (an OPTIONS "
        "with `WebHook-Request-Origin`, as Azure Event Grid does) is told so, with the rate of the tracker's `limit`.",
        "If the data says otherwise than `anonymous_id` or `user_id` whom it is about, write a `mapping`.",
    )

    forgiving = True  # a broker delivers what is refused again, or to nobody

    def __init__(self) -> None:
        self._readers = Readers(self.called, _adapted)

    def greeting(self, tracker: Tracker, post: Post) -> Reply | None:
        """Lets whoever asks deliver events here: who may is proven with each post, not by a name."""
        origin = post.headers.get("webhook-request-origin", "")
        if post.method != "OPTIONS" or not _ASKED_BY.fullmatch(origin):
            return None
        limit = tracker.limit
        rate = str(max(1, int(limit.messages * 60 / limit.seconds))) if limit else "*"
        return Reply(200, headers={"webhook-allowed-origin": origin, "webhook-allowed-rate": rate, "allow": "POST"})

    def listed(self, tracker: Tracker, post: Post) -> Sequence[JsonValue]:
        """The events, each as in structured mode. Raises BadRequest: 415 for a form other than JSON, 400 if there is none."""
        kind = post.headers.get("content-type", "").strip().lower()
        if kind.startswith("application/cloudevents"):
            if not _JSON.match(kind):
                raise BadRequest("must be CloudEvents as JSON", field="content-type", status=415)
            return _many(parsed(post.body)) if kind.startswith("application/cloudevents-batch") else [parsed(post.body)]
        if "ce-specversion" in post.headers or "ce-id" in post.headers:
            return [_binary(post)]
        # Not as it should be, but there is no other thing that it could be.
        body = parsed(post.body)
        return _many(body) if isinstance(body, list) else [body]

    def event(self, tracker: Tracker, posted: JsonValue, post: Post, received_at: datetime) -> TrackerEvent | None:
        """One event. Raises Unusable."""
        event = {name: value for name, value in fields_of(posted).items() if value is not None}
        said = {name: _required(event, name) for name in _REQUIRED}
        if said["specversion"] != "1.0":
            raise Unusable("specversion", "must be 1.0")
        known = digest("cloudevent", tracker.name, said["source"], said["id"])
        data = _data(event)
        if tracker.mapping is not None:
            whole: dict[str, JsonValue] = {"time": iso(received_at), **event, "data": data, _KNOWN: known}
            return self._readers.of(tracker.mapping)(tracker, data if isinstance(data, dict) else {}, whole, received_at)
        payload = payload_of(data)
        return made(
            tracker,
            id=known,
            name=self.called(tracker, said["type"]),
            at=time_of(event["time"], "time") if "time" in event else received_at,
            received_at=received_at,
            anonymous_id=payload.anonymous_id,
            user_id=payload.user_id,
            identifiers=payload.identifiers,
            properties=payload.properties,
            traits=payload.traits,
        )


CONNECTOR = CloudEvents()


def _many(body: JsonValue) -> list[JsonValue]:
    """The events of a batch, which may be empty."""
    if not isinstance(body, list):
        raise BadRequest("must be a list of events", field="body")
    return bounded(body)


def _required(event: Map[str, JsonValue], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not value:
        raise Unusable(name, "must be there: a text that is not empty")
    return value


def _binary(post: Post) -> JsonValue:
    """A post in binary mode as the event would be in structured mode."""
    event: dict[str, JsonValue] = {
        name.removeprefix("ce-"): _unescaped(name, value) for name, value in post.headers.items() if name.startswith("ce-")
    }
    kind = post.headers.get("content-type", "")
    if not post.body:
        return event
    if not kind or _JSON.match(kind):
        return {**event, "data": parsed(post.body)}
    if kind.lower().startswith("text/"):
        return {**event, "data": post.body.decode(errors="replace")}
    return {**event, "data_base64": base64.b64encode(post.body).decode(), "datacontenttype": kind}


def _unescaped(name: str, value: str) -> str:
    """A header's value without what makes it one: in quotation marks perhaps, and then percent-encoded, once."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("must be UTF-8, percent-encoded", field=name) from None


def _data(event: Map[str, JsonValue]) -> JsonValue:
    """An event's data. What is not JSON can be in base64: then it is that text, or JSON if its type says so."""
    packed = event.get("data_base64")
    if packed is None:
        return event.get("data")
    kind = event.get("datacontenttype", "application/json")
    if not isinstance(packed, str) or not isinstance(kind, str) or not _JSON.match(kind):
        return packed
    try:
        return parsed(base64.b64decode(packed, validate=True))
    except (binascii.Error, ValueError, BadRequest):
        raise Unusable("data_base64", "must be the base64 of JSON, as datacontenttype says") from None
