"""One post of an ESP: verified, split into engagements, and queued before it is answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.webhooks import read_post
from connectors.registry import ESPS
from shared.catalogue import Catalogue
from shared.clock import Clock
from shared.definitions import Integration
from shared.errors import BadRequest
from shared.ids import is_trial
from shared.jobs import Engagement, EngagementsJob
from shared.observe import logger
from shared.problem import answer, method_of, raw_body, url_of
from shared.queues import MAX_BODY, Queue, as_text, packed

MAX_POST = 5_000_000
"""Bytes of a post."""

_TOGETHER = 100
"""Engagements in one queue message: few enough to be recorded well within an invocation."""

_PARKED_SINGLY = 500
"""Bad events of a post that are kept one by one. A post with more has one fault, not many."""


@dataclass(frozen=True)
class Intake:
    """Where posts come from and go to."""

    integrations: Catalogue[Integration]
    engagements: Queue
    parked: Queue
    clock: Clock


def receive(event: dict[str, object], intake: Intake) -> dict[str, object]:
    """The answer to a post (API Gateway payload 2.0): 200 once SQS has all of it, as some ESPs repeat what is answered with 202.

    Raises BadRequest: 404 for an unknown integration, 413 for a body that is too large, and what the connector finds wrong.
    """
    parameters = cast("Mapping[str, str]", event.get("pathParameters") or {})
    headers = cast("Mapping[str, str]", event.get("headers") or {})
    found = intake.integrations.get(parameters.get("integration", ""))
    if found is None:
        raise BadRequest("there is no integration of this name", field="integration", status=404)
    integration = found.definition
    lower = {name.lower(): value for name, value in headers.items()}
    post = Post(lower, raw_body(event, MAX_POST), url_of(event), method_of(event))
    parsed = read_post(ESPS.load(integration.connector), integration, post, intake.clock)
    if parsed.greeting is not None:
        logger.info("the ESP greets", integration=integration.name, greeting={**parsed.greeting})
    # Whoever sends a test message sees the answer there and then: it is in no ledger.
    real = [engagement for engagement in parsed.engagements if not is_trial(engagement.message_id)]
    intake.engagements.send_all(_jobs(real))
    intake.parked.park_all(_to_park(parsed.problems), intake.clock)
    rejected: list[JsonValue] = [{"index": index, "reason": reason} for index, reason, _ in parsed.problems[:_PARKED_SINGLY]]
    return answer(200, {"accepted": len(parsed.engagements), "rejected": rejected})


def _jobs(engagements: Sequence[Engagement]) -> Iterator[EngagementsJob]:
    """As few queue messages as hold them all."""
    for some in packed(engagements, lambda one: len(as_text(one).encode()) + 1, most=_TOGETHER):
        yield EngagementsJob(engagements=tuple(some))


def _to_park(problems: Sequence[tuple[int, str, str]]) -> Iterator[tuple[str, str]]:
    for index, reason, raw in problems[:_PARKED_SINGLY]:
        yield raw[: MAX_BODY - 1000], f"event {index}: {reason}"
    if len(problems) > _PARKED_SINGLY:
        index, reason, raw = problems[_PARKED_SINGLY]
        left = len(problems) - _PARKED_SINGLY
        yield raw[: MAX_BODY - 1000], f"{left} more events of this post, of which this is the first (event {index}): {reason}"
