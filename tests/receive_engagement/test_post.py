"""A post is verified, split and queued; whatever is in it, the answer says what became of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Esp
from receive_engagement import handler
from receive_engagement.post import Intake, receive
from receive_engagement.settings import Settings
from shared.catalogue import Definitions
from shared.definitions import Integration, Webhook
from shared.queues import MAX_BODY, Queue
from tests.aws import Aws
from tests.receive_engagement.conftest import INTEGRATION, SECRET, World, events, handle, post, sample


def test_the_sample_has_three_good_events_and_a_bad_one(aws: Aws, world: World) -> None:
    definitions = Definitions(aws.table("definitions"), aws.dynamodb, aws.clock, 0)
    engagements, parked = (Queue(aws.sqs, aws.queue(name)) for name in ("engagements", "engagements-parked"))
    answer = receive(sample(), Intake(definitions.catalogue(Integration), engagements, parked, aws.clock))
    body = json.loads(str(answer["body"]))
    assert (answer["statusCode"], body["accepted"]) == (200, 3)
    assert [rejected["index"] for rejected in body["rejected"]] == [2]
    kinds = [(engagement.message_id, engagement.type, engagement.hard) for engagement in world.engagements()]
    assert kinds == [("m_ada", "clicked", False), ("m_ada", "delivered", False), ("m_grace", "bounced", True)]
    ((reason, raw),) = world.parked()
    assert "must be a time" in reason
    assert json.loads(raw)["id"] == "evt_3"


def test_a_repeated_post_makes_the_same_engagements(world: World) -> None:
    for _ in range(2):
        assert world.ask(post(events({}, {})))[0] == 200
    assert len({engagement.id for engagement in world.engagements()}) == 2


def test_an_unknown_integration_is_a_404(world: World) -> None:
    status, problem = world.ask(post(events({}), name="nobody"))
    assert (status, problem["field"]) == (404, "integration")


@pytest.mark.parametrize(
    ("event", "status", "says"),
    [
        (post(events({}), secret="whsec_" + base64.b64encode(b"x" * 32).decode()), 401, "does not match"),
        (post(events({}), at=1_700_000_000), 401, "300 s"),
        ({**post(events({})), "body": base64.b64encode(events({}, {})).decode()}, 401, "does not match"),
        ({**post(events({})), "headers": {}}, 401, "webhook-id is missing"),
        ({**post(events({})), "headers": None}, 401, "webhook-id is missing"),
        ({**post(events({})), "body": None}, 401, "does not match"),
        ({**post(events({})), "body": "%%%"}, 400, "UTF-8"),
        (post(b"\xff\xfe"), 400, "UTF-8"),
        (post(b"{"), 400, "JSON"),
        (post(b'{"events": 5}'), 400, "list of events"),
        (post(b"[" * 10_000 + b"]" * 10_000), 400, "nested deeper"),
        (post(b" " * 5_000_001), 413, "5000000"),
    ],
)
def test_a_bad_post_is_refused_with_why(world: World, event: dict[str, object], status: int, says: str) -> None:
    answered, problem = world.ask(event)
    assert (answered, says in str(problem["detail"])) == (status, True)
    assert world.jobs() == []
    assert world.parked() == []


@pytest.mark.parametrize(
    "bad",
    [
        {"time": 5e300},
        {"time": "0001-01-01T00:00:00Z"},
        {"time": "9999-01-01T00:00:00Z"},
        {"type": ["message.opened"]},
        {"metadata": {}},
        {"metadata": {"message_id": {"a": 1}}},
        {"time": "2006-11-21T11:58:00Z", "metadata": None},
        {"time": "x" * 1_000_000},
    ],
)
def test_one_bad_event_is_parked_and_its_neighbours_are_taken(world: World, bad: dict[str, JsonValue]) -> None:
    status, body = world.ask(post(events({}, bad, {})))
    assert (status, body["accepted"]) == (200, 2)
    assert len(world.engagements()) == 2
    assert len(world.parked()) == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"unknown": {"field": [1]}},
        {"url": "x" * 1_000_000},
        {"type": "message.never_heard_of"},
        {"url": "\ufffe\uffff"},
        {"url": "a\x00b"},
        {"url": "half a pair: \ud800", "type": "message.clicked"},
        {"bounce": "not an object"},
    ],
)
def test_what_is_odd_but_readable_is_taken(world: World, odd: dict[str, JsonValue]) -> None:
    assert world.ask(post(events(odd))) == (200, {"accepted": 1, "rejected": []})
    assert all(character not in body for body in world.aws.received("engagements") for character in "\x00\ufffe\uffff")


def test_a_large_post_is_split_into_queue_messages(world: World) -> None:
    long, short = {"url": "u" * 1900}, dict[str, str]()
    assert world.ask(post(events(*[long] * 500, *[short] * 500)))[0] == 200
    jobs = world.jobs()
    assert sum(len(job.engagements) for job in jobs) == 1000
    assert max(len(job.engagements) for job in jobs) == 100
    assert max(len(job.model_dump_json()) for job in jobs) < MAX_BODY + 100


def test_a_post_of_nothing_but_bad_events_is_answered_and_kept_in_outline(world: World) -> None:
    body = json.dumps({"events": list(range(20_000))}).encode()
    status, answer = world.ask(post(body))
    rejected = answer["rejected"]
    assert isinstance(rejected, list)
    assert (status, len(rejected)) == (200, 500)
    reasons = [reason for reason, _ in world.parked()]
    assert len(reasons) == 501
    assert sum(reason.startswith("19500 more events") for reason in reasons) == 1


def test_no_events_are_fine(world: World) -> None:
    assert world.ask(post(b'{"events": []}')) == (200, {"accepted": 0, "rejected": []})


def test_while_sqs_does_not_answer_the_esp_is_asked_to_repeat(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDBRIDGE_ENGAGEMENTS_QUEUE_URL", settings.engagements_queue_url + "-gone")
    handler._intake.cache_clear()
    answer = handle(post(events({})))
    assert answer["statusCode"] == 429
    assert answer["headers"] == {"content-type": "application/problem+json", "retry-after": "10"}


def test_a_malformed_secret_of_ours_is_not_the_esps_fault(world: World, caplog: pytest.LogCaptureFixture) -> None:
    webhook = {"secrets": ["whsec_tooshort"], "events": "events", "types": {}}
    world.aws.define("integration", **INTEGRATION | {"webhook": webhook})
    assert world.ask(post(events({})))[0] == 429
    logged = "\n".join(str(vars(record)) for record in caplog.records)
    assert "tooshort" not in logged
    assert "signing secret" in logged


def test_a_refused_post_shows_no_secret_and_no_address(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.ask(post(events({"recipient": "ada@example.com"}), at=5))
    logged = "\n".join(str(vars(record)) for record in caplog.records)
    assert "300 s" in logged
    assert SECRET.removeprefix("whsec_") not in logged
    assert "ada@example.com" not in logged


class Greeted(Esp):
    """An ESP that first looks whether somebody answers."""

    def greeting(self, webhook: Webhook, post: Post) -> Mapping[str, str] | None:
        return {"method": post.method} if post.method == "HEAD" else None


def test_what_only_looks_whether_somebody_answers_is_answered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receive_engagement.post.ESPS", SimpleNamespace(load=lambda _: Greeted()))
    request = {"requestContext": {"http": {"method": "HEAD"}}, "pathParameters": {"integration": "postbird"}}
    assert world.ask(dict(request)) == (200, {"accepted": 0, "rejected": []})
    assert world.ask({**request, "requestContext": {"http": {"method": "GET"}}})[0] == 401
    assert world.jobs() == []


def test_events_of_test_messages_are_taken_and_forgotten(world: World) -> None:
    status, answer = world.ask(post(events({"metadata": {"message_id": "m_test_1"}}, {})))
    assert (status, answer["accepted"], answer["rejected"]) == (200, 2, [])
    assert [engagement.message_id for engagement in world.engagements()] == ["m_ada"]
