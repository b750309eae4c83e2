"""The table of outcomes, row by row: what the attempt came to, and what becomes of the message and of its job."""

from __future__ import annotations

import pytest

from connectors.esps.base import Outcome, Sent
from send_message.outcomes import OUTCOMES, Came, came_to
from shared.errors import Busy, Misconfigured, Permanent, Transient, Unknown
from shared.exchange import Response
from shared.ledger_rows import Status
from tests.aws import Aws
from tests.send_message.world import INTEGRATION, LEASE, World

TAKEN, REFUSED, NOT_TAKEN, NO_RIGHT = Response(202, {}, b'{"id": "pb_1"}'), Response(422), Response(503), Response(403)
NOBODY_KNOWS = Unknown("no answer")

ROWS: dict[tuple[Came, bool, bool], tuple[Response | Exception, Status, int, bool]] = {
    # (came, doubtful, keyed): (the answer, the ledger, jobs that come back, parked)
    ("taken", False, False): (TAKEN, "sent", 0, False),
    ("taken", False, True): (TAKEN, "sent", 0, False),
    ("taken", True, False): (TAKEN, "sent", 0, False),
    ("taken", True, True): (TAKEN, "sent", 0, False),
    ("refused", False, False): (REFUSED, "parked", 0, True),
    ("refused", False, True): (REFUSED, "parked", 0, True),
    ("refused", True, False): (REFUSED, "parked", 0, True),
    ("refused", True, True): (REFUSED, "parked", 0, True),
    ("not taken", False, False): (NOT_TAKEN, "waiting", 1, False),
    ("not taken", False, True): (NOT_TAKEN, "waiting", 1, False),
    ("not taken", True, False): (NOT_TAKEN, "unknown", 1, False),
    ("not taken", True, True): (NOT_TAKEN, "unknown", 1, False),
    ("misconfigured", False, False): (NO_RIGHT, "waiting", 1, False),
    ("misconfigured", False, True): (NO_RIGHT, "waiting", 1, False),
    ("misconfigured", True, False): (NO_RIGHT, "unknown", 1, False),
    ("misconfigured", True, True): (NO_RIGHT, "unknown", 1, False),
    ("nobody knows", False, False): (NOBODY_KNOWS, "unknown", 1, False),
    ("nobody knows", False, True): (NOBODY_KNOWS, "unknown", 1, False),
    ("nobody knows", True, False): (NOBODY_KNOWS, "unknown", 1, False),
    ("nobody knows", True, True): (NOBODY_KNOWS, "unknown", 1, False),
}


@pytest.fixture
def world(aws: Aws) -> World:
    return World(aws)


def test_every_row_is_tried() -> None:
    assert ROWS.keys() == OUTCOMES.keys()


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_of_the_table(world: World, row: tuple[Came, bool, bool]) -> None:
    (_, doubtful, keyed), (answer, status, back, parked) = row, ROWS[row]
    world.define("integration", INTEGRATION, idempotency_header="Idempotency-Key" if keyed else "", unknown="retry")
    job = world.job()
    if doubtful:
        world.esp.script = [NOBODY_KNOWS]
        assert world.deliver(job) == 1
        # With a key the same bytes go out again; without one, once nobody has told of it in time, as the integration says.
        world.aws.clock.forward(LEASE + 1 if keyed else 901)
    world.esp.script = [answer]
    assert world.deliver(job) == back
    assert world.message().status == status
    assert len(world.parked()) == parked
    assert (world.message().claim.tried_at > 0) == OUTCOMES[row].doubtful
    assert len(world.esp.requests) == 1 + doubtful
    if doubtful and keyed:
        assert world.esp.requests[0].body == world.esp.requests[1].body


@pytest.mark.parametrize(
    ("outcome", "posted", "came"),
    [
        (Sent("pb_1", 202, 0.1), True, "taken"),
        (Permanent("no"), True, "refused"),
        (Misconfigured("no right"), True, "misconfigured"),
        (Transient("429"), True, "not taken"),
        (Busy("a token is being fetched"), False, "not taken"),
        (Unknown("cut"), True, "nobody knows"),
        (Unknown("the token URL was cut"), False, "not taken"),
        (RuntimeError("a bug"), True, "nobody knows"),
        (RuntimeError("a bug before the post"), False, "not taken"),
    ],
    ids=repr,
)
def test_what_an_attempt_came_to(outcome: Outcome | Exception, posted: bool, came: Came) -> None:
    assert came_to(outcome, posted=posted) == came
