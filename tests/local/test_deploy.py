"""The whole stack on the embedded AWS: deployed by the real CDK, unchanged when deployed again, its roles the real ones."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cli.local.aws import ACCOUNT, REGION, ROOT, EmbeddedAws
from cli.local.deploy import Deployment, cdk, synthesise

pytestmark = [pytest.mark.deployed, pytest.mark.timeout(300)]

FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))


def client(aws: EmbeddedAws, service: str) -> Any:
    make: Any = boto3.client  # typed by one overload for each service
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return make(service, endpoint_url=aws.endpoint, region_name=REGION, **keys)


def get(url: str, *, signed: bool) -> int:
    """Status of a request as the account's owner, or as nobody."""
    request = AWSRequest("GET", url)
    if signed:
        SigV4Auth(Credentials("test", "test"), "execute-api", REGION).add_auth(request)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=dict(request.headers.items()))) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_nothing_changes_when_nothing_changed(cloud: EmbeddedAws, deployment: Deployment) -> None:
    assert deployment.url.startswith(cloud.endpoint)
    synthesise(cloud)
    assert "There were no differences" in cdk(cloud, "diff", "--fail")
    assert "no changes" in cdk(cloud, "deploy", "--require-approval", "never")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_starts_and_answers(cloud: EmbeddedAws, deployment: Deployment, function: str) -> None:
    """With its own role, its settings, and an event that has nothing in it."""
    assert deployment.outputs
    name = f"sendbridge-local-{function.replace('_', '-')}"
    queue = "events" if function == "match_triggers" else "crm-dynamics"
    record = {"messageId": "1", "receiptHandle": "r", "body": "?", "attributes": {"ApproximateReceiveCount": "1"}}
    records = [{**record, "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:sendbridge-local-{queue}"}]
    post = {"requestContext": {"http": {"method": "GET"}}, "rawPath": "/"}
    answer = client(cloud, "lambda").invoke(FunctionName=name, Payload=json.dumps({"Records": records, **post}))
    assert "FunctionError" not in answer, answer["Payload"].read()
    denied = [call for call in cloud.calls() if function.replace("_", "") in call.role and not call.allowed]
    assert denied == []


def test_the_admin_api_wants_credentials(deployment: Deployment) -> None:
    url = f"{deployment.url}/v1/admin/definitions"
    assert get(url, signed=False) == 403
    assert get(url, signed=True) == 200


def test_a_delayed_message_is_there_in_time(cloud: EmbeddedAws, deployment: Deployment) -> None:
    """An unreadable message ends in the parked queue, so its way there can be watched from outside."""
    sqs = client(cloud, "sqs")
    sqs.send_message(QueueUrl=deployment.queue("timers"), MessageBody="?")
    parked = {"QueueUrl": deployment.queue("timers-parked"), "WaitTimeSeconds": 20, "AttributeNames": ["SentTimestamp"]}
    assert sqs.receive_message(**parked)["Messages"]  # and now the function is warm
    due = time.time() + 2
    sqs.send_message(QueueUrl=deployment.queue("timers"), MessageBody="?", DelaySeconds=2)
    (arrived,) = sqs.receive_message(**parked)["Messages"]
    assert 0 <= int(arrived["Attributes"]["SentTimestamp"]) / 1000 - due < 1


def test_logs_are_kept_in_the_functions_own_groups(cloud: EmbeddedAws, deployment: Deployment) -> None:
    assert deployment.outputs
    groups = client(cloud, "logs").describe_log_groups()["logGroups"]
    assert {group["retentionInDays"] for group in groups} == {1}
    expected = {f"/sendbridge-local/{name.replace('_', '-')}" for name in (*FUNCTIONS, "api")}
    assert {group["logGroupName"] for group in groups} == expected


def test_links_are_signed_with_a_key_of_this_deployment(cloud: EmbeddedAws, deployment: Deployment) -> None:
    assert deployment.outputs
    secret = client(cloud, "secretsmanager").get_secret_value(SecretId="sendbridge-local/links")
    assert len(json.loads(secret["SecretString"])["key"]) == 64
