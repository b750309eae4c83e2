"""What the functions of a deployment stand on, handed to the file of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_secretsmanager as secretsmanager

from infra.alarms import Alarms
from infra.api import Api
from infra.bundles import Target
from infra.function import Function
from infra.job_queue import JobQueue
from infra.nag import accept
from infra.settings import Environment
from infra.tables import Tables
from shared.env import Settings


@dataclass(frozen=True)
class Foundation:
    """Tables, queues, secrets, the API and the alarms of one deployment."""

    stack: Stack
    environment: Environment
    target: Target
    alarms: Alarms
    tables: Tables
    api: Api
    links: secretsmanager.Secret
    events: JobQueue
    timers: JobQueue
    messages: JobQueue
    engagements: JobQueue
    crm: Mapping[str, JobQueue]
    """By name of the destination."""

    def function(self, name: str, settings: Settings, *, memory_mb: int = 512) -> Function:
        """The function of this name, with no rights yet."""
        return Function(
            self.stack,
            name,
            environment=self.environment,
            target=self.target,
            settings=settings,
            alarms=self.alarms,
            memory_mb=memory_mb,
        )

    def every_minute(self, function: Function) -> None:
        """Calls the function each minute."""
        events.Rule(
            function,
            "minute",
            schedule=events.Schedule.rate(Duration.minutes(1)),
            targets=[targets.LambdaFunction(function.function)],
        )

    def queues(self) -> list[JobQueue]:
        """Every queue."""
        return [self.events, self.timers, self.messages, self.engagements, *self.crm.values()]

    def crm_queue_urls(self) -> tuple[str, ...]:
        """`destination=url`, each."""
        return tuple(f"{name}={queue.url}" for name, queue in self.crm.items())

    def crm_parked_urls(self) -> tuple[str, ...]:
        """`destination=url` of the parked queue, each."""
        return tuple(f"{name}={queue.parked.queue_url}" for name, queue in self.crm.items())

    def secret_arns(self, below: str) -> str:
        """How the ARNs of this deployment's secrets under a path (`definition/`) begin."""
        name = f"{self.environment.prefix}/{below}"
        return f"arn:{self.stack.partition}:secretsmanager:{self.stack.region}:{self.stack.account}:secret:{name}"


def lay(stack: Stack, environment: Environment, target: Target) -> Foundation:
    """Makes everything that is not a function."""
    alarms = Alarms(stack, environment)
    queue = partial(JobQueue, stack, environment=environment, alarms=alarms)

    return Foundation(
        stack=stack,
        environment=environment,
        target=target,
        alarms=alarms,
        tables=Tables(stack, environment),
        api=Api(stack, environment),
        links=_links(stack, environment),
        events=queue("events"),
        timers=queue("timers"),
        messages=queue("messages"),
        engagements=queue("engagements"),
        crm={name: queue(f"crm-{name}") for name in environment.destinations},
    )


def _links(stack: Stack, environment: Environment) -> secretsmanager.Secret:
    """The key that signs links. Made here once and never shown."""
    secret = secretsmanager.Secret(
        stack,
        "links",
        secret_name=f"{environment.prefix}/links",
        generate_secret_string=secretsmanager.SecretStringGenerator(
            secret_string_template="{}",  # noqa: S106  # what is generated goes in
            generate_string_key="key",
            password_length=64,
            exclude_punctuation=True,
        ),
    )
    accept(secret, "SMG4", "A new key would break every link in mail that was sent already.")
    return secret
