"""One dashboard that shows the job from left to right: a column for each step, its queue below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.function import Function
from infra.job_queue import JobQueue
from infra.settings import Environment

_FULL = 24


def dashboard(
    scope: Construct,
    environment: Environment,
    steps: Mapping[Function, Sequence[JobQueue]],
    others: Sequence[Function],
    seconds_left: cloudwatch.IMetric,
) -> None:
    """`steps` in the order of the job, each with the queues it works off; `others` stand below."""
    width = _FULL // len(steps)
    board = cloudwatch.Dashboard(scope, "dashboard", dashboard_name=environment.prefix, default_interval=Duration.hours(12))
    board.add_widgets(*(_runs(step, width) for step in steps))
    board.add_widgets(*(_duration(step, width) for step in steps))
    board.add_widgets(*(_waiting(step, queues, width) for step, queues in steps.items()))
    board.add_widgets(*(_parked(step, queues, width) for step, queues in steps.items()))
    rest = _FULL // (len(others) + 1)
    board.add_widgets(
        *(_runs(other, rest) for other in others),
        cloudwatch.GraphWidget(title="access tokens: seconds left", width=rest, left=[seconds_left]),
    )


def seconds_left(environment: Environment) -> cloudwatch.Metric:
    """How long the access token that ends first is still good: a metric of `refresh_tokens`."""
    return _own("TokenSecondsLeft", "Minimum", environment)


def misconfigured(environment: Environment) -> cloudwatch.Metric:
    """How often something could not be done until a person changes something: credentials, a definition, a CRM's tables."""
    return _own("Misconfigured", "Sum", environment)


def trackers_silent(environment: Environment) -> cloudwatch.Metric:
    """How many trackers have brought nothing for longer than their definitions expect: a metric of `watch_trackers`."""
    return _own("TrackersSilent", "Maximum", environment)


def _own(name: str, statistic: str, environment: Environment) -> cloudwatch.Metric:
    """A metric that the functions emit."""
    dimensions = {"environment": environment.name}
    return cloudwatch.Metric(
        namespace="Sendbridge", metric_name=name, dimensions_map=dimensions, statistic=statistic, period=Duration.minutes(5)
    )


def _runs(function: Function, width: int) -> cloudwatch.IWidget:
    metrics = [function.metric(name, "Sum") for name in ("Invocations", "Errors", "Throttles")]
    return cloudwatch.GraphWidget(title=function.name, width=width, left=metrics)


def _duration(function: Function, width: int) -> cloudwatch.IWidget:
    metrics = [function.metric("Duration", statistic) for statistic in ("p50", "p99")]
    return cloudwatch.GraphWidget(title="milliseconds", width=width, left=metrics)


def _waiting(step: Function, queues: Sequence[JobQueue], width: int) -> cloudwatch.IWidget:
    if not queues:
        return cloudwatch.TextWidget(markdown=f"`{step.name}` is called over HTTP.", width=width, height=6)
    return cloudwatch.GraphWidget(
        title="waiting, and age of the oldest",
        width=width,
        left=[_labelled(queue, queue.metric("ApproximateNumberOfMessagesVisible", "Maximum")) for queue in queues],
        right=[_labelled(queue, queue.metric("ApproximateAgeOfOldestMessage", "Maximum")) for queue in queues],
    )


def _parked(step: Function, queues: Sequence[JobQueue], width: int) -> cloudwatch.IWidget:
    if not queues:
        return cloudwatch.TextWidget(markdown="", width=width, height=3)
    metrics: list[cloudwatch.IMetric] = [_labelled(queue, queue.metric_parked()) for queue in queues]
    return cloudwatch.SingleValueWidget(title="parked", width=width, height=3, metrics=metrics)


def _labelled(queue: JobQueue, metric: cloudwatch.Metric) -> cloudwatch.Metric:
    return metric.with_(label=queue.name)
