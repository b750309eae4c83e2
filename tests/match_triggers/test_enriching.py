from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from match_triggers.enriching import Later, Pending, finish
from shared.entities import Entities, EntityRow
from shared.jobs import Hop, MessageJob
from shared.person import as_snapshot
from shared.profiles import Profiles
from shared.triggers import Trigger
from shared.visits import VisitEvent
from tests.aws import Aws
from tests.match_triggers.shop import START, cart_trigger

DUE = START + timedelta(hours=1)


class World:
    """The profiles and entities, and one person."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.profiles = Profiles(aws.dynamodb, aws.table("profiles"))
        self.entities = Entities(aws.dynamodb, aws.table("profiles"))
        self.ada = self.person("ada", first_name="Ada", country="DE", visits=3)

    def person(self, name: str, **attributes: JsonValue) -> str:
        return self.profiles.upsert([("user_id", name)], attributes, START)

    def put(self, entity: str, key: str, **attributes: JsonValue) -> None:
        self.entities.put(entity, [EntityRow(key=key, attributes=attributes)], START)

    def finish(self, *pending: Pending, now: datetime = DUE) -> Sequence[MessageJob | Later]:
        return finish(pending, self.profiles, self.entities, now)

    def finished(self, trigger: Trigger, events: Sequence[VisitEvent] = (), **changes: Any) -> MessageJob:
        (done,) = self.finish(Pending(self.job(**changes), trigger, events, DUE))
        assert isinstance(done, MessageJob)
        return done

    def job(self, **changes: Any) -> MessageJob:
        values: dict[str, Any] = {
            "message_id": "m_1",
            "trigger": "cart",
            "trigger_version": 1,
            "visit_id": "shop#a#1",
            "profile_id": self.ada,
            "decided": "send",
            "campaign": "carts",
            "delivery": "first",
            "template": "cart",
            "integration": "esp",
            "decided_at": DUE,
            "anchor_at": START,
            "valid_until": DUE + timedelta(days=1),
            "context": {"cart": [], "events": [], "event": {"properties": {"product_id": "sku-1"}}},
            "hops": [{"at": DUE, "hop": "match_triggers", "what": "timer"}, {"at": DUE, "hop": "match_triggers", "what": "send"}],
        }
        return MessageJob.model_validate(values | changes)


@pytest.fixture
def world(aws: Aws) -> World:
    return World(aws)


def event(name: str, second: float, **properties: JsonValue) -> VisitEvent:
    at = START + timedelta(seconds=second)
    return VisitEvent(id=f"{name}@{second}", name=name, at=at, received_at=at, matched_at=at, properties=properties)


def trace(job: MessageJob) -> list[tuple[str, str]]:
    return [(hop.what, hop.reason) for hop in job.hops]


def test_the_profile_travels_with_the_message(world: World) -> None:
    job = world.finished(cart_trigger())
    person = world.profiles.get(world.ada)
    assert person is not None
    assert job.profile == as_snapshot(person)
    assert job.model_copy(update={"profile": None}) == world.job()


def test_a_profile_that_is_too_large_to_travel_is_read_by_whoever_sends(world: World) -> None:
    world.person("ada", notes="x" * 17_000)
    assert world.finished(cart_trigger()).profile is None


def test_what_skips_is_not_touched_and_costs_nothing(world: World) -> None:
    skipped = world.job(decided="skip", reason="order placed")
    trigger = cart_trigger(audience=[{"path": "country", "equals": "FR"}])
    assert world.finished(trigger, decided="skip", reason="order placed") == skipped


def test_somebody_who_was_deleted_just_now_is_left_to_whoever_sends(world: World) -> None:
    assert world.finished(cart_trigger(requires=["profile.first_name"], if_missing="drop"), profile_id="p_gone").profile is None


def test_who_was_joined_with_somebody_else_is_that_one(world: World) -> None:
    other = world.profiles.upsert([("user_id", "guest")], {"plan": "free"}, START)
    one = world.profiles.upsert([("user_id", "guest"), ("user_id", "ada")], {}, START, alias=True)
    job = world.finished(cart_trigger(), profile_id=max(other, world.ada))
    assert job.profile_id == one
    assert job.profile is not None
    assert job.profile["id"] == one


@pytest.mark.parametrize(("country", "decided"), [("DE", "send"), ("FR", "skip")])
def test_only_the_audience_gets_it(world: World, country: str, decided: str) -> None:
    job = world.finished(cart_trigger(audience=[{"path": "country", "equals": country}, {"path": "visits", "above": 2}]))
    assert job.decided == decided
    if decided == "skip":
        assert job.reason == "not in the audience"
        assert job.profile is None
        assert trace(job) == [("timer", ""), ("skip", "not in the audience")]


def test_a_time_in_an_audience_counts_from_the_deadline(world: World) -> None:
    world.person("ada", member_since=(DUE - timedelta(days=6, hours=23)).isoformat())
    newcomers = [{"path": "member_since", "after": "-P7D"}]
    assert world.finished(cart_trigger(audience=newcomers)).decided == "send"
    longer = cart_trigger(audience=[{"path": "member_since", "after": "-P6D"}])
    assert world.finished(longer).decided == "skip"


VISIT = [
    event("Product Viewed", 1, product_id="sku-1", price=5, category="a"),
    event("Product Viewed", 2, product_id="sku-2", price=None, category="b"),
    event("Products Searched", 3, query="shoes"),
    event("Product Viewed", 4, product_id="sku-1", category="a"),
]


@pytest.mark.parametrize(
    ("metadata", "value"),
    [
        ({"path": "product_id"}, "sku-1"),
        ({"path": "category", "take": "first"}, "a"),
        ({"path": "category", "take": "all"}, ["a", "b"]),
        ({"path": "price"}, 5),
        ({"path": "query", "event": "Products Searched"}, "shoes"),
        ({"path": "query", "event": "Product Viewed", "take": "all"}, []),
        ({"path": "nothing", "take": "all"}, []),
    ],
)
def test_metadata_of_the_visit(world: World, metadata: dict[str, JsonValue], value: JsonValue) -> None:
    assert world.finished(cart_trigger(metadata={"it": metadata}), VISIT).context["metadata"] == {"it": value}


def test_metadata_that_no_event_has_is_not_there(world: World) -> None:
    trigger = cart_trigger(metadata={"none": {"path": "none"}, "query": {"path": "query"}})
    assert world.finished(trigger, VISIT).context["metadata"] == {"query": "shoes"}


def test_a_row_of_an_entity_by_any_variable(world: World) -> None:
    world.put("products", "sku-1", name="Shoe", price=49.9)
    world.put("products", "sku-2", name="Sock")
    world.put("stores", "DE", city="Bonn")
    trigger = cart_trigger(
        metadata={"seen": {"path": "product_id", "take": "all"}},
        lookups={
            "product": {"entity": "products", "key": "event.properties.product_id"},
            "store": {"entity": "stores", "key": "profile.country"},
            "second": {"entity": "products", "key": "metadata.seen.1"},
            "gone": {"entity": "stores", "key": "event.properties.product_id"},
            "unsaid": {"entity": "stores", "key": "event.properties.store"},
        },
    )
    assert world.finished(trigger, VISIT).context["lookup"] == {
        "product": {"name": "Shoe", "price": 49.9},
        "store": {"city": "Bonn"},
        "second": {"name": "Sock"},
    }


REQUIRED = {
    "lookups": {"product": {"entity": "products", "key": "event.properties.product_id"}},
    "requires": ["profile.first_name", "lookup.product.name", "event.properties.product_id"],
}


def test_a_complete_message_goes_out_at_once(world: World) -> None:
    world.put("products", "sku-1", name="Shoe")
    for rule in ("send", "wait", "drop"):
        assert trace(world.finished(cart_trigger(**REQUIRED, if_missing=rule)))[-1] == ("send", "")


def test_an_incomplete_message_may_go_out_and_the_trace_says_so(world: World) -> None:
    job = world.finished(cart_trigger(**REQUIRED))
    assert job.decided == "send"
    assert trace(job) == [("timer", ""), ("send", "")]
    assert job.hops[-1].data == {"missing": ["lookup.product.name"]}


def test_an_incomplete_message_may_be_dropped(world: World) -> None:
    nameless = world.person("bob", first_name="")
    job = world.finished(cart_trigger(**REQUIRED, if_missing="drop"), profile_id=nameless)
    assert (job.decided, job.reason) == ("skip", "missing: profile.first_name, lookup.product.name")


def test_an_incomplete_message_may_wait_a_minute_at_a_time(world: World) -> None:
    trigger = cart_trigger(**REQUIRED, if_missing="wait", missing_wait_seconds=150)
    pending = Pending(world.job(), trigger, (), DUE)
    for seconds, then in ((0, 60), (60, 120), (120, 150)):
        now = DUE + timedelta(seconds=seconds)
        assert world.finish(pending, now=now) == [Later(DUE + timedelta(seconds=then))]
    (dropped,) = world.finish(pending, now=DUE + timedelta(seconds=150))
    assert isinstance(dropped, MessageJob)
    assert (dropped.decided, dropped.reason) == ("skip", "missing: lookup.product.name")
    world.put("products", "sku-1", name="Shoe")
    (sent,) = world.finish(pending, now=DUE + timedelta(seconds=149))
    assert isinstance(sent, MessageJob)
    assert sent.decided == "send"


def test_decisions_that_fall_due_together_are_read_for_at_once(world: World) -> None:
    world.put("products", "sku-1", name="Shoe")
    people = [world.person(str(number), first_name=str(number)) for number in range(20)]
    trigger, calls = cart_trigger(**REQUIRED), []

    def count(model: Any, **_: object) -> None:
        calls.append(model.name)

    world.aws.dynamodb.meta.events.register("before-call.*", count)
    done = world.finish(*(Pending(world.job(profile_id=one), trigger, (), DUE) for one in people))
    assert [job.profile_id for job in done if isinstance(job, MessageJob)] == people
    assert calls == ["BatchGetItem", "BatchGetItem"]


def test_whatever_is_known_a_message_fits_its_queue(world: World) -> None:
    """256 kB: all that may be large is as large as it may be."""
    large = "ä" * 7_900
    world.person("ada", note="x" * 15_000)
    for number in range(10):
        world.put("products", f"sku-{number}", text=large)
    events = [event("Product Viewed", number, **{f"p{number}": "x" * 9_000}) for number in range(20)]
    trigger = cart_trigger(
        metadata={f"m{number}": {"path": f"p{number}"} for number in range(20)},
        lookups={f"l{number}": {"entity": "products", "key": f"event.properties.k{number}"} for number in range(10)},
    )
    most: list[JsonValue] = ["x" * 59_000]
    keys: JsonValue = {"properties": {**{f"k{number}": f"sku-{number}" for number in range(10)}, "rest": "x" * 31_000}}
    context: dict[str, JsonValue] = {"cart": most, "events": most, "event": keys}
    hops = [Hop(at=DUE, hop="receive_event", what="x" * 200)] * 6
    job = world.finished(trigger, events, context=context, hops=hops)
    assert job.context["metadata"] == {"m0": "x" * 9_000}
    assert job.context["lookup"] == {f"l{number}": {"text": large} for number in range(3)}
    assert job.profile is not None
    assert len(job.model_dump_json().encode()) < 256 * 1024
    assert len(json.dumps(job.context)) > 200_000
