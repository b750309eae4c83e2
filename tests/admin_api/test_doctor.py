"""The doctor, on sandboxes of the vendors that speak their wire protocols."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from admin_api.app import Admin
from shared.http import Http
from shared.queues import Queue
from shared.secrets import Secrets
from tests.admin_api.conftest import Ask, answered_by, settings_of
from tests.admin_api.samples import PASSWORD, integration, template, trigger
from tests.aws import Aws
from tests.sandbox.dynamics import DynamicsSandbox
from tests.sandbox.esp import EspSandbox


@pytest.fixture(scope="module")
def vendors() -> Iterator[tuple[EspSandbox, DynamicsSandbox]]:
    with EspSandbox.run() as esp, DynamicsSandbox.run() as crm:
        yield esp, crm


@pytest.fixture
def secrets(aws: Aws) -> Secrets:
    return Secrets(aws.secretsmanager, aws.secret_prefix)


@pytest.fixture
def sick(aws: Aws, vendors: tuple[EspSandbox, DynamicsSandbox]) -> Iterator[Ask]:
    """A deployment right after its first `cdk deploy`."""
    allowed = (*(vendor.url for vendor in vendors), "http://127.0.0.1:9")
    with closing(Http(allowed)) as http:
        yield answered_by(Admin(settings_of(aws, allowed_origins=allowed), aws.clock, http.send))


@pytest.fixture
def healthy(sick: Ask, secrets: Secrets, vendors: tuple[EspSandbox, DynamicsSandbox]) -> Ask:
    """A deployment with definitions that work."""
    esp, crm = vendors
    secrets.write("links", {"key": "k"})
    esp_auth = {
        "type": "oauth2",
        "token_url": f"{esp.url}/oauth/token",
        "client_id": esp.settings.client_id,
        "client_secret": esp.settings.client_secret,
    }
    crm_auth = {
        "type": "oauth2",
        "token_url": f"{crm.url}/{crm.settings.tenant}/oauth2/v2.0/token",
        "client_id": crm.settings.client_id,
        "client_secret": crm.settings.client_secret,
        "scope": f"{crm.url}/.default",
    }
    for path, body in {
        "template/cart": template(),
        "integration/postbird": integration(url=f"{esp.url}/v1/messages", auth=esp_auth),
        "destination/dynamics": {"url": crm.url, "auth": crm_auth},
        "trigger/reminder": trigger(enabled=False),
    }.items():
        status, answer = sick("PUT", f"/definitions/{path}", body)
        assert status == 200, answer
    published(sick)
    return sick


def published(ask: Ask) -> None:
    """Tests and publishes the integration, then the trigger with its template."""
    status, tested = ask("POST", "/definitions/integration/postbird/test", {"profile": {"email": "test@example.com"}})
    assert (status, tested["proven"]) == (200, True), tested
    assert ask("POST", "/definitions/integration/postbird/publish")[0] == 200
    status, proven = ask(
        "POST", "/definitions/trigger/reminder/proof", {"to": ["test@example.com"], "profile": {"first_name": "A"}}
    )
    assert (status, proven["proven"]) == (200, True), proven
    assert ask("POST", "/definitions/trigger/reminder/publish")[0] == 200


def findings(ask: Ask) -> dict[tuple[str, str], tuple[bool, str]]:
    status, answer = ask("GET", "/doctor")
    assert status == 200
    return {(line["check"], line["subject"]): (line["ok"], line["detail"]) for line in answer["checks"]}


def wrong(ask: Ask) -> dict[tuple[str, str], str]:
    return {key: detail for key, (ok, detail) in findings(ask).items() if not ok}


def test_a_healthy_deployment(healthy: Ask) -> None:
    found = findings(healthy)
    assert [key for key, (ok, _) in found.items() if not ok] == []
    assert found["token", "integration/postbird"][1].startswith("good for ")
    assert found["vendor", "integration/postbird"][1] == "answers HTTP 405"
    assert found["vendor", "destination/dynamics"] == (True, "")
    assert found["definition", "trigger/reminder"] == (True, "paused: its messages wait")
    assert found["queue", "crm-dynamics"] == (True, "0 waiting")
    assert found["table", "visits"] == (True, "")


def test_a_new_deployment_lacks_its_definitions(sick: Ask) -> None:
    assert wrong(sick).keys() == {("secret", "links"), ("destination", "dynamics")}


def test_what_it_stands_on(aws: Aws, healthy: Ask) -> None:
    aws.dynamodb.delete_table(TableName=aws.table("visits"))
    for bucket in (aws.mirror_bucket(), aws.events_bucket()):
        aws.s3.delete_bucket(Bucket=bucket)
    Queue(aws.sqs, aws.queue("events-parked")).park("x", "why", aws.clock)
    aws.sqs.delete_queue(QueueUrl=aws.queue("timers"))
    found = wrong(healthy)
    assert found.keys() == {
        ("table", "visits"),
        ("bucket", "mirror"),
        ("bucket", "events"),
        ("parked", "events"),
        ("queue", "timers"),
    }
    assert found["parked", "events"] == "1 parked: see why with `sendbridge parked --queue events`"
    assert found["table", "visits"] == "AWS refuses DescribeTable: ResourceNotFoundException"


def test_secrets_that_are_gone(healthy: Ask, secrets: Secrets) -> None:
    secrets.delete("definition/integration/postbird")
    found = wrong(healthy)
    assert found["secret", "integration/postbird"].startswith("no value for auth.client_secret, webhook.secrets.0")
    assert ("vendor", "integration/postbird") not in findings(healthy)


def test_credentials_that_are_refused(healthy: Ask, secrets: Secrets, vendors: tuple[EspSandbox, DynamicsSandbox]) -> None:
    for name in ("integration/postbird", "destination/dynamics"):
        kept = secrets.read(f"definition/{name}")
        assert kept is not None
        secrets.write(f"definition/{name}", {**kept, "/auth/client_secret": PASSWORD})
        secrets.delete(f"token/{name}")
    found = wrong(healthy)
    assert found.keys() == {
        ("token", "integration/postbird"),
        ("token", "destination/dynamics"),
        ("vendor", "destination/dynamics"),
    }
    assert "refuses the credentials" in found["token", "integration/postbird"]
    assert PASSWORD not in str(found)


def test_a_vendor_that_is_down(healthy: Ask) -> None:
    stored = healthy("GET", "/definitions/integration/postbird")[1]["definition"]
    healthy("POST", "/definitions/trigger/reminder/unpublish")
    healthy("DELETE", "/definitions/trigger/reminder")
    healthy("DELETE", "/definitions/integration/postbird")
    stored["auth"] = {"type": "none"}
    stored["webhook"] = None
    assert healthy("PUT", "/definitions/integration/postbird", {**stored, "url": "http://127.0.0.1:9/v1/messages"})[0] == 200
    assert wrong(healthy).keys() == {("vendor", "integration/postbird")}


def test_a_table_that_the_crm_lacks(healthy: Ask) -> None:
    stored = healthy("GET", "/definitions/destination/dynamics")[1]["definition"]
    healthy("PUT", "/definitions/destination/dynamics", {**stored, "activities": {"sent": "sb_nothing"}, "events": ["sent"]})
    assert "sb_nothing" in wrong(healthy)["vendor", "destination/dynamics"]


def test_a_circuit_that_is_open(aws: Aws, healthy: Ask) -> None:
    row: dict[str, Any] = {"pk": {"S": "circuit#integration#postbird"}, "opened": {"N": "4"}}
    row["until"] = {"N": str(aws.clock().timestamp() + 20)}
    aws.dynamodb.put_item(TableName=aws.table("state"), Item=row)
    assert wrong(healthy) == {("circuit", "integration/postbird"): "open after 4 failures in a row: nothing is sent to it now"}


def test_a_definition_that_is_no_longer_right(aws: Aws, healthy: Ask) -> None:
    aws.dynamodb.delete_item(TableName=aws.table("definitions"), Key={"pk": {"S": "template"}, "sk": {"S": "cart"}})
    assert wrong(healthy) == {("definition", "trigger/reminder"): "template: expected the name of a template that exists"}


def test_what_is_still_a_draft(healthy: Ask) -> None:
    stored = healthy("GET", "/definitions/integration/postbird")[1]["definition"]
    healthy("PUT", "/definitions/integration/postbird", {**stored, "body": {"to": {"email": "{{ to }}"}}})
    found = findings(healthy)["definition", "integration/postbird"]
    assert found == (True, "version 2 is a draft: not tested")


def test_triggers_and_templates_that_are_drafts(sick: Ask, secrets: Secrets) -> None:
    secrets.write("links", {"key": "k"})
    sick("PUT", "/definitions/template/cart", template())
    sick("PUT", "/definitions/integration/postbird", integration(url="https://esp.example", auth={"type": "none"}))
    sick("PUT", "/definitions/trigger/reminder", trigger())
    found = findings(sick)
    for name in ("template/cart", "trigger/reminder"):
        assert found["definition", name] == (True, "version 1 is a draft: not proven")


def test_a_trigger_in_force_whose_template_is_not(aws: Aws, healthy: Ask) -> None:
    healthy("POST", "/definitions/trigger/reminder/resume")
    row = aws.dynamodb.get_item(TableName=aws.table("definitions"), Key={"pk": {"S": "template"}, "sk": {"S": "cart"}})["Item"]
    aws.dynamodb.put_item(TableName=aws.table("definitions"), Item={**row, "pk": {"S": "draft:template"}})
    aws.dynamodb.delete_item(TableName=aws.table("definitions"), Key={"pk": {"S": "template"}, "sk": {"S": "cart"}})
    assert wrong(healthy) == {
        ("definition", "trigger/reminder"): (
            "template: expected template cart to be published: it is a draft, so messages wait for it"
        )
    }
