"""An ESP that tells what became of a message has it: so a doubt is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.claims import Change, Claims
from shared.ledger_rows import Message, Status
from tests.aws import Aws
from tests.record_engagement.conftest import World

LEASE = 30


def become(world: World, status: Status, *, doubtful: bool) -> None:
    """Ada's message, which is claimed, becomes this."""
    was = world.message("ada")
    tried_at = was.claim.tried_at if doubtful else 0
    change = Change(was.id, status, replace(was.claim, until=0, tried_at=tried_at), was.hops, None, was)
    assert Claims(world.aws.dynamodb, world.aws.table("messages"), 86_400).change([change]) == [None]


def told(world: World) -> Message:
    assert world.record(world.engagement("ada", "delivered")) == 0
    return world.message("ada")


@pytest.mark.parametrize("status", ["unknown", "parked"])
def test_a_doubt_is_settled_as_sent_with_its_reason(world: World, status: Status) -> None:
    become(world, status, doubtful=True)
    message = told(world)
    assert (message.status, message.claim.tried_at) == ("sent", 0)
    assert [hop.reason for hop in message.trace if hop.what == "sent"] == ["the ESP's webhook tells of it"]
    assert message.engagements == {"e_ada_delivered": "delivered"}


def test_who_was_killed_after_the_post_is_settled_once_the_lease_is_over(world: World, aws: Aws) -> None:
    assert told(world).status == "sending"
    aws.clock.forward(LEASE + 1)
    assert told(world).status == "sent"


@pytest.mark.parametrize("status", ["waiting", "skipped", "parked", "sent"])
def test_what_is_certain_stays_as_it_is(world: World, status: Status) -> None:
    become(world, status, doubtful=False)
    assert told(world).status == status


def test_an_engagement_of_another_integration_settles_nothing(world: World) -> None:
    become(world, "unknown", doubtful=True)
    world.record(world.engagement("ada", "delivered", integration="another"))
    assert world.message("ada").status == "unknown"


def test_a_doubt_whose_engagement_was_recorded_before_a_crash_is_settled_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(world, "unknown", doubtful=True)

    def refuse(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as crashing:
        crashing.setattr(world.books.claims, "change", refuse)
        assert world.record(world.engagement("ada", "delivered")) == 1
    assert world.message("ada").status == "unknown"
    message = told(world)
    assert (message.status, len([hop for hop in message.trace if hop.what == "delivered"])) == ("sent", 1)
