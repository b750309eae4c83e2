"""The stack as a platform team would want it, read from what `cdk synth` writes for production."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from typing import Any

import pytest

from infra.settings import Environment
from shared.env import variable
from tests.infra.synthesised import ROOT, Template, synthesise

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
QUEUES = ("events", "timers", "messages", "engagements", "crm-dynamics")


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Synthesised without an account; cdk-nag's AwsSolutions rules are checked on the way and fail it."""
    return synthesise("prod", tmp_path_factory.mktemp("prod"))


@pytest.fixture(scope="module")
def dev_otherwise(tmp_path_factory: pytest.TempPathFactory) -> Template:
    jwt = {"issuer": "https://login.example", "audience": ["sendbridge"]}
    overrides = {"jwt": jwt, "destinations": [], "messages_window_seconds": 1, "event_retention_days": 0}
    return synthesise("dev", tmp_path_factory.mktemp("dev"), overrides)


def _properties(template: Template, kind: str) -> list[dict[str, Any]]:
    return [one["Properties"] for one in template.of_type(kind).values()]


def test_every_function_is_deployed(prod: Template) -> None:
    assert sorted(prod.functions()) == FUNCTIONS


def test_functions_run_where_the_bundles_are_built_for(prod: Template) -> None:
    built_for = {(p["Runtime"], *p["Architectures"]) for p in _properties(prod, "AWS::Lambda::Function")}
    assert built_for == {("python3.13", "arm64")}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_gets_exactly_the_settings_it_reads(prod: Template, function: str) -> None:
    settings = importlib.import_module(f"{function}.settings").Settings
    expected = {variable(field.name) for field in dataclasses.fields(settings)}
    assert set(prod.functions()[function]["Properties"]["Environment"]["Variables"]) == expected


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_names_its_actions_and_resources(prod: Template, function: str) -> None:
    statements = list(prod.statements(function))
    assert statements
    assert not [action for action, _ in statements if "*" in action]
    assert not [resource for _, resource in statements if resource == "*"]


def test_no_role_has_a_managed_policy(prod: Template) -> None:
    assert not [role for role in _properties(prod, "AWS::IAM::Role") if role.get("ManagedPolicyArns")]


def test_functions_have_logs_of_their_own_that_are_forgotten(prod: Template) -> None:
    kept = {p["LogGroupName"]: p["RetentionInDays"] for p in _properties(prod, "AWS::Logs::LogGroup")}
    assert set(kept.values()) == {30}
    assert set(kept) == {f"/sendbridge-prod/{name.replace('_', '-')}" for name in (*FUNCTIONS, "api")}
    used = [f["Properties"]["LoggingConfig"]["LogGroup"]["Ref"] for f in prod.functions().values()]
    assert len(set(used)) == len(FUNCTIONS)


def test_tables_can_be_restored_and_are_not_deleted_with_the_stack(prod: Template) -> None:
    tables = prod.of_type("AWS::DynamoDB::Table")
    assert len(tables) == 5
    for table in tables.values():
        assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert table["Properties"]["DeletionProtectionEnabled"] is True
        assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_what_has_a_lifetime_expires(prod: Template) -> None:
    specified = [p.get("TimeToLiveSpecification") for p in _properties(prod, "AWS::DynamoDB::Table")]
    assert specified.count({"AttributeName": "expires_at", "Enabled": True}) == 4
    rules = [rule for bucket in _properties(prod, "AWS::S3::Bucket") for rule in bucket["LifecycleConfiguration"]["Rules"]]
    assert sorted(rule["ExpirationInDays"] for rule in rules) == [14, 90]


def test_a_deployment_may_keep_nothing_of_what_trackers_told(dev_otherwise: Template) -> None:
    assert len(dev_otherwise.of_type("AWS::S3::Bucket")) == 1
    for function in ("match_triggers", "admin_api"):
        environment = dev_otherwise.functions()[function]["Properties"]["Environment"]["Variables"]
        assert environment["SENDBRIDGE_EVENTS_BUCKET"] == ""
    assert "s3:PutObject" not in dev_otherwise.granted()["match_triggers"]
    assert "s3:GetObject" not in dev_otherwise.granted()["admin_api"]


def test_queues_and_what_is_parked_are_encrypted_and_reached_over_tls(prod: Template) -> None:
    queues = prod.of_type("AWS::SQS::Queue")
    names = {p["Properties"]["QueueName"] for p in queues.values()}
    assert names == {f"sendbridge-prod-{name}{end}" for name in QUEUES for end in ("", "-parked")}
    assert {p["Properties"]["SqsManagedSseEnabled"] for p in queues.values()} == {True}
    guarded = {p["Queues"][0]["Ref"] for p in _properties(prod, "AWS::SQS::QueuePolicy") if _denies_plain_http(p)}
    assert guarded == set(queues)


def test_the_buckets_are_encrypted_private_and_reached_over_tls(prod: Template) -> None:
    buckets = prod.of_type("AWS::S3::Bucket")
    assert len(buckets) == 2
    for bucket in buckets.values():
        assert bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    guarded = {p["Bucket"]["Ref"] for p in _properties(prod, "AWS::S3::BucketPolicy") if _denies_plain_http(p)}
    assert guarded == set(buckets)


def _denies_plain_http(policy: dict[str, Any]) -> bool:
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    return any(s["Effect"] == "Deny" and s.get("Condition") == insecure for s in policy["PolicyDocument"]["Statement"])


