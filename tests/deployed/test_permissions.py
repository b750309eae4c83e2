"""What functions really called, as the embedded AWS checked it, against what their roles let them."""

from __future__ import annotations

import json

import pytest

from cli.local.world import World
from tests.infra.synthesised import Template

pytestmark = pytest.mark.deployed

PLATFORM = {
    # Done for the function by Lambda itself: its log, and reading the queue it is fed from.
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
}


SELDOM = {
    # Granted for a case that no test can bring about at will, each with the case.
    ("match_triggers", "sqs:ChangeMessageVisibility"): "a visit that others keep changing, or DynamoDB failing",
    ("record_engagement", "sqs:ChangeMessageVisibility"): "DynamoDB or SQS failing",
    ("send_message", "s3:ListBucket"): "what makes a missing object a 404 instead of a 403; no call of its own",
    ("show_mirror", "s3:ListBucket"): "what makes a missing object a 404 instead of a 403; no call of its own",
}


def template(world: World) -> Template:
    return Template(json.loads((world.aws.directory / "cdk.out" / "sendbridge-local.template.json").read_text()))


def function_of(role: str, names: set[str]) -> str | None:
    """The function whose role this is: CDK names a role after its function."""
    plain = role.replace("-", "").lower()
    return next((name for name in names if f"{name.replace('_', '')}role" in plain), None)


def test_no_function_was_ever_denied_anything(deployed: World) -> None:
    denied = {(call.role, call.action, call.resource) for call in deployed.aws.calls() if not call.allowed}
    assert denied == set()


def test_no_function_may_do_what_it_never_does(deployed: World, request: pytest.FixtureRequest) -> None:
    if len({item.path for item in request.session.items if item.get_closest_marker("deployed")}) < 5:
        pytest.fail("this needs the calls of all tests in tests/deployed: run them together")
    granted = template(deployed).granted()
    called: dict[str, set[str]] = {name: set() for name in granted}
    for call in deployed.aws.calls():
        name = function_of(call.role, set(granted))
        if name is not None:
            called[name].add(call.action)
    unused = {(name, action) for name in granted for action in granted[name] - called[name] - PLATFORM}
    found = sorted(f"{name} {action}" for name, action in unused - set(SELDOM))
    assert not found, ", ".join(found)
