"""What a function may do because it uses a part of `functions/shared/`: the calls of that part, on what it stands on."""

from __future__ import annotations

from infra.foundation import Foundation
from infra.function import Function
from infra.job_queue import JobQueue

_COME_AND_GO = "Definitions, and so their secrets and tokens, come and go while the stack stays."

_ONE_PER_BATCH = "There is an object for each batch of events."

_ONE_PER_MESSAGE = "There is an object for each batch of messages."


def read_definitions(foundation: Foundation, function: Function) -> None:
    """`shared.catalogue`, without secret fields."""
    function.may("dynamodb:Query", on=[foundation.tables.definitions.table_arn])


def read_secrets(foundation: Foundation, function: Function, *kinds: str) -> None:
    """`shared.catalogue`, secret fields of these kinds of definition."""
    for kind in kinds:
        arns = foundation.secret_arns(f"definition/{kind}/")
        function.may_below("secretsmanager:GetSecretValue", on=arns, reason=_COME_AND_GO)


def use_tokens(foundation: Foundation, function: Function, *kinds: str) -> None:
    """`shared.tokens`, of these kinds of definition: fetches one where there is none yet, too."""
    renew_tokens(foundation, function, *kinds)
    for kind in kinds:
        function.may_below("secretsmanager:CreateSecret", on=foundation.secret_arns(f"token/{kind}/"), reason=_COME_AND_GO)


def renew_tokens(foundation: Foundation, function: Function, *kinds: str) -> None:
    """`shared.tokens`, of those that there are."""
    for kind in kinds:
        arns = foundation.secret_arns(f"token/{kind}/")
        function.may_below("secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", on=arns, reason=_COME_AND_GO)
    function.may("dynamodb:PutItem", on=[foundation.tables.state.table_arn])


def use_limits(foundation: Foundation, function: Function) -> None:
    """`shared.limits`."""
    function.may("dynamodb:UpdateItem", on=[foundation.tables.state.table_arn])


def use_circuits(foundation: Foundation, function: Function) -> None:
    """`shared.state.Circuits`."""
    actions = ("BatchGetItem", "DeleteItem", "PutItem")
    function.may(*(f"dynamodb:{action}" for action in actions), on=[foundation.tables.state.table_arn])


def read_links_key(foundation: Foundation, function: Function) -> None:
    """`shared.links`."""
    function.may("secretsmanager:GetSecretValue", on=[foundation.links.secret_arn])


def read_mirrors(foundation: Foundation, function: Function) -> None:
    """`shared.mirrors`. Without the right to list, S3 says of an object that is not there that it is forbidden."""
    bucket = foundation.tables.mirror
    function.may("s3:ListBucket", on=[bucket.bucket_arn])
    function.may_below("s3:GetObject", on=bucket.arn_for_objects(""), reason=_ONE_PER_MESSAGE)


def keep_mirrors(foundation: Foundation, function: Function) -> None:
    """`shared.mirrors`."""
    arns = foundation.tables.mirror.arn_for_objects("")
    function.may_below("s3:PutObject", on=arns, reason=_ONE_PER_MESSAGE)


def keep_recordings(foundation: Foundation, function: Function) -> None:
    """`shared.recordings`, if any are kept."""
    bucket = foundation.tables.events
    if bucket is not None:
        function.may_below("s3:PutObject", on=bucket.arn_for_objects(""), reason=_ONE_PER_BATCH)


def read_recordings(foundation: Foundation, function: Function) -> None:
    """`shared.recordings`: lists them, and lets others read them by URLs that it signs."""
    bucket = foundation.tables.events
    if bucket is not None:
        function.may("s3:ListBucket", on=[bucket.bucket_arn])
        function.may_below("s3:GetObject", on=bucket.arn_for_objects(""), reason=_ONE_PER_BATCH)


def work_off(function: Function, *queues: JobQueue) -> None:
    """`shared.queues.Batch`: retry with a delay of its own, park with a reason."""
    if queues:
        function.may("sqs:ChangeMessageVisibility", on=[queue.arn for queue in queues])
    park(function, *queues)


def park(function: Function, *queues: JobQueue) -> None:
    """`shared.queues.Queue.park`."""
    if queues:
        function.may("sqs:SendMessage", on=[queue.parked.queue_arn for queue in queues])


def send(function: Function, *queues: JobQueue) -> None:
    """`shared.queues.Queue`."""
    if queues:
        function.may("sqs:SendMessage", on=[queue.arn for queue in queues])
