"""Logs and metrics of a function: structured, by id, never with an address, a name or a secret."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from pathlib import Path

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from shared.aws import take_calls

logger = Logger(service="sendbridge")

NAMESPACE = "Sendbridge"

Handler = Callable[[dict[str, object], object], object]


def observed(handler: Handler) -> Handler:
    """Wraps a Lambda handler: at log level DEBUG it says what each invocation called, also a failed one."""

    @functools.wraps(handler)
    def wrapper(event: dict[str, object], context: object) -> object:
        take_calls()
        try:
            return handler(event, context)
        finally:
            logger.debug("invocation", calls=take_calls())

    return wrapper


def count(name: str, environment: str, value: float = 1, **dimensions: str) -> None:
    """Emits one metric (embedded metric format: a log line, no API call)."""
    with single_metric(name=name, unit=MetricUnit.Count, value=value, namespace=NAMESPACE) as metric:
        metric.add_dimension("environment", environment)
        for key, text in dimensions.items():
            metric.add_dimension(key, text)


def whereabouts(error: BaseException) -> str:
    """The type of an unexpected error and the lines it passed through. Not its text, which may quote what we were given."""
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    return f"{type(error).__name__} at {' < '.join(f'{Path(f.filename).name}:{f.lineno}' for f in reversed(frames))}"
