"""`admin_api`: keeps definitions and their secrets, shows traces, redrives what is parked."""

from __future__ import annotations

from admin_api.settings import Settings
from infra import rights
from infra.foundation import Foundation
from infra.function import Function

_COME_AND_GO = "Definitions, and so their secrets and tokens, come and go while the stack stays."


def admin_api(foundation: Foundation) -> Function:
    """Adds the function, its routes and its rights."""
    function = foundation.function("admin_api", _settings(foundation), memory_mb=1024)
    foundation.api.restricted("ANY", "/v1/admin/{proxy+}", function)
    tables = foundation.tables
    function.may(
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        on=[tables.definitions.table_arn],
    )
    function.may("dynamodb:PutItem", on=[tables.state.table_arn])
    function.may("dynamodb:BatchGetItem", on=[tables.messages.table_arn])
    function.may("dynamodb:Query", on=[f"{tables.messages.table_arn}/index/by_visit"])
    _keep_secrets(foundation, function)
    _redrive(foundation, function)
    _examine(foundation, function)
    _try_out(foundation, function)
    rights.read_recordings(foundation, function)
    # Suppressions by hand, and rows of custom entities.
    function.may("dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:UpdateItem", on=[tables.profiles.table_arn])
    return function


def _keep_secrets(foundation: Foundation, function: Function) -> None:
    kept = ("CreateSecret", "DeleteSecret", "GetSecretValue", "PutSecretValue")
    actions = [f"secretsmanager:{action}" for action in kept]
    function.may_below(*actions, on=foundation.secret_arns("definition/"), reason=_COME_AND_GO)
    function.may_below("secretsmanager:DeleteSecret", on=foundation.secret_arns("token/"), reason=_COME_AND_GO)


def _redrive(foundation: Foundation, function: Function) -> None:
    queues = foundation.queues()
    taken = ("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage")
    function.may(*(f"sqs:{action}" for action in taken), on=[queue.parked.queue_arn for queue in queues])
    function.may("sqs:GetQueueAttributes", on=[queue.arn for queue in queues])
    rights.send(function, *queues)


def _examine(foundation: Foundation, function: Function) -> None:
    """The doctor: looks at what there is, logs in at vendors as the functions do, and changes nothing."""
    tables = foundation.tables
    function.may("dynamodb:DescribeTable", on=[table.table_arn for table in tables.by_name().values()])
    function.may("dynamodb:BatchGetItem", on=[tables.state.table_arn])
    function.may("s3:ListBucket", on=[tables.mirror.bucket_arn])
    rights.read_links_key(foundation, function)
    rights.use_tokens(foundation, function, "integration", "destination", "tracker")


def _try_out(foundation: Foundation, function: Function) -> None:
    """A test of an integration: with a stored profile, if that is asked for, and with links as a real message has them."""
    function.may("dynamodb:BatchGetItem", on=[foundation.tables.profiles.table_arn])
    rights.read_links_key(foundation, function)


def _settings(foundation: Foundation) -> Settings:
    environment, tables = foundation.environment, foundation.tables
    return Settings(
        environment=environment.name,
        definitions_table=tables.definitions.table_name,
        profiles_table=tables.profiles.table_name,
        messages_table=tables.messages.table_name,
        visits_table=tables.visits.table_name,
        state_table=tables.state.table_name,
        mirror_bucket=tables.mirror.bucket_name,
        events_bucket=tables.events.bucket_name if tables.events else "",
        event_days=environment.event_retention_days,
        secret_prefix=environment.prefix,
        base_url=foundation.api.url,
        allowed_origins=tuple(environment.allowed_origins),
        retention_days=environment.message_retention_days,
        lease_seconds=environment.function_timeout_seconds + 5,
        events_queue_url=foundation.events.url,
        events_parked_url=foundation.events.parked.queue_url,
        timers_queue_url=foundation.timers.url,
        timers_parked_url=foundation.timers.parked.queue_url,
        messages_queue_url=foundation.messages.url,
        messages_parked_url=foundation.messages.parked.queue_url,
        engagements_queue_url=foundation.engagements.url,
        engagements_parked_url=foundation.engagements.parked.queue_url,
        crm_queue_urls=foundation.crm_queue_urls(),
        crm_parked_urls=foundation.crm_parked_urls(),
    )
