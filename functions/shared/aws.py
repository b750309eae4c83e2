"""The boto3 clients of a function: made once, and counting what they call.

A message's trace says how many calls it took; at log level DEBUG each invocation says what it called.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Literal, cast, overload

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

CALLS: Counter[str] = Counter()
"""AWS calls since the last `take_calls`, as `service:Operation`."""

# Vendors and AWS both get their retries from the queue: inside an invocation a short, bounded effort is enough.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=8,
    retries={"mode": "standard", "max_attempts": 3},
    # Requests are built by our own code from typed values; botocore's validation costs a tenth of a put.
    parameter_validation=False,
    tcp_keepalive=True,
    # Else botocore puts it together anew, twice for each call.
    user_agent="sendbridge",
    # TLS guards the bytes already.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


@overload
def client(service: Literal["dynamodb"]) -> DynamoDBClient: ...
@overload
def client(service: Literal["s3"]) -> S3Client: ...
@overload
def client(service: Literal["secretsmanager"]) -> SecretsManagerClient: ...
@overload
def client(service: Literal["sqs"]) -> SQSClient: ...
def client(service: Literal["dynamodb", "s3", "secretsmanager", "sqs"]) -> object:
    """The process's client of this service, which counts its calls in `CALLS`."""
    return _client(service)


def hasty_s3() -> S3Client:
    """A client of S3 that gives up after two seconds, for what may be left undone."""
    return cast("S3Client", _client("s3", _HASTE))


_HASTE = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 1})

# The URLs that it signs are for the region's own host, and with the present kind of signature: neither is its default.
_S3 = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})


@cache
def _client(service: str, config: Config | None = None) -> object:
    own = _CONFIG.merge(_S3) if service == "s3" else _CONFIG
    made = boto3.client(service, config=own.merge(config) if config else own)  # type: ignore[call-overload]  # one of those above
    made.meta.events.register("before-call.*", _count)
    return made


def _count(model: object, **_: object) -> None:
    service = model.service_model.service_name  # type: ignore[attr-defined]  # botocore has no public types
    CALLS[f"{service}:{model.name}"] += 1  # type: ignore[attr-defined]


def take_calls() -> dict[str, int]:
    """The calls counted since the last time, which are then forgotten."""
    counted = dict(CALLS)
    CALLS.clear()
    return counted
