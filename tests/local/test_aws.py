"""The embedded AWS as a process: several at once, nothing left behind, functions alone with their zip, roles enforced."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from mypy_boto3_lambda import LambdaClient
from mypy_boto3_sqs import SQSClient

from cli.local.aws import ACCOUNT, REGION, ROOT, EmbeddedAws, embedded_aws

_ASSUME = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}

_HANDLER = """
import importlib.util, json, os, sys, urllib.request
def handle(event, context):
    return {
        "path": [path for path in sys.path if not path.startswith(sys.base_prefix)],
        "sees_boto3": importlib.util.find_spec("boto3") is not None,
        "secrets": sorted(name for name in os.environ if "CANARY" in name),
        "key": os.environ["AWS_ACCESS_KEY_ID"], "secret": os.environ["AWS_SECRET_ACCESS_KEY"],
        "token": os.environ["AWS_SESSION_TOKEN"],
    }
"""


@pytest.fixture(scope="module")
def cloud_alone() -> Iterator[EmbeddedAws]:
    """One with nothing deployed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY", "in the environment of whoever starts it")
        with embedded_aws() as aws:
            yield aws


def client(aws: EmbeddedAws, service: str, **credentials: str) -> Any:
    owner = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    make: Any = boto3.client  # typed by one overload for each service
    return make(service, endpoint_url=aws.endpoint, region_name=REGION, **(credentials or owner))


@pytest.fixture(scope="module")
def seen(cloud_alone: EmbeddedAws) -> dict[str, Any]:
    """What a function sees, whose role may send to the queue `open` and do nothing else."""
    iam = client(cloud_alone, "iam")
    lambda_: LambdaClient = client(cloud_alone, "lambda")
    role = iam.create_role(RoleName="teller", AssumeRolePolicyDocument=_document(_ASSUME))["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:open"}
    iam.put_role_policy(RoleName="teller", PolicyName="send", PolicyDocument=_document(allowed))
    lambda_.create_function(
        FunctionName="teller", Runtime="python3.13", Handler="main.handle", Role=role, Code={"ZipFile": _zipped(_HANDLER)}
    )
    answer = lambda_.invoke(FunctionName="teller")
    body: dict[str, Any] = json.loads(answer["Payload"].read())
    return body


def _document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _zipped(source: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main.py", source)
    return packed.getvalue()


def test_a_function_sees_the_standard_library_and_its_zip(seen: dict[str, Any], cloud_alone: EmbeddedAws) -> None:
    assert len(seen["path"]) == 1
    assert Path(seen["path"][0]).is_relative_to(cloud_alone.directory)
    assert seen["sees_boto3"] is False


def test_a_function_does_not_see_the_environment_of_whoever_started_the_cloud(seen: dict[str, Any]) -> None:
    assert seen["secrets"] == []


def test_roles_are_enforced_and_their_calls_are_written_down(seen: dict[str, Any], cloud_alone: EmbeddedAws) -> None:
    owner: SQSClient = client(cloud_alone, "sqs")
    urls = {name: owner.create_queue(QueueName=name)["QueueUrl"] for name in ("open", "closed")}
    role: SQSClient = client(
        cloud_alone,
        "sqs",
        aws_access_key_id=seen["key"],
        aws_secret_access_key=seen["secret"],
        aws_session_token=seen["token"],
    )
    role.send_message(QueueUrl=urls["open"], MessageBody="x")
    with pytest.raises(role.exceptions.ClientError, match="AccessDenied"):
        role.send_message(QueueUrl=urls["closed"], MessageBody="x")
    calls = [(c.action, c.resource.rsplit(":", 1)[1], c.allowed) for c in cloud_alone.calls() if c.role == "teller"]
    assert calls == [("sqs:SendMessage", "open", True), ("sqs:SendMessage", "closed", False)]


def test_two_run_at_once_and_know_nothing_of_each_other(cloud_alone: EmbeddedAws) -> None:
    with embedded_aws() as other:
        client(other, "sqs").create_queue(QueueName="theirs")
        assert other.endpoint != cloud_alone.endpoint
        assert other.directory != cloud_alone.directory
        assert not client(cloud_alone, "sqs").list_queues(QueueNamePrefix="theirs").get("QueueUrls")
    assert not other.directory.exists()


def test_it_is_gone_after_the_block_even_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), embedded_aws() as aws:
        _ = 1 / 0
    assert _gone(aws.pid)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(aws.endpoint, timeout=1)  # noqa: S310  # ours


def test_it_is_gone_when_whoever_started_it_is_killed() -> None:
    script = (
        "from cli.local.aws import embedded_aws\nimport time\nwith embedded_aws() as aws:\n"
        " print(aws.pid, aws.directory, flush=True)\n time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout
        pid, directory = starter.stdout.readline().split()
        starter.send_signal(signal.SIGKILL)
    _eventually(lambda: _gone(int(pid)))
    _remove(Path(directory))


def _gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def _eventually(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _remove(folder: Path) -> None:
    """What a killed process could not remove itself."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


_METHOD = """
def handle(event, context):
    http = event["requestContext"]["http"]
    return {"statusCode": 204, "headers": {"x-saw": http["method"] + ":" + event["pathParameters"].get("proxy", "")}}
"""


def test_options_is_a_method_like_any_other(cloud_alone: EmbeddedAws) -> None:
    iam, lambda_, api = (client(cloud_alone, service) for service in ("iam", "lambda", "apigatewayv2"))
    role = iam.create_role(RoleName="optional", AssumeRolePolicyDocument=_document(_ASSUME))["Role"]["Arn"]
    made = lambda_.create_function(
        FunctionName="optional", Runtime="python3.13", Handler="main.handle", Role=role, Code={"ZipFile": _zipped(_METHOD)}
    )
    name = api.create_api(Name="optional", ProtocolType="HTTP")["ApiId"]
    integration = api.create_integration(
        ApiId=name, IntegrationType="AWS_PROXY", IntegrationUri=made["FunctionArn"], PayloadFormatVersion="2.0"
    )
    target = f"integrations/{integration['IntegrationId']}"
    for path in ("/{one}", "/{one}/{proxy+}"):
        api.create_route(ApiId=name, RouteKey=f"OPTIONS {path}", Target=target)
    api.create_stage(ApiId=name, StageName="$default", AutoDeploy=True)
    lambda_.add_permission(
        FunctionName="optional", StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )
    seen = []
    for path in ("shop", "shop/e/v1"):
        answer = httpx.options(f"{cloud_alone.api_url(name)}/{path}", headers={"origin": "https://www.example.com"})
        seen.append((answer.status_code, answer.headers.get("x-saw")))
    assert seen == [(204, "OPTIONS:"), (204, "OPTIONS:e/v1")]