def test_what_keeps_failing_is_parked(prod: Template) -> None:
    queues = _properties(prod, "AWS::SQS::Queue")
    redriven = [q for q in queues if "RedrivePolicy" in q]
    assert {q["QueueName"].removeprefix("sendbridge-prod-") for q in redriven} == set(QUEUES)
    assert {q["RedrivePolicy"]["maxReceiveCount"] for q in redriven} == {Environment(name="prod").max_receive_count}
    assert all(q["VisibilityTimeout"] >= 6 * 30 for q in redriven)


def test_a_failed_record_does_not_take_its_batch_along(prod: Template) -> None:
    mappings = _properties(prod, "AWS::Lambda::EventSourceMapping")
    assert len(mappings) == len(QUEUES)
    assert {tuple(m["FunctionResponseTypes"]) for m in mappings} == {("ReportBatchItemFailures",)}


@pytest.mark.parametrize(("environment", "wanted"), [("prod", (10, None)), ("dev_otherwise", (100, 1))])
def test_messages_are_gathered_where_the_deployment_says_so(
    environment: str, wanted: tuple[int, int | None], request: pytest.FixtureRequest
) -> None:
    template: Template = request.getfixturevalue(environment)
    sender = next(name for name in template.of_type("AWS::Lambda::Function") if "sendmessage" in name)
    mappings = _properties(template, "AWS::Lambda::EventSourceMapping")
    (mapping,) = [one for one in mappings if one["FunctionName"] == {"Ref": sender}]
    assert (mapping["BatchSize"], mapping.get("MaximumBatchingWindowInSeconds")) == wanted


def test_alarms_are_set_and_reach_the_address(prod: Template) -> None:
    alarms = {p["AlarmName"].removeprefix("sendbridge-prod-"): p for p in _properties(prod, "AWS::CloudWatch::Alarm")}
    of_queues = {f"{queue}-{what}" for queue in QUEUES for what in ("parked", "age")}
    of_functions = {f"{function}-{what}" for function in FUNCTIONS for what in ("errors", "throttles")}
    assert set(alarms) == {*of_queues, *of_functions, "tokens", "misconfigured", "trackers-silent"}
    assert len({json.dumps(p["AlarmActions"]) for p in alarms.values()}) == 1
    (subscription,) = _properties(prod, "AWS::SNS::Subscription")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "sendbridge-alarms@example.com")


def test_the_alarm_topic_is_encrypted_with_a_key_that_cloudwatch_may_use(prod: Template) -> None:
    (topic,) = _properties(prod, "AWS::SNS::Topic")
    (key,) = _properties(prod, "AWS::KMS::Key")
    assert topic["KmsMasterKeyId"]
    assert key["EnableKeyRotation"] is True
    services = [s["Principal"].get("Service") for s in key["KeyPolicy"]["Statement"]]
    assert "cloudwatch.amazonaws.com" in services


def test_the_api_is_throttled_and_logs_neither_path_nor_address(prod: Template) -> None:
    (stage,) = _properties(prod, "AWS::ApiGatewayV2::Stage")
    limits = stage["DefaultRouteSettings"]
    assert (limits["ThrottlingRateLimit"], limits["ThrottlingBurstLimit"]) == (500, 1000)
    logged = set(json.loads(stage["AccessLogSettings"]["Format"]).values())
    assert logged
    assert not {"$context.path", "$context.identity.sourceIp", "$context.http.path"} & logged


def test_routes_for_people_want_aws_credentials(prod: Template) -> None:
    wanted = {p["RouteKey"]: p["AuthorizationType"] for p in _properties(prod, "AWS::ApiGatewayV2::Route")}
    assert {kind for route, kind in wanted.items() if "/v1/admin" in route} == {"AWS_IAM"}
    assert {kind for route, kind in wanted.items() if "/v1/admin" not in route} == {"NONE"}


def test_or_a_token_where_the_deployment_says_so(dev_otherwise: Template) -> None:
    routes = _properties(dev_otherwise, "AWS::ApiGatewayV2::Route")
    assert {p["AuthorizationType"] for p in routes if "/v1/admin" in p["RouteKey"]} == {"JWT"}
    (authorizer,) = _properties(dev_otherwise, "AWS::ApiGatewayV2::Authorizer")
    assert authorizer["JwtConfiguration"] == {"Audience": ["sendbridge"], "Issuer": "https://login.example"}


def test_without_destinations_there_is_no_queue_to_a_crm(dev_otherwise: Template) -> None:
    names = {p["QueueName"] for p in _properties(dev_otherwise, "AWS::SQS::Queue")}
    assert not [name for name in names if "crm" in name]


def test_there_is_one_dashboard_that_shows_every_function_and_queue(prod: Template) -> None:
    (dashboard,) = _properties(prod, "AWS::CloudWatch::Dashboard")
    shown = json.dumps(dashboard["DashboardBody"])
    functions, queues = prod.of_type("AWS::Lambda::Function"), prod.of_type("AWS::SQS::Queue")
    assert not [name for name in (*functions, *queues) if name not in shown]


def test_a_stack_that_breaks_a_rule_is_refused() -> None:
    script = """
from aws_cdk import App, Stack, aws_sqs
from infra import nag
app = App()
aws_sqs.Queue(Stack(app, "plain"), "queue")
nag.check(app)
app.synth()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "AwsSolutions-SQS4" in done.stdout + done.stderr
