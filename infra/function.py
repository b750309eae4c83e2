"""One Lambda function: its zip, its settings, its log group, its alarms, and a role that may do what is listed and no more."""

from __future__ import annotations

from collections.abc import Iterable

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.alarms import Alarms
from infra.bundles import Target, bundle
from infra.log_group import log_group
from infra.nag import accept, accept_all_below
from infra.settings import Environment
from shared.env import Settings


class Function(Construct):
    """`functions/<name>/handler.py`, deployed."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        environment: Environment,
        target: Target,
        settings: Settings,
        alarms: Alarms,
        memory_mb: int = 512,
    ) -> None:
        super().__init__(scope, name)
        self.name = name
        self.role = self._role()
        logs = log_group(self, "logs", name.replace("_", "-"), environment)
        built = bundle(name, target)
        self.function = lambda_.Function(
            self,
            "function",
            function_name=f"{environment.prefix}-{name.replace('_', '-')}",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            handler=f"{name}.handler.handle",
            code=lambda_.Code.from_asset(str(built.path), asset_hash=built.digest),
            environment=settings.to_environment(),
            memory_size=memory_mb,
            timeout=Duration.seconds(environment.function_timeout_seconds),
            log_group=logs,
            role=self.role,
        )
        self.may("logs:CreateLogStream", "logs:PutLogEvents", on=[logs.log_group_arn])
        accept(self.function, "L1", "Python 3.13 gets fixes until October 2029; the bundles are compiled for it.")
        self._watch(alarms)

    def may(self, *actions: str, on: Iterable[str]) -> None:
        """Lets the function do these actions on these resources."""
        self.role.add_to_policy(iam.PolicyStatement(actions=sorted(actions), resources=list(on)))

    def may_below(self, *actions: str, on: str, reason: str) -> None:
        """Lets the function do these actions on all resources whose ARN begins so, for a reason."""
        self.may(*actions, on=[f"{on}*"])
        accept_all_below(self.role, on, reason)

    def _role(self) -> iam.Role:
        return iam.Role(self, "role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))

    def _watch(self, alarms: Alarms) -> None:
        minutes = Duration.minutes(5)
        alarms.when_any(f"{self.name}-errors", self.function.metric_errors(period=minutes), f"{self.name} fails")
        alarms.when_any(f"{self.name}-throttles", self.function.metric_throttles(period=minutes), f"{self.name} is throttled")

    def metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        """One of the function's own metrics."""
        return self.function.metric(name, statistic=statistic)
