from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import JsonValue, ValidationError

from connectors.base import Post, Rejected
from connectors.registry import TRACKERS
from shared.errors import BadRequest
from shared.jobs import TrackerEvent
from shared.trackers import Tracker

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLAIN: dict[str, Any] = {"name": "n", "time": "t"}


def tracker(mapping: dict[str, Any], **more: Any) -> Tracker:
    return Tracker.model_validate({"name": "pos", "format": "json", "proof": "none", "mapping": mapping, **more})


def read(of: Tracker, body: JsonValue) -> list[TrackerEvent | Rejected | None]:
    return TRACKERS.load("json").events(of, Post({}, json.dumps(body).encode()), lambda: NOW)


def event(of: Tracker, body: JsonValue) -> TrackerEvent:
    (one,) = read(of, body)
    assert isinstance(one, TrackerEvent), one
    return one


def fault(of: Tracker, body: JsonValue) -> tuple[str, str]:
    (one,) = read(of, body)
    assert isinstance(one, Rejected)
    assert json.loads(one.raw) == body
    return one.field, one.reason


def test_our_own_names_need_no_more_than_an_empty_mapping() -> None:
    body: dict[str, JsonValue] = {
        "name": "Signed In",
        "time": "2026-11-21T12:59:00+01:00",
        "anonymous_id": "a",
        "user_id": 7,
        "properties": {"a": [1]},
        "traits": {"email": "ada@example.com"},
    }
    one = event(tracker({}), body)
    assert one == TrackerEvent(
        id=one.id,
        tracker="pos",
        name="Signed In",
        at=NOW - timedelta(minutes=1),
        received_at=NOW,
        anonymous_id="a",
        user_id="7",
        properties={"a": [1]},
        traits={"email": "ada@example.com"},
    )
    assert len(one.id) == 32
    assert event(tracker({}), dict(reversed(body.items()))).id == one.id


def test_every_part_is_found_where_the_mapping_says() -> None:
    of = tracker(
        {
            "events": "data.list",
            "id": "meta.ids.1",
            "name": ["what", "kind"],
            "time": "when",
            "time_format": "milliseconds",
            "anonymous_id": "body.device",
            "user_id": ["who.crm", "who.web"],
            "identifiers": {"loyalty_id": "who.card", "email_sha256": "who.hash"},
            "properties": {
                "total": "order.total",
                "currency": {"value": "EUR"},
                "shop": "body.shop.name",
                "products": {"over": "order.lines", "fields": {"product_id": ["sku", "id"], "name": "title.de"}},
                "nothing": "order.absent",
            },
            "traits": {"email": "who.mail"},
        },
        names={"sale": "Order Completed"},
    )
    posted: JsonValue = {
        "device": "d-1",
        "shop": {"name": "Berlin"},
        "data": {
            "list": [
                {
                    "meta": {"ids": ["x", "e-9"]},
                    "what": "",
                    "kind": "sale",
                    "when": 1795262340000,
                    "who": {"crm": None, "web": "u-1", "card": 12, "mail": "ada@example.com"},
                    "order": {"total": 9.5, "lines": [{"sku": "lamp", "title": {"de": "Lampe"}}, {"id": 5}, 7]},
                }
            ]
        },
    }
    assert event(of, posted) == TrackerEvent(
        id="e-9",
        tracker="pos",
        name="Order Completed",
        at=datetime(2026, 11, 21, 11, 59, tzinfo=UTC),
        received_at=NOW,
        anonymous_id="d-1",
        user_id="u-1",
        identifiers=(("loyalty_id", "12"),),
        properties={
            "total": 9.5,
            "currency": "EUR",
            "shop": "Berlin",
            "products": [{"product_id": "lamp", "name": "Lampe"}, {"product_id": 5}, {}],
        },
        traits={"email": "ada@example.com"},
    )


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("iso", "2026-11-21T12:00:00Z"),
        ("seconds", 1795262400),
        ("seconds", "1795262400.0"),
        ("milliseconds", 1795262400000),
        ("microseconds", 1795262400000000),
    ],
)
def test_times_are_of_the_form_that_the_mapping_says(form: str, value: JsonValue) -> None:
    assert event(tracker({**PLAIN, "time_format": form}), {"n": "x", "t": value}).at == NOW


