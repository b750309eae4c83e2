"""Runs the real CDK command line, and reads what it made."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_BIN = ROOT / ".venv" / "bin"

Resource = dict[str, Any]  # CloudFormation's JSON


@dataclass(frozen=True)
class Template:
    """A synthesised template."""

    body: dict[str, Any]

    def of_type(self, kind: str) -> dict[str, Resource]:
        """Resources of a type, by logical id."""
        return {name: one for name, one in self.body["Resources"].items() if one["Type"] == kind}

    def functions(self) -> dict[str, Resource]:
        """Function resources, by the name of their folder."""
        found = self.of_type("AWS::Lambda::Function").values()
        return {one["Properties"]["Handler"].split(".")[0]: one for one in found}

    def granted(self) -> dict[str, set[str]]:
        """What each function's role lets it do: `service:Action`, by the name of the function's folder."""
        return {name: {action for action, _ in self.statements(name)} for name in self.functions()}

    def statements(self, function: str) -> Iterator[tuple[str, Any]]:
        """Each action with each resource that a function's role lets it be done on."""
        role = self.functions()[function]["Properties"]["Role"]["Fn::GetAtt"][0]
        for policy in self.of_type("AWS::IAM::Policy").values():
            if {"Ref": role} in policy["Properties"]["Roles"]:
                for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                    assert statement["Effect"] == "Allow"
                    for action in _listed(statement["Action"]):
                        for resource in _listed(statement["Resource"]):
                            yield action, resource


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def cdk(*arguments: str, environment: str, overrides: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """The CDK command line without an account: no credentials, no region, no profile."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    context = ["-c", f"environment={environment}", "-c", f"overrides={json.dumps(overrides or {})}"]
    return subprocess.run(
        [_BIN / "cdk", *arguments, *context, "--no-color", "--no-notices", "--ci"],
        cwd=ROOT,
        env={**kept, **nothing, "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def synthesise(environment: str, into: Path, overrides: dict[str, Any] | None = None) -> Template:
    """The template of one environment. Fails with the CDK's words if a rule of cdk-nag is broken."""
    done = cdk("synth", "--quiet", "--output", str(into), environment=environment, overrides=overrides)
    assert done.returncode == 0, done.stdout + done.stderr
    return Template(json.loads((into / f"sendbridge-{environment}.template.json").read_text()))
