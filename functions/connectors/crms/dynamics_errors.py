"""What Dataverse's answers mean. Codes: Microsoft, "Web service error codes"."""

from __future__ import annotations

from connectors.crms.timeline import ContactGone
from shared.clock import Clock
from shared.errors import Permanent, SendbridgeError, Transient, outcome_of_status
from shared.exchange import Response
from shared.mapping import text_at
from shared.scrub import scrub

_NOT_FOUND = "0x80040217"
_DUPLICATE_KEY = "0x80060892"


def problem_of(answer: Response, clock: Clock) -> SendbridgeError | None:
    """The outcome of an answer; None for success. Its reason has the vendor's code and message, without personal data."""
    if 200 <= answer.status < 300:
        return None
    code, message = _error(answer)
    reason = " ".join(filter(None, (f"Dynamics: HTTP {answer.status}", code, scrub(message))))
    if answer.status == 404 and code == _NOT_FOUND and "contact" in message.lower():
        return ContactGone(reason)
    return outcome_of_status(answer.status, reason, retry_after=answer.retry_after(clock))


def problem_of_create(answer: Response, clock: Clock) -> SendbridgeError | None:
    """Like `problem_of`, for a create-only write: that the record is there already (412) is success."""
    problem = problem_of(answer, clock)
    if answer.status == 412 and _error(answer)[0] != _DUPLICATE_KEY:
        return None
    return problem


def worst(problems: list[SendbridgeError | None]) -> SendbridgeError | None:
    """The one of several problems that decides what happens to all: what may pass comes before what will not."""
    found = [problem for problem in problems if problem is not None]
    return min(found, key=lambda problem: isinstance(problem, Permanent), default=None)


def _error(answer: Response) -> tuple[str, str]:
    try:
        body = answer.json()
    except Transient:
        return "", ""
    return text_at(body, "error.code", limit=20), text_at(body, "error.message")
