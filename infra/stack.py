"""The stack: everything one deployment of Sendbridge consists of."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from aws_cdk import Environment as CdkEnvironment
from constructs import Construct

from infra.admin_api import admin_api
from infra.bundles import Target
from infra.dashboard import dashboard, misconfigured, seconds_left, trackers_silent
from infra.foundation import Foundation, lay
from infra.match_triggers import match_triggers
from infra.receive_engagement import receive_engagement
from infra.receive_event import receive_event
from infra.record_engagement import record_engagement
from infra.refresh_tokens import refresh_tokens
from infra.send_message import send_message
from infra.settings import Environment
from infra.show_mirror import show_mirror
from infra.sync_crm import sync_crm
from infra.unsubscribe import unsubscribe
from infra.watch_trackers import watch_trackers


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
        self._job(foundation)
        self._outputs(foundation)

    def _job(self, foundation: Foundation) -> None:
        """The functions, from left to right."""
        steps = {
            receive_event(foundation): [],
            match_triggers(foundation): [foundation.events, foundation.timers],
            send_message(foundation): [foundation.messages],
            receive_engagement(foundation): [],
            record_engagement(foundation): [foundation.engagements],
            sync_crm(foundation): list(foundation.crm.values()),
        }
        others = [
            show_mirror(foundation),
            unsubscribe(foundation),
            refresh_tokens(foundation),
            watch_trackers(foundation),
            admin_api(foundation),
        ]
        environment = foundation.environment
        left = seconds_left(environment)
        foundation.alarms.when_below(
            "tokens", left, environment.token_alarm_seconds, "An access token is about to expire and could not be renewed."
        )
        foundation.alarms.when_any(
            "misconfigured",
            misconfigured(environment),
            "Messages wait for somebody to mend a setting: `sendbridge doctor` says which.",
        )
        foundation.alarms.when_any(
            "trackers-silent",
            trackers_silent(environment),
            "A tracker has brought nothing for longer than its silence_seconds: perhaps its webhook was switched off. "
            "`sendbridge doctor` says which, and since when.",
        )
        dashboard(self, environment, steps, others, left)

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
