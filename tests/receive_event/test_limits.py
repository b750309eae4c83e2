"""A tracker's own throttle: kept by all functions together, for far less than a write a post."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from receive_event.posting import stretched
from shared.fields import Limit
from shared.limits import Limits
from shared.trackers import Tracker
from tests.aws import Aws
from tests.receive_event.receiver import Receiver

KEY = {"x-api-key": "a-key-0123456789"}
BODY = json.dumps({"name": "x", "time": "2026-11-21T12:00:00Z", "user_id": "u"}).encode()


@pytest.fixture
def writes(aws: Aws) -> Iterator[list[str]]:
    """What is written to DynamoDB."""
    seen: list[str] = []

    def saw(**_: Any) -> None:
        seen.append("UpdateItem")

    aws.dynamodb.meta.events.register("before-call.dynamodb.UpdateItem", saw)
    yield seen
    aws.dynamodb.meta.events.unregister("before-call.dynamodb.UpdateItem", saw)


def receiver(aws: Aws, name: str = "site", **limit: float) -> Receiver:
    """A process of its own."""
    wanted = {"name": name, "format": "json", "mapping": {}, "proof": "header", "secrets": [KEY["x-api-key"]], "limit": limit}
    at = Receiver(Tracker.model_validate(wanted), aws.clock())
    at.desk = replace(at.desk, grant=Limits(aws.dynamodb, aws.table("state"), aws.clock, Random(1)).take)
    return at


def test_who_posts_more_is_told_when_to_come_back(aws: Aws) -> None:
    at = receiver(aws, messages=10, seconds=60)
    answers = [at.ask(BODY, KEY) for _ in range(15)]
    assert [status for status, _, _ in answers] == [202] * 10 + [429] * 5
    assert all(1 <= int(headers["retry-after"]) <= 400 for _, headers, _ in answers[10:])
    assert len(at.taken()) == 10
    assert receiver(aws, "other", messages=10, seconds=60).ask(BODY, KEY)[0] == 202
    aws.clock.forward(70)
    assert at.ask(BODY, KEY)[0] == 202


def test_all_functions_keep_it_together(aws: Aws) -> None:
    one, two = (receiver(aws, messages=10, seconds=60) for _ in range(2))
    assert [at.ask(BODY, KEY)[0] for _ in range(6) for at in (one, two)] == [202] * 10 + [429] * 2


def test_a_stranger_uses_none_of_it_up(aws: Aws, writes: list[str]) -> None:
    at = receiver(aws, messages=2, seconds=60)
    assert {at.ask(BODY, {"x-api-key": "wrong"})[0] for _ in range(20)} == {401}
    assert writes == []
    assert [at.ask(BODY, KEY)[0] for _ in range(3)] == [202, 202, 429]


def test_a_post_does_not_cost_a_write(aws: Aws, writes: list[str]) -> None:
    at = receiver(aws, messages=1_000, seconds=1)

    def posts(seconds: int) -> int:
        """Twenty a second; the writes that they cost."""
        before = len(writes)
        for _ in range(2 * seconds):
            aws.clock.forward(0.5)
            assert {at.ask(BODY, KEY)[0] for _ in range(10)} == {202}
        return len(writes) - before

    assert posts(6) <= 65  # while its pace is not known yet
    assert posts(30) <= 15  # of 600 posts: about one for three seconds


def test_who_is_refused_costs_no_write(aws: Aws, writes: list[str]) -> None:
    at = receiver(aws, messages=1, seconds=60)
    at.ask(BODY, KEY)
    before = len(writes)
    assert {at.ask(BODY, KEY)[0] for _ in range(100)} == {429}
    assert len(writes) - before <= 1


def test_a_limit_is_kept_over_a_minute_at_least() -> None:
    assert stretched(Limit(messages=5, seconds=60)) == Limit(messages=5, seconds=60)
    assert stretched(Limit(messages=5, seconds=3600)) == Limit(messages=5, seconds=3600)
    for limit in (Limit(messages=100, seconds=1), Limit(messages=7, seconds=0.1), Limit(messages=3, seconds=45)):
        wide = stretched(limit)
        assert 60 <= wide.seconds < 60 + limit.seconds
        assert wide.messages / wide.seconds == pytest.approx(limit.messages / limit.seconds)
