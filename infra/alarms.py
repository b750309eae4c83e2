"""Alarms, and the topic that carries them to an address of the deployment's choice."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.settings import Environment


class Alarms(Construct):
    """All alarms of a deployment. Each says in its description what is wrong, in words an operator can act on."""

    def __init__(self, scope: Construct, environment: Environment) -> None:
        super().__init__(scope, "alarms")
        self._prefix = environment.prefix
        self.topic = sns.Topic(self, "topic", master_key=self._key(), enforce_ssl=True)
        if environment.alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(environment.alarm_email))
        self._action = actions.SnsAction(self.topic)

    def when_any(self, name: str, metric: cloudwatch.IMetric, description: str) -> None:
        """Goes off when the metric is above zero."""
        self._alarm(name, metric, 0, description, cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD)

    def when_above(self, name: str, metric: cloudwatch.IMetric, threshold: float, description: str) -> None:
        """Goes off when the metric is above the threshold."""
        self._alarm(name, metric, threshold, description, cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD)

    def when_below(self, name: str, metric: cloudwatch.IMetric, threshold: float, description: str) -> None:
        """Goes off when the metric is below the threshold."""
        self._alarm(name, metric, threshold, description, cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD)

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        description: str,
        comparison: cloudwatch.ComparisonOperator,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._prefix}-{name}",
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            comparison_operator=comparison,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(self._action)
        alarm.add_ok_action(self._action)

    def _key(self) -> kms.Key:
        """CloudWatch may not use the key that AWS keeps for SNS, so the topic needs one of ours."""
        key = kms.Key(self, "key", enable_key_rotation=True, pending_window=Duration.days(7))
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],  # in a key's own policy: this key
            )
        )
        return key
