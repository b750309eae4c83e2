"""A queue of jobs, its parked queue, the function that works it off, and the alarms on both."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.alarms import Alarms
from infra.function import Function
from infra.settings import Environment


class JobQueue(Construct):
    """`<prefix>-<name>` and `<prefix>-<name>-parked`, encrypted, reached over TLS only."""

    def __init__(self, scope: Construct, name: str, environment: Environment, alarms: Alarms) -> None:
        super().__init__(scope, f"queue-{name}")
        self.name = name
        self.parked = self._queue("parked", f"{environment.prefix}-{name}-parked", retention_period=Duration.days(14))
        self.queue = self._queue(
            "queue",
            f"{environment.prefix}-{name}",
            visibility_timeout=Duration.seconds(environment.visibility_seconds),
            retention_period=Duration.days(14),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.parked, max_receive_count=environment.max_receive_count),
        )
        self._watch(alarms, environment)

    @property
    def url(self) -> str:
        """To send to."""
        return self.queue.queue_url

    @property
    def arn(self) -> str:
        """For a policy."""
        return self.queue.queue_arn

    def feed(self, function: Function, *, batch_size: int = 10, window_seconds: int = 0, concurrency: int | None = None) -> None:
        """Has this function work the queue off; records it reports as failed stay."""
        lambda_.EventSourceMapping(
            self,
            "feed",
            target=function.function,
            event_source_arn=self.arn,
            batch_size=batch_size,
            max_batching_window=Duration.seconds(window_seconds) if window_seconds else None,
            max_concurrency=concurrency,
            report_batch_item_failures=True,
        )
        function.may("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", on=[self.arn])

    def metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        """One of the queue's own metrics."""
        return self.queue.metric(name, statistic=statistic)

    def metric_parked(self) -> cloudwatch.Metric:
        """How many items are parked."""
        name = "ApproximateNumberOfMessagesVisible"
        return self.parked.metric(name, statistic="Maximum")

    def _queue(self, construct_id: str, name: str, **rest: object) -> sqs.Queue:
        return sqs.Queue(
            self,
            construct_id,
            queue_name=name,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            **rest,  # type: ignore[arg-type]  # checked by CDK at synth
        )

    def _watch(self, alarms: Alarms, environment: Environment) -> None:
        alarms.when_any(
            f"{self.name}-parked",
            self.metric_parked(),
            f"Items of {self.name} are parked: see why with `sendbridge parked`, then `sendbridge redrive`.",
        )
        alarms.when_above(
            f"{self.name}-age",
            self.metric("ApproximateAgeOfOldestMessage", "Maximum"),
            environment.oldest_message_alarm_seconds,
            f"{self.name} is worked off too slowly or not at all.",
        )
