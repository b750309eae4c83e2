"""Who gets the message, and what it knows, through the whole function."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

import boto3
import pytest

from match_triggers.handler import App, compose
from shared.entities import EntityRow
from shared.jobs import EventsJob, MessageJob, TimerJob, TrackerEvent
from tests.aws import Aws
from tests.crash import Executioner, Killed
from tests.match_triggers.shop import arrived, cart_trigger, put_trigger, settings_of, tracker_event
from tests.people import found


def login(second: float, user: str, **traits: Any) -> TrackerEvent:
    return tracker_event("Signed In", second, user_id=user, traits=traits)


ADDED = tracker_event("Product Added", 1, properties={"product_id": "lamp"})


class Shop:
    """The function with some triggers; what it is told, and what it decides once all is due."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.app = self.started()

    def started(self) -> App:
        return compose(settings_of(self.aws), self.aws.dynamodb, self.aws.sqs, self.aws.clock)

    def trigger(self, **changes: Any) -> None:
        put_trigger(self.aws, cart_trigger(**changes))
        self.app = self.started()

    def told(self, *events: TrackerEvent) -> None:
        assert self.app.invoked(self.aws.delivery("events", arrived(*events))) == {"batchItemFailures": []}

    def look(self) -> None:
        """Has every row that is due looked at."""
        rows = self.aws.dynamodb.scan(TableName=self.aws.table("visits"))["Items"]
        due = tuple(row["pk"]["S"] for row in rows if "due_at" in row)
        if due:
            assert self.app.invoked(self.aws.delivery("timers", TimerJob(visit_ids=due))) == {"batchItemFailures": []}

    def decided(self, seconds: float = 7200) -> list[MessageJob]:
        self.aws.clock.forward(seconds)
        self.look()
        return [MessageJob.model_validate_json(body) for body in self.aws.received("messages")]

    def owner(self, namespace: str, value: str) -> str:
        (one,) = found(self.app.desk.profiles, [(namespace, value)])
        return one


@pytest.fixture
def shop(aws: Aws) -> Shop:
    return Shop(aws)


def test_what_somebody_did_before_they_said_who_they_are_counts(shop: Shop) -> None:
    shop.trigger()
    shop.told(ADDED)
    shop.told(login(60, "ada", email="ada@example.com"))
    (job,) = shop.decided()
    assert (job.decided, job.profile_id) == ("send", shop.owner("user_id", "ada"))
    assert job.profile is not None
    assert job.context["cart"] == [{"product_id": "lamp", "quantity": 1}]


def test_who_logs_in_on_another_tracker_event_without_traits_is_known_as_well(shop: Shop) -> None:
    shop.trigger()
    shop.told(tracker_event("Signed Up", -900, anonymous_id="phone", user_id="ada", traits={"email": "ada@example.com"}))
    shop.told(ADDED)
    shop.told(tracker_event("Page Viewed", 60, user_id="ada"))
    (job,) = shop.decided()
    assert (job.decided, job.profile_id) == ("send", shop.owner("user_id", "ada"))


def test_by_the_hash_of_an_address_alone(shop: Shop) -> None:
    shop.trigger()
    shop.told(tracker_event("Signed Up", -900, anonymous_id="phone", user_id="ada", traits={"email": "Ada@example.com"}))
    sha = hashlib.sha256(b"ada@example.com").hexdigest()
    shop.told(ADDED, tracker_event("Page Viewed", 2, identifiers=[("email_sha256", sha.upper())]))
    (job,) = shop.decided()
    assert (job.decided, job.profile_id) == ("send", shop.owner("user_id", "ada"))


def test_several_people_on_one_device_get_nothing_and_the_trace_says_who(shop: Shop) -> None:
    shop.trigger()
    shop.told(ADDED, login(2, "ada", email="ada@example.com"), login(3, "bob", email="bob@example.com"))
    (job,) = shop.decided()
    assert (job.decided, job.reason, job.profile_id) == ("skip", "several profiles", None)
    assert job.hops[-1].data["profiles"] == sorted([shop.owner("user_id", "ada"), shop.owner("user_id", "bob")])


def test_the_most_trusted_name_decides(shop: Shop) -> None:
    shop.trigger(identity=["user_id", "ecid"])
    shop.told(tracker_event("Signed Up", -9, anonymous_id="x", identifiers=[("ecid", "device")], traits={"city": "Bonn"}))
    shop.told(tracker_event("Signed In", 2, user_id="ada", identifiers=[("ecid", "device")], traits={"city": "Ulm"}), ADDED)
    (job,) = shop.decided()
    assert (job.decided, job.profile_id) == ("send", shop.owner("user_id", "ada"))
    assert job.hops[-1].data["identified_by"] == "user_id"


