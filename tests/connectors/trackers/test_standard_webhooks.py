from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from connectors.base import MAX_EVENTS, Post, Rejected
from connectors.registry import TRACKERS
from shared.errors import BadRequest, Misconfigured
from shared.jobs import TrackerEvent
from shared.trackers import Tracker
from tests.sandbox.standard_webhooks import headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD = "whsec_" + "b2xk" * 8
NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
SHOP = Tracker(name="shop", secrets=(SecretStr(SECRET), SecretStr(OLD)))
EVENT = {"id": "e1", "name": "Product Added", "time": "2026-11-21T11:59:59.5Z", "anonymous_id": "a1"}


def posted(body: object, secret: str = SECRET) -> Post:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Post(headers(secret, "msg_1", int(NOW.timestamp()), raw), raw)


def read(body: object) -> list[TrackerEvent | Rejected | None]:
    return list(TRACKERS.load("standard_webhooks").events(SHOP, posted(body), lambda: NOW))


def rejected(body: object) -> tuple[str, str]:
    (one,) = read(body)
    assert isinstance(one, Rejected)
    assert json.loads(one.raw) == body
    return one.field, one.reason


def test_the_specifications_own_vector() -> None:
    body = b'{"test": 2432232314}'
    post = Post(
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        body,
    )
    TRACKERS.load("standard_webhooks").verify(SHOP, post, lambda: datetime.fromtimestamp(1614265330, UTC))


@pytest.mark.parametrize("secret", [SECRET, OLD])
def test_two_keys_are_valid_at_once(secret: str) -> None:
    TRACKERS.load("standard_webhooks").verify(SHOP, posted(EVENT, secret), lambda: NOW)


def test_any_other_key_or_body_or_time_is_refused() -> None:
    connector, good = TRACKERS.load("standard_webhooks"), posted(EVENT)
    for post, now in (
        (posted(EVENT, "whsec_" + "b3Ro" * 8), NOW),
        (Post(good.headers, good.body + b" "), NOW),
        (good, NOW + timedelta(seconds=301)),
        (Post({}, good.body), NOW),
    ):
        with pytest.raises(BadRequest) as refused:
            connector.verify(SHOP, post, lambda now=now: now)  # type: ignore[misc]
        assert refused.value.status == 401


def test_one_event_or_a_list_of_events() -> None:
    (one,) = read(EVENT)
    assert one == TrackerEvent(
        id="e1",
        tracker="shop",
        name="Product Added",
        at=NOW - timedelta(seconds=0.5),
        received_at=NOW,
        anonymous_id="a1",
    )
    assert read({"events": [EVENT, EVENT]}) == [one, one]


def test_what_else_the_visitor_is_called() -> None:
    (one,) = read(EVENT | {"identifiers": {"email_sha256": "ab", "loyalty_id": "7"}, "alias": True})
    assert isinstance(one, TrackerEvent)
    assert (one.identifiers, one.alias) == ((("email_sha256", "ab"), ("loyalty_id", "7")), True)
    (same,) = read(recommended(data={"user_id": "u1", "identifiers": {"email_sha256": "ab", "n": None, "loyalty_id": 7}}))
    assert isinstance(same, TrackerEvent)
    assert (same.identifiers, same.properties) == (one.identifiers, {})
    assert rejected(EVENT | {"identifiers": {"a": 7}})[0] == "identifiers.a"
    assert rejected(recommended(data={"identifiers": {"a": []}}))[0] == "data.identifiers.a"


def test_without_an_id_the_content_is_the_id() -> None:
    without = {key: value for key, value in EVENT.items() if key != "id"}
    shuffled = dict(reversed(without.items()))
    first, again, other = (
        read({"events": [without]})[0],
        read(shuffled)[0],
        read(without | {"properties": {"n": 1}})[0],
    )
    assert isinstance(first, TrackerEvent)
    assert isinstance(other, TrackerEvent)
    assert first == again
    assert len(first.id) == 32
    assert first.id != other.id


