from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import JsonValue, ValidationError

from connectors.base import MAX_EVENTS, Post, Rejected
from connectors.registry import TRACKERS
from connectors.trackers.base import Reply
from shared.errors import BadRequest
from shared.jobs import TrackerEvent
from shared.trackers import Tracker

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = datetime(2026, 11, 21, 11, 59, tzinfo=UTC)
EVENT: dict[str, JsonValue] = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/shop",
    "type": "cart.filled",
    "time": "2026-11-21T11:59:00Z",
    "subject": "carts/7",
    "data": {"user_id": 7, "traits": {"first_name": "Ada"}, "product_id": "lamp"},
}
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json; charset=utf-8"


def tracker(**more: Any) -> Tracker:
    return Tracker.model_validate({"name": "grid", "format": "cloudevents", "proof": "none", **more})


def read(post: Post, **more: Any) -> list[TrackerEvent | Rejected | None]:
    return TRACKERS.load("cloudevents").events(tracker(**more), post, lambda: NOW)


def structured(body: object, kind: str = STRUCTURED) -> Post:
    return Post({"content-type": kind}, body if isinstance(body, bytes) else json.dumps(body).encode())


def binary(body: bytes = b'{"user_id":7,"traits":{"first_name":"Ada"},"product_id":"lamp"}', **headers: str) -> Post:
    attributes = {f"ce-{name}": str(value) for name, value in EVENT.items() if name != "data"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Post({**attributes, "content-type": "application/json", **named}, body)


def event(post: Post, **more: Any) -> TrackerEvent:
    (one,) = read(post, **more)
    assert isinstance(one, TrackerEvent), one
    return one


def test_all_three_modes_say_the_same() -> None:
    first = event(structured(EVENT))
    assert first == TrackerEvent(
        id=first.id,
        tracker="grid",
        name="cart.filled",
        at=AT,
        received_at=NOW,
        user_id="7",
        properties={"product_id": "lamp"},
        traits={"first_name": "Ada"},
    )
    assert read(structured([EVENT, EVENT], BATCH)) == [first, first]
    assert event(binary()) == first
    assert event(Post({}, json.dumps(EVENT).encode())) == first  # whoever forgets the content type
    assert read(structured([EVENT], "application/json")) == [first]


def test_an_event_is_known_by_its_source_and_id_together() -> None:
    ids = {event(structured({**EVENT, **change})).id for change in ({}, {"id": "e2"}, {"source": "/other"})}
    assert len(ids) == 3
    assert event(structured({**EVENT, "data": {"user_id": "7"}, "time": None})).id in ids


def test_a_batch_may_be_empty_but_not_endless() -> None:
    assert read(structured([], BATCH)) == []
    with pytest.raises(BadRequest, match="at most"):
        read(structured([1] * (MAX_EVENTS + 1), BATCH))
    with pytest.raises(BadRequest, match="list"):
        read(structured(EVENT, BATCH))


@pytest.mark.parametrize(
    ("sent", "subject"),
    [
        ("a%20b%22%25", 'a b"%'),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ('"quoted \\"twice\\""', 'quoted "twice"'),
        ("%2541", "%41"),
        ("100%", "100%"),
    ],
)
def test_a_headers_value_is_decoded_once(sent: str, subject: str) -> None:
    mapping = {"user_id": "user_id", "properties": {"subject": "body.subject"}}
    assert event(binary(ce_subject=sent), mapping=mapping).properties == {"subject": subject}


def test_a_header_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        read(binary(ce_subject="%ff"))
    assert refused.value.field == "ce-subject"


@pytest.mark.parametrize("missing", ["id", "source", "type", "specversion"])
def test_what_is_required_must_be_there(missing: str) -> None:
    for value in (None, "", 7):
        (one,) = read(structured({**EVENT, missing: value}))
        assert isinstance(one, Rejected)
        assert one.field == missing
    post = binary()
    (one,) = read(Post({k: v for k, v in post.headers.items() if k != f"ce-{missing}"}, post.body))
    assert isinstance(one, Rejected)
    assert one.field == missing


def test_another_version_is_rejected() -> None:
    (one,) = read(structured({**EVENT, "specversion": "0.3"}))
    assert isinstance(one, Rejected)
    assert (one.field, one.reason) == ("specversion", "must be 1.0")


def test_an_event_without_a_time_happened_when_we_heard_of_it() -> None:
    assert event(structured({**EVENT, "time": None})).at == NOW
    (one,) = read(structured({**EVENT, "time": "yesterday"}))
    assert isinstance(one, Rejected)
    assert one.field == "time"


@pytest.mark.parametrize(
    ("data", "properties"),
    [
        ({"data": {"user_id": "u", "properties": {"a": 1}, "b": 2}}, {"a": 1}),
        ({"data": None}, {}),
        ({"data": "text"}, {"data": "text"}),
        ({"data": [1]}, {"data": [1]}),
        ({"data": None, "data_base64": base64.b64encode(b'{"a": 1}').decode()}, {"a": 1}),
        ({"data": None, "data_base64": "AAE=", "datacontenttype": "image/png"}, {"data": "AAE="}),
        ({"data": None, "data_base64": "e30=", "datacontenttype": "application/vnd.acme+json"}, {}),
    ],
)
def test_data_of_every_form(data: dict[str, JsonValue], properties: dict[str, JsonValue]) -> None:
    assert event(structured({**EVENT, **data})).properties == properties


@pytest.mark.parametrize(
    ("body", "kind", "properties"),
    [
        (b"", "", {}),
        (b"caf\xc3\xa9", "text/plain", {"data": "café"}),
        (b"\x00\x01", "image/png", {"data": "AAE="}),
        (b'"a"', "application/json", {"data": "a"}),
        (b'{"a": 1}', "", {"a": 1}),
    ],
)
def test_a_body_in_binary_mode_is_what_its_type_says(body: bytes, kind: str, properties: dict[str, JsonValue]) -> None:
    assert event(binary(body, content_type=kind)).properties == properties


def test_base64_that_is_not_what_its_type_says_is_rejected() -> None:
    for packed in ("!", base64.b64encode(b"{").decode()):
        (one,) = read(structured({**EVENT, "data": None, "data_base64": packed}))
        assert isinstance(one, Rejected)
        assert one.field == "data_base64"


@pytest.mark.parametrize(
    "kind", ["application/cloudevents+avro", "application/cloudevents-batch+protobuf", "application/cloudevents"]
)
def test_a_form_other_than_json_is_refused(kind: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read(structured(EVENT, kind))
    assert refused.value.status == 415


def test_a_mapping_is_about_the_data_and_leaves_the_rest_to_the_event() -> None:
    mapping = {
        "user_id": ["customer.id", "body.subject"],
        "properties": {"order_id": "order.id", "source": "body.source"},
        "traits": {"email": "customer.mail"},
    }
    data: JsonValue = {"customer": {"mail": "ada@example.com"}, "order": {"id": 9}}
    one = event(structured({**EVENT, "data": data}), mapping=mapping, names={"cart.filled": "Product Added"})
    assert (one.id, one.name, one.at) == (event(structured(EVENT)).id, "Product Added", AT)
    assert (one.user_id, one.properties, one.traits) == (
        "carts/7",
        {"order_id": 9, "source": "/shop"},
        {"email": "ada@example.com"},
    )
    assert event(structured({**EVENT, "time": None, "data": data}), mapping=mapping).at == NOW


def test_a_mapping_may_say_where_id_name_and_time_are() -> None:
    mapping = {"id": "no", "name": "what", "time": "when", "time_format": "seconds", "properties": "p"}
    data: JsonValue = {"no": "n-1", "what": "Sale", "when": 1795262340, "user_id": "u"}
    one = event(structured({**EVENT, "data": data}), mapping=mapping)
    assert (one.id, one.name, one.at, one.user_id) == ("n-1", "Sale", AT, "u")
    with pytest.raises(ValidationError, match="without events"):
        tracker(mapping={"events": "list"})


def test_whoever_asks_may_deliver_and_hears_at_which_rate() -> None:
    connector = TRACKERS.load("cloudevents")
    asked = Post({"webhook-request-origin": "eventgrid.azure.net", "webhook-request-rate": "120"}, b"", method="OPTIONS")
    limited = tracker(limit={"messages": 10, "seconds": 5})
    for of, rate in ((tracker(), "*"), (limited, "120")):
        reply = connector.greeting(of, asked)
        assert isinstance(reply, Reply)
        assert (reply.status, dict(reply.headers)) == (
            200,
            {"webhook-allowed-origin": "eventgrid.azure.net", "webhook-allowed-rate": rate, "allow": "POST"},
        )
    for other in (Post({}, b"", method="OPTIONS"), Post({"webhook-request-origin": "a\r\nb"}, b"", method="OPTIONS"), binary()):
        assert connector.greeting(tracker(), other) is None
