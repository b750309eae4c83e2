"""The tables and the buckets: a few by lifetime and rights. DynamoDB and S3 encrypt everything at rest."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.nag import accept
from infra.settings import Environment

_EXPIRES = "expires_at"


class Tables(Construct):
    """`definitions`, `profiles`, `messages`, `visits`, `state`, and the buckets `mirror` and `events`."""

    def __init__(self, scope: Construct, environment: Environment) -> None:
        super().__init__(scope, "tables")
        self._environment = environment
        self.definitions = self._table("definitions", sort_key="sk")
        self.profiles = self._table("profiles", time_to_live_attribute=_EXPIRES)
        self.messages = self._table("messages", time_to_live_attribute=_EXPIRES)
        self.messages.add_global_secondary_index(
            index_name="by_visit",
            partition_key=_text("visit_id"),
            sort_key=_text("created_at"),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )
        self.visits = self._table("visits", time_to_live_attribute=_EXPIRES)
        self.visits.add_global_secondary_index(
            index_name="due",
            partition_key=_text("due_shard"),
            sort_key=dynamodb.Attribute(name="due_at", type=dynamodb.AttributeType.NUMBER),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )
        self.state = self._table("state", time_to_live_attribute=_EXPIRES)
        self.mirror = self._bucket("mirror", environment.mirror_retention_days)
        days = environment.event_retention_days
        self.events = self._bucket("events", days) if days else None
        """What trackers told, to try triggers on; None where nothing of it is kept."""

    def by_name(self) -> dict[str, dynamodb.Table]:
        """Every table."""
        names = ("definitions", "profiles", "messages", "visits", "state")
        return {name: getattr(self, name) for name in names}

    def _table(self, name: str, *, sort_key: str | None = None, time_to_live_attribute: str | None = None) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            name,
            partition_key=_text("pk"),
            sort_key=_text(sort_key) if sort_key else None,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification={"point_in_time_recovery_enabled": True},
            time_to_live_attribute=time_to_live_attribute,
            deletion_protection=self._environment.retain,
            removal_policy=RemovalPolicy.RETAIN if self._environment.retain else RemovalPolicy.DESTROY,
        )

    def _bucket(self, name: str, days: int) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            name,
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            # CloudFormation cannot delete a bucket that has objects in it; these go by themselves.
            removal_policy=RemovalPolicy.RETAIN,
            lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(days))],
        )
        accept(
            bucket, "S1", "Two functions reach the objects, and what for is on the messages' traces or in the API's access log."
        )
        return bucket


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
