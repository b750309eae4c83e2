"""The stack: everything one deployment of Sendbridge consists of."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from aws_cdk import Environment as CdkEnvironment
from constructs import Construct

from infra.bundles import Target
from infra.foundation import Foundation, lay
from infra.settings import Environment


class Sendbridge(Stack):
    """One deployment, named after its environment."""

    def __init__(self, scope: Construct, environment: Environment, target: Target) -> None:
        super().__init__(
            scope,
            environment.prefix,
            env=CdkEnvironment(account=environment.account, region=environment.region),
            description="Sendbridge: visitor behaviour to email and SMS, and the CRM kept in step.",
            termination_protection=environment.retain,
        )
        foundation = lay(self, environment, target)
        self._outputs(foundation)

    def _outputs(self, foundation: Foundation) -> None:
        CfnOutput(self, "ApiUrl", value=foundation.api.url)
        CfnOutput(self, "ApiId", value=foundation.api.api.api_id)
        for name, table in foundation.tables.by_name().items():
            CfnOutput(self, f"Table{_camel(name)}", value=table.table_name)
        CfnOutput(self, "BucketMirror", value=foundation.tables.mirror.bucket_name)
        for queue in foundation.queues():
            CfnOutput(self, f"Queue{_camel(queue.name)}", value=queue.url)
            CfnOutput(self, f"Queue{_camel(queue.name)}Parked", value=queue.parked.queue_url)


def _camel(name: str) -> str:
    """CloudFormation allows letters and digits in the name of an output."""
    return "".join(part.capitalize() for part in name.replace("_", "-").split("-"))