def test_what_has_no_time_happened_when_we_heard_of_it_if_the_mapping_says_so() -> None:
    assert event(tracker({"name": "n", "time": None}), {"n": "x"}).at == NOW


def test_a_name_may_be_the_same_for_all() -> None:
    of = tracker({"name": {"value": "Sale"}, "time": None}, names={"Sale": "Order Completed"})
    assert event(of, {"x": 1}).name == "Order Completed"
    for wrong in ("", None, 7, "x" * 201):
        with pytest.raises(ValidationError, match="a name of 1 to 200"):
            tracker({"name": {"value": wrong}})


@pytest.mark.parametrize(
    ("mapping", "body", "field", "reason"),
    [
        ({}, {"t": 1}, "n", "must be there: it is what the mapping takes the name from"),
        ({"name": ["n.a", "m"]}, {"n": {"a": ""}}, "n.a or m", "must be there: it is what the mapping takes the name from"),
        ({}, {"n": ["x"]}, "n", "must be a text"),
        ({}, {"n": "x"}, "t", "must be an ISO 8601 time with its zone, as in 2026-01-31T10:00:00Z"),
        ({"time": ["t", "u.v"]}, {"n": "x"}, "t or u.v", "must be an ISO 8601 time with its zone, as in 2026-01-31T10:00:00Z"),
        ({"time_format": "seconds"}, {"n": "x", "t": True}, "t", "must be a Unix time in seconds"),
        ({"time_format": "seconds"}, {"n": "x", "t": 1e300}, "t", "must be a Unix time in seconds"),
        ({"time": None, "user_id": "u"}, {"n": "x", "u": {}}, "u", "must be a text"),
        ({"time": None, "identifiers": {"c": "c.d"}}, {"n": "x", "c": {"d": 1.5}}, "c.d", "must be a text"),
        ({"time": None, "properties": "p"}, {"n": "x", "p": 7}, "p", "must be an object"),
        (
            {"time": None, "properties": {"l": {"over": "p.q", "fields": {"a": "b"}}}},
            {"n": "x", "p": {"q": 7}},
            "p.q",
            "must be a list",
        ),
        ({}, 7, "event", "must be an object"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(mapping: dict[str, Any], body: JsonValue, field: str, reason: str) -> None:
    of = tracker({**PLAIN, **mapping, "events": "e"})
    (one,) = read(of, {"e": [body]})
    assert isinstance(one, Rejected)
    assert (one.field, one.reason, json.loads(one.raw)) == (field, reason, body)


def test_a_bad_event_costs_no_other() -> None:
    good, bad, last = read(tracker(PLAIN), [{"n": "x", "t": "2026-11-21T12:00:00Z"}, 7, {"n": "y", "t": "2026-11-21T12:00:00Z"}])
    assert isinstance(good, TrackerEvent)
    assert isinstance(bad, Rejected)
    assert bad.index == 1
    assert isinstance(last, TrackerEvent)


@pytest.mark.parametrize(("body", "field"), [({"data": 7}, "data.list"), ({}, "data.list"), ([], "data.list")])
def test_a_body_without_events_where_the_mapping_says_is_refused(body: JsonValue, field: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read(tracker({"events": "data.list"}), body)
    assert (refused.value.status, refused.value.field) == (400, field)


def test_a_changed_mapping_is_another_and_many_may_be_used_by_turns() -> None:
    trackers = [tracker({"name": f"n{number}", "time": None}) for number in range(150)]
    for _ in range(2):
        for number, one in enumerate(trackers):
            assert event(one, {f"n{number}": "x", "n": "y"}).name == "x"


def test_where_a_value_is_once_for_all_events_is_within_the_body() -> None:
    of = tracker({"events": "list", "name": "body.name", "time": None, "properties": {"a": "body.list.0.a", "body": "body"}})
    first, second = read(of, {"name": "Sale", "list": [{"a": 1}, {"a": 2, "body": 3}]})
    assert isinstance(first, TrackerEvent)
    assert isinstance(second, TrackerEvent)
    assert (first.name, first.properties, second.properties) == ("Sale", {"a": 1}, {"a": 1, "body": 3})
