from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from admin_api import handler
from admin_api.app import Admin
from admin_api.settings import Settings
from tests.aws import Aws

Ask = Callable[..., tuple[int, dict[str, Any]]]


def settings_of(aws: Aws, **changes: object) -> Settings:
    """The function's settings for this test's resources."""
    queues = {f"{name}_queue_url": aws.queue(name) for name in ("events", "timers", "messages", "engagements")}
    parked = {f"{name}_parked_url": aws.queue(f"{name}-parked") for name in ("events", "timers", "messages", "engagements")}
    values: dict[str, Any] = {
        "environment": "test",
        **{f"{name}_table": aws.table(name) for name in ("definitions", "profiles", "messages", "visits", "state")},
        "mirror_bucket": aws.mirror_bucket(),
        "secret_prefix": aws.secret_prefix,
        "retention_days": 30,
        "lease_seconds": 35,
        **queues,
        **parked,
        "crm_queue_urls": (f"dynamics={aws.queue('crm-dynamics')}",),
        "crm_parked_urls": (f"dynamics={aws.queue('crm-dynamics-parked')}",),
    }
    return Settings(**(values | changes))


def request(method: str, path: str, body: object = None, **query: str) -> dict[str, Any]:
    """An API Gateway event (payload 2.0) of an IAM-authorised request. A body that is text is sent as it is."""
    event: dict[str, Any] = {
        "version": "2.0",
        "rawPath": f"/v1/admin{path}",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "http": {"method": method},
            "authorizer": {"iam": {"userArn": "arn:aws:iam::000000000000:user/ci"}},
        },
        "isBase64Encoded": False,
    }
    if query:
        event["queryStringParameters"] = query
    if body is not None:
        event["body"] = body if isinstance(body, str) else json.dumps(body)
    return event


@pytest.fixture
def settings(aws: Aws) -> Settings:
    return settings_of(aws)


def answered_by(admin: Admin) -> Ask:
    """`ask("PUT", "/definitions/…", body, dry_run="true")` gives the status and the JSON answer."""

    def asked(method: str, path: str, body: object = None, **query: str) -> tuple[int, dict[str, Any]]:
        answer = admin.answer(request(method, path, body, **query))
        return int(str(answer["statusCode"])), json.loads(str(answer["body"]))

    return asked


@pytest.fixture
def ask(aws: Aws, settings: Settings) -> Ask:
    """Asks the admin API."""
    return answered_by(Admin(settings, aws.clock))


@pytest.fixture
def through_handle(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The entry point, with settings from the environment as in Lambda."""
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    handler._admin.cache_clear()
    return lambda event: cast("dict[str, Any]", handler.handle(event, None))
