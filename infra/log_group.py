"""A log group that forgets after the time the deployment chose."""

from __future__ import annotations

from typing import cast

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.settings import Environment


def log_group(scope: Construct, construct_id: str, name: str, environment: Environment) -> logs.LogGroup:
    """The group `/PREFIX/name`. CloudWatch Logs encrypts every group at rest."""
    group = logs.LogGroup(
        scope, construct_id, log_group_name=f"/{environment.prefix}/{name}", removal_policy=RemovalPolicy.DESTROY
    )
    # CDK has a word for each number of days; ours is the number.
    cast(logs.CfnLogGroup, group.node.default_child).retention_in_days = environment.log_retention_days
    return group
