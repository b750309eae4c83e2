"""Traces, parked items, how a deployment is found, and how a failure is told."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest

from cli import api
from cli.main import main
from shared.jobs import Hop, MessageJob
from shared.ledger import Ledger
from shared.queues import Queue
from shared.state import Leases
from tests.aws import Aws
from tests.cli.conftest import DEFINITIONS, Bridge, Sendbridge

MESSAGE = "m_" + "0a" * 16


@pytest.fixture
def _skipped(aws: Aws) -> None:
    job = MessageJob(
        message_id=MESSAGE,
        trigger="abandoned_cart",
        trigger_version=1,
        visit_id="shop#a#browser-1",
        profile_id=None,
        decided="skip",
        reason="no profile",
        campaign="c",
        delivery="d",
        template="t",
        integration="i",
        decided_at=aws.clock(),
        anchor_at=aws.clock(),
        valid_until=aws.clock(),
        hops=(Hop(at=aws.clock(), hop="match_triggers", what="timer", data={"lateness": 0.12, "seen": ["p_1", 2.5]}),),
    )
    aws.clock.forward(1.5)
    hop = Hop(at=aws.clock(), hop="send_message", what="skipped", reason="no profile")
    Ledger(aws.dynamodb, aws.table("messages"), aws.clock, 86400).skip(job, [*job.hops, hop])


@pytest.mark.usefixtures("_skipped")
@pytest.mark.parametrize(
    "arguments",
    [
        [MESSAGE],
        ["shop#a#browser-1"],
        ["--tracker", "shop", "--anonymous-id", "browser-1"],
    ],
)
def test_a_trace_tells_when_where_what_and_why(sendbridge: Sendbridge, arguments: list[str]) -> None:
    run = sendbridge("trace", *arguments)
    assert run.code == 0
    assert run.out.splitlines() == [
        f"{MESSAGE}  skipped",
        "  trigger=abandoned_cart  integration=i  campaign=c  delivery=d  visit_id=shop#a#browser-1",
        "  2026-11-21T12:00:00.000Z  match_triggers  timer    (lateness=0.12 seen=p_1,2.5)",
        "  2026-11-21T12:00:01.500Z  send_message    skipped  no profile",
    ]


def test_a_visitor_without_messages_is_told_so(sendbridge: Sendbridge) -> None:
    run = sendbridge("trace", "--tracker", "shop", "--user-id", "nobody")
    assert (run.code, run.out[:45]) == (0, "No message was decided for this visitor: no t")
    assert sendbridge("--json", "trace", "--tracker", "shop", "--user-id", "nobody").json["traces"] == []


def test_an_unknown_message_is_one_sentence(sendbridge: Sendbridge) -> None:
    run = sendbridge("trace", MESSAGE)
    assert (run.code, run.out) == (2, "")
    assert run.err == "there is no message with this id: it may be too old, or not decided yet\n"


def test_parked_items_are_shown_and_sent_back(sendbridge: Sendbridge, aws: Aws) -> None:
    assert sendbridge("parked").out == "Nothing is parked.\n"
    for queue in ("events", "crm-dynamics"):
        Queue(aws.sqs, aws.queue(f"{queue}-parked")).park('{"a": 1}', "the vendor refuses it", aws.clock)
    run = sendbridge("parked")
    assert [line.split()[0] for line in run.out.splitlines() if not line.startswith(" ")] == ["events", "crm-dynamics"]
    assert "  why   the vendor refuses it\n" in run.out
    (item,) = sendbridge("--json", "parked", "--queue", "crm-dynamics").json["items"]
    missed = sendbridge("redrive", "--queue", "crm-dynamics", "unknown")
    assert (missed.code, missed.out.splitlines()[1]) == (1, "Not found among the parked items: unknown")
    done = sendbridge("redrive", "--queue", "crm-dynamics", item["id"])
    assert (done.code, done.out) == (0, "crm-dynamics: 1 sent back, 0 still parked.\n")
    assert aws.received("crm-dynamics") == ['{"a": 1}']
    assert sendbridge("--json", "redrive", "--queue", "events").json["redriven"] == 1


def test_a_queue_that_is_not_there_names_those_that_are(sendbridge: Sendbridge) -> None:
    run = sendbridge("redrive", "--queue", "nothing")
    assert (run.code, run.err) == (
        2,
        "there is no such queue; there are: events, timers, messages, engagements, crm-dynamics\n",
    )


def test_requests_are_signed_for_the_api(sendbridge: Sendbridge, bridge: Bridge) -> None:
    sendbridge("trace", "shop#a#with space & more")
    assert "/eu-west-1/execute-api/aws4_request" in bridge.authorizations[-1]
    assert bridge.seen[-1] == ("GET", "/v1/admin/traces?visit=shop%23a%23with%20space%20%26%20more")


def test_a_token_is_sent_where_there_is_one(sendbridge: Sendbridge, bridge: Bridge) -> None:
    assert sendbridge("parked", "--token", "abc").code == 0
    assert set(bridge.authorizations) == {"Bearer abc"}


def test_the_url_is_found_in_the_stack(sendbridge: Sendbridge, bridge: Bridge, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = f"sendbridge-{aws.suffix}"
    template = {
        "Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {}}},
        "Outputs": {"ApiUrl": {"Value": f"http://127.0.0.1:{bridge.server_port}"}},
    }
    boto3.client("cloudformation").create_stack(StackName=stack, TemplateBody=json.dumps(template))
    monkeypatch.delenv("SENDBRIDGE_URL")
    assert sendbridge("--stack", stack, "diff", "-f", DEFINITIONS).code == 1
    assert sendbridge("diff", "-f", DEFINITIONS, "--stack", stack).code == 1
    wrong = sendbridge("parked", "--stack", "nothing")
    assert wrong.code == 1
    assert wrong.err.startswith("The stack nothing cannot be read: ")
    assert len(wrong.err.splitlines()) == 1


def test_the_local_deployment_is_found_in_its_file(
    sendbridge: Sendbridge, bridge: Bridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{bridge.server_port}"
    monkeypatch.setenv("SENDBRIDGE_URL", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    missing = sendbridge("--local", "parked")
    assert (missing.code, missing.err) == (
        2,
        ".local/env is not here: is `make run` running, from this directory?\n",
    )
    Path(".local").mkdir()
    Path(".local/env").write_text(f"SENDBRIDGE_URL={url}\nSHOP_SECRET=a=b\n")
    assert sendbridge("--local", "parked").out == "Nothing is parked.\n"


@pytest.mark.parametrize(
    ("answer", "code", "expected"),
    [
        ((403, b'{"message": "Forbidden"}'), 1, "The deployment does not let you in (HTTP 403): Forbidden"),
        ((500, b'{"message": "Internal Server Error"}'), 1, "The deployment failed (HTTP 500): Internal Server Error"),
        ((503, b"<html>"), 1, "The deployment failed (HTTP 503): no reason given"),
        ((404, b'{"detail": "there is nothing at this path"}'), 2, "there is nothing at this path"),
    ],
)
def test_a_failure_is_one_sentence(
    sendbridge: Sendbridge, bridge: Bridge, answer: tuple[int, bytes], code: int, expected: str
) -> None:
    bridge.answers.append(answer)
    run = sendbridge("trace", MESSAGE)
    assert (run.code, run.out, run.err) == (code, "", expected + "\n")


def test_nobody_there_is_one_sentence(sendbridge: Sendbridge) -> None:
    run = sendbridge("--url", "http://127.0.0.1:9", "parked")
    assert run.code == 1
    assert run.err.startswith("No answer from http://127.0.0.1:9/v1/admin: ")
    assert len(run.err.splitlines()) == 1


def test_an_unknown_profile_is_bad_input(sendbridge: Sendbridge) -> None:
    run = sendbridge("--profile", "nobody-has-this", "parked")
    assert (run.code, len(run.err.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["trace"],
        ["trace", "m_1", "--tracker", "shop"],
        ["trace", "--tracker", "shop"],
        ["trace", "--anonymous-id", "a", "--user-id", "b"],
        ["redrive"],
        ["apply"],
    ],
)
def test_arguments_that_make_no_sense_are_refused(sendbridge: Sendbridge, bridge: Bridge, arguments: list[str]) -> None:
    run = sendbridge(*arguments)
    assert run.code == 2
    assert run.err
    assert "Traceback" not in run.err
    assert bridge.seen == []


def test_help_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "redrive" in capsys.readouterr().out


def test_applying_waits_while_somebody_else_is(
    sendbridge: Sendbridge, aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Leases(aws.dynamodb, aws.table("state"), aws.clock)
    assert other.take("definitions", 30)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            other.give_back("definitions")

    monkeypatch.setattr(api.Api.__init__, "__kwdefaults__", {"sleep": sleep})
    file = tmp_path / "t.yaml"
    file.write_text("kind: template\nname: t\nsubject: s\nhtml: h\n")
    assert sendbridge("apply", "-f", file).out.startswith("created    template/t\n")
    assert waited == [1, 1, 1]
