from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from admin_api import handler
from admin_api.app import Admin
from admin_api.settings import Settings
from shared.catalogue import Catalogue, Definitions
from shared.definitions import Template
from shared.exchange import Request, Response
from shared.secrets import Secrets
from shared.triggers import Trigger
from tests.admin_api.life import INTEGRATION, TEMPLATE, TO, TRIGGER, done, prove
from tests.admin_api.samples import integration, template, trigger
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
        "events_bucket": aws.events_bucket(),
        "event_days": 14,
        "secret_prefix": aws.secret_prefix,
        "base_url": "https://api.example",
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


class Vendors:
    """All vendors of the world. Token URLs give tokens, everything else takes a message."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.answers: list[Response | Exception] = []
        """Given instead, once each."""

    def send(self, request: Request) -> Response:
        self.asked.append(request)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if "token" in request.url:
            return Response(200, {}, json.dumps({"access_token": TOKEN, "expires_in": 60}).encode())
        return Response(202, {"content-type": "application/json"}, b'{"id": "pb_1", "status": "accepted"}', 0.25)


TOKEN = "a-token-of-the-vendor"


@pytest.fixture
def vendors() -> Vendors:
    return Vendors()


@pytest.fixture
def ask(aws: Aws, settings: Settings, vendors: Vendors) -> Ask:
    """Asks the admin API."""
    return answered_by(Admin(settings, aws.clock, vendors.send))


@pytest.fixture
def through_handle(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The entry point, with settings from the environment as in Lambda."""
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    handler._admin.cache_clear()
    return lambda event: cast("dict[str, Any]", handler.handle(event, None))


@pytest.fixture
def drafted(ask: Ask, aws: Aws) -> Ask:
    """A deployment whose integration is in force, and a trigger and a template that are not."""
    Secrets(aws.secretsmanager, aws.secret_prefix).write("links", {"key": "k"})
    done(ask("PUT", INTEGRATION, integration(auth={"type": "none"})))
    assert done(ask("POST", f"{INTEGRATION}/test", {"profile": {"email": TO}}))["proven"]
    done(ask("POST", f"{INTEGRATION}/publish"))
    done(ask("PUT", TEMPLATE, template()))
    done(ask("PUT", TRIGGER, trigger()))
    return ask


@pytest.fixture
def published(drafted: Ask) -> Ask:
    """The same with all three in force."""
    prove(drafted)
    done(drafted("POST", f"{TRIGGER}/publish"))
    return drafted


@pytest.fixture
def triggers(aws: Aws) -> Catalogue[Trigger]:
    """As the functions see them, at once."""
    return Definitions(aws.table("definitions"), aws.dynamodb, aws.clock, 0).catalogue(Trigger)


@pytest.fixture
def templates(aws: Aws) -> Catalogue[Template]:
    """As the functions see them, at once."""
    return Definitions(aws.table("definitions"), aws.dynamodb, aws.clock, 0).catalogue(Template)