def test_two_names_that_an_alias_makes_one_get_the_message(shop: Shop) -> None:
    shop.trigger()
    shop.told(ADDED, login(2, "guest", email="guest@example.com"), login(3, "ada", first_name="Ada"))
    shop.told(tracker_event("Alias", 4, user_id="ada", identifiers=[("user_id", "guest")], alias=True))
    (job,) = shop.decided()
    assert job.decided == "send"
    assert job.profile_id == shop.owner("user_id", "ada") == shop.owner("user_id", "guest")
    assert job.profile is not None
    assert job.profile["attributes"] == {"email": "guest@example.com", "first_name": "Ada"}


def test_a_message_knows_what_its_trigger_asks_for(shop: Shop) -> None:
    shop.app.desk.entities.put("products", [EntityRow(key="lamp", attributes={"name": "Lamp"})], shop.aws.clock())
    shop.trigger(
        audience=[{"path": "country", "equals": "DE"}],
        metadata={"seen": {"path": "product_id", "take": "all"}},
        lookups={"product": {"entity": "products", "key": "event.properties.product_id"}},
        requires=["lookup.product.name"],
        if_missing="drop",
    )
    shop.told(ADDED, login(2, "ada", country="DE"))
    shop.told(tracker_event("Product Added", 1, anonymous_id="b2"), tracker_event("A", 2, anonymous_id="b2", user_id="ada"))
    bob = tracker_event("Signed In", 2, anonymous_id="b3", user_id="bob", traits={"country": "FR"})
    shop.told(tracker_event("Product Added", 1, anonymous_id="b3"), bob)
    jobs = {job.visit_id[-2:]: job for job in shop.decided()}
    assert jobs["-1"].context["lookup"] == {"product": {"name": "Lamp"}}
    assert jobs["-1"].context["metadata"] == {"seen": ["lamp"]}
    assert {key: (job.decided, job.reason) for key, job in jobs.items()} == {
        "-1": ("send", ""),
        "b2": ("skip", "missing: lookup.product.name"),
        "b3": ("skip", "not in the audience"),
    }


def test_what_is_missing_is_waited_for(shop: Shop) -> None:
    shop.trigger(requires=["profile.first_name"], if_missing="wait", missing_wait_seconds=600)
    shop.told(ADDED, login(2, "ada", email="ada@example.com"))
    assert shop.decided(3603) == []
    for _ in range(3):
        assert shop.decided(61) == []
    shop.told(login(3700, "ada", first_name="Ada"))
    (job,) = shop.decided(61)
    assert job.decided == "send"


def test_what_is_never_learnt_is_not_waited_for_for_ever(shop: Shop) -> None:
    shop.trigger(requires=["profile.first_name"], if_missing="wait", missing_wait_seconds=600)
    shop.told(ADDED, login(2, "ada", email="ada@example.com"))
    assert shop.decided(3603) == []
    (job,) = shop.decided(601)
    assert (job.decided, job.reason) == ("skip", "missing: profile.first_name")


def plan_trigger(**changes: Any) -> dict[str, Any]:
    return {
        "name": "plan",
        "type": "profile_change",
        "must_include": [{"changed": "plan", "where": [{"path": "new", "equals": "gold"}]}],
        "must_not_include": [],
        "wait_seconds": 60,
    } | changes


def test_a_change_of_an_attribute_becomes_a_message_to_that_person(shop: Shop) -> None:
    shop.trigger(**plan_trigger(audience=[{"path": "plan", "equals": "gold"}]))
    shop.told(login(1, "ada", plan="free", email="ada@example.com"))
    assert shop.decided(120) == []
    shop.told(login(200, "ada", plan="gold"), login(200, "bob", plan="silver"))
    (job,) = shop.decided(160)
    assert (job.decided, job.profile_id) == ("send", shop.owner("user_id", "ada"))
    assert job.context["event"]["properties"] == {"attribute": "plan", "old": "free", "new": "gold"}  # type: ignore[call-overload,index]
    shop.told(login(201, "ada", plan="gold"), login(200, "ada", plan="gold"))
    assert shop.decided() == []


def test_a_change_is_told_whatever_call_the_function_dies_at(shop: Shop) -> None:
    """The event comes again, and by then the profile has it already."""
    shop.trigger(**plan_trigger())
    for moment in range(40):
        user = f"u{moment}"
        shop.told(login(1, user, plan="free"))
        executioner = Executioner(moment)
        dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")
        executioner.watch(dynamodb)
        executioner.watch(sqs)
        changed = EventsJob(events=(login(2, user, plan="gold"),))
        dying = compose(settings_of(shop.aws), dynamodb, sqs, shop.aws.clock)
        with contextlib.suppress(Killed):
            dying.invoked(shop.aws.delivery("events", changed))
        shop.told(*changed.events)
        if executioner.calls <= moment:
            break
    assert 8 < moment < 39
    jobs = shop.decided()
    assert {job.profile_id for job in jobs} == {shop.owner("user_id", f"u{number}") for number in range(moment + 1)}
    assert {job.decided for job in jobs} == {"send"}
    assert len({job.message_id for job in jobs}) == moment + 1
