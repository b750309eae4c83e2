"""Driving a connector's operation with answers that a test made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import SendbridgeError
from shared.exchange import Request, Response, run
from tests.contract.sample import Operation


@dataclass(frozen=True)
class Ended:
    """How an operation ended: what it asked, and what it raised or said of its only item, if it did not succeed."""

    asked: list[Request]
    error: SendbridgeError | None


def ended(operation: Operation, instead: Mapping[int, Response] | None = None) -> Ended:
    """Runs an operation. It gets its own answers, but for those given `instead`; the last one again if it asks for more."""
    asked: list[Request] = []

    def send(request: Request) -> Response:
        asked.append(request)
        step = min(len(asked), len(operation.answers)) - 1
        return (instead or {}).get(step, operation.answers[step])

    try:
        result = run(operation.start(), send)
    except SendbridgeError as error:
        return Ended(asked, error)
    items = result if isinstance(result, list) else []
    return Ended(asked, next((item for item in items if isinstance(item, SendbridgeError)), None))


def last(operation: Operation, response: Response) -> Mapping[int, Response]:
    """This response in place of an operation's last."""
    return {len(operation.answers) - 1: response}
