"""cdk-nag's AwsSolutions rules, and how an exception to one is recorded: on the construct, with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Acknowledgment, App, Stack, Validations
from cdk_nag import AwsSolutionsChecks
from constructs import IConstruct


def check(app: App) -> None:
    """Has every synth check the rules."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def accept(construct: IConstruct, finding: str, reason: str) -> None:
    """Records that this finding (`IAM5[Resource::…]`, `S1`, …) is meant to be on this construct."""
    Validations.of(construct).acknowledge(Acknowledgment(id=f"AwsSolutions-{finding}", reason=reason))


def accept_all_below(construct: IConstruct, arn: str, reason: str) -> None:
    """Records that a policy of this construct means every resource whose ARN begins so."""
    resolved = Stack.of(construct).resolve(arn)
    parts = [resolved] if isinstance(resolved, str) else resolved["Fn::Join"][1]
    written = "".join(part if isinstance(part, str) else f"<{_token(part)}>" for part in parts)
    accept(construct, f"IAM5[Resource::{written}*]", reason)


def _token(part: Mapping[str, str | Sequence[str]]) -> str:
    """How cdk-nag writes a reference: `<AWS::Region>`, `<Table1234.Arn>`."""
    value = next(iter(part.values()))
    return value if isinstance(value, str) else ".".join(value)
