"""The main job, on the deployed stack."""

from __future__ import annotations

from typing import Any

import pytest

from cli.local.main_job import play
from cli.local.world import World
from tests.deployed.shop import Shop

pytestmark = pytest.mark.deployed


@pytest.mark.timeout(300)
def test_the_main_job_runs_to_its_end(deployed: World) -> None:
    said: list[str] = []
    assert play(deployed, said.append).problems == []


def test_the_doctor_finds_nothing_but_what_other_tests_parked(deployed: World) -> None:
    found: Any = deployed.sendbridge("doctor", accept=(0, 1))
    checks = found["checks"] if isinstance(found, dict) else found
    assert len(checks) > 10
    assert {check["check"] for check in checks if not check["ok"]} <= {"parked"}


def test_applying_the_same_definitions_again_changes_nothing(deployed: World) -> None:
    said = deployed.run_command("apply", "-f", "events/definitions")
    assert {line.split()[0] for line in said.splitlines() if line} == {"unchanged"}


def test_no_address_and_no_secret_is_in_any_log(deployed: World, shop: Shop) -> None:
    import boto3

    logs = boto3.client(
        "logs",
        endpoint_url=deployed.aws.endpoint,
        region_name=deployed.environment["AWS_REGION"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    secrets = [value for name, value in deployed.environment.items() if name.endswith("_SECRET")]
    for group in logs.describe_log_groups()["logGroups"]:
        for event in logs.filter_log_events(logGroupName=group["logGroupName"])["events"]:
            assert "@example.com" not in event["message"]
            assert not [secret for secret in secrets if secret in event["message"]]
    assert shop.prefix