@pytest.mark.parametrize(
    ("change", "where", "reason"),
    [
        ({"nmae": 1}, "nmae", "no such field"),
        ({"name": None}, "name", "must be a text"),
        ({"name": 7}, "name", "must be a text"),
        ({"anonymous_id": 7}, "anonymous_id", "must be a text"),
        ({"properties": []}, "properties", "must be an object"),
        ({"traits": "x"}, "traits", "must be an object"),
        ({"time": 1763726400}, "time", "must be a text"),
        ({"time": "yesterday"}, "time", "must be an ISO 8601 time with its zone, as in 2026-01-31T10:00:00Z"),
        ({"time": "2026-11-21T12:00:00"}, "time", "must be an ISO 8601 time with its zone, as in 2026-01-31T10:00:00Z"),
        ({"time": "2026-11-21"}, "time", "must be an ISO 8601 time with its zone, as in 2026-01-31T10:00:00Z"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "time", "must be an ISO 8601 time with its zone, as in 2026-01-31T10:00:00Z"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], where: str, reason: str) -> None:
    assert rejected(EVENT | change) == (where, reason)


def test_what_is_missing_is_named() -> None:
    assert rejected({"id": "e1"}) == ("name", "must be there")


def test_what_is_no_event_is_rejected_beside_its_neighbours() -> None:
    first, second, third = read({"events": [7, EVENT, None]})
    assert isinstance(first, Rejected)
    assert (first.index, first.field, first.reason) == (0, "event", "must be an object")
    assert isinstance(second, TrackerEvent)
    assert isinstance(third, Rejected)


@pytest.mark.parametrize(
    "body",
    [[], 7, "x", None, {"events": {}}, {"events": []}, {"events": [EVENT], "more": 1}, {"events": [{}] * (MAX_EVENTS + 1)}],
)
def test_a_body_that_is_no_post_is_refused_whole(body: object) -> None:
    with pytest.raises(BadRequest) as refused:
        read(body)
    assert refused.value.status == 400


def test_times_are_kept_in_utc() -> None:
    (one,) = read(EVENT | {"time": "2026-11-21T13:30:00+01:30"})
    assert isinstance(one, TrackerEvent)
    assert one.at == NOW
    assert one.at.utcoffset() == timedelta(0)


def test_a_format_that_is_not_there_is_a_misconfiguration() -> None:
    with pytest.raises(Misconfigured, match="no tracker connector named 'telepathy'"):
        TRACKERS.load("telepathy")


def recommended(**changes: object) -> dict[str, object]:
    data = {"user_id": "u1", "traits": {"first_name": "Ada"}, "product_id": "lamp"}
    return {"type": "cart.filled", "timestamp": "2026-11-21T11:59:59.5Z", "data": data, **changes}


def test_the_body_that_the_specification_recommends_is_an_event() -> None:
    (one,) = read(recommended())
    assert isinstance(one, TrackerEvent)
    assert one == TrackerEvent(
        id=one.id,
        tracker="shop",
        name="cart.filled",
        at=NOW - timedelta(seconds=0.5),
        received_at=NOW,
        user_id="u1",
        properties={"product_id": "lamp"},
        traits={"first_name": "Ada"},
    )


def test_such_an_event_is_known_by_the_id_of_its_webhook_and_its_content() -> None:
    connector, raw = TRACKERS.load("standard_webhooks"), json.dumps(recommended()).encode()
    posts = [
        Post(headers(SECRET, message, int(NOW.timestamp()) + later, raw), raw)
        for message, later in (("msg_1", 0), ("msg_1", 60), ("msg_2", 0))
    ]
    ids = [one.id for post in posts for one in connector.events(SHOP, post, lambda: NOW) if isinstance(one, TrackerEvent)]
    assert ids[0] == ids[1] != ids[2]
    both = read({"events": [recommended(), recommended(data={"user_id": "u2"})]})
    assert len({one.id for one in both if isinstance(one, TrackerEvent)}) == 2


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"type": 1.5}, "type"),
        ({"type": ""}, "type"),
        ({"timestamp": None}, "timestamp"),
        ({"data": {"traits": 7}}, "data.traits"),
    ],
)
def test_what_is_wrong_with_such_an_event_is_named(change: dict[str, object], where: str) -> None:
    assert rejected(recommended(**change))[0] == where
