"""Deploys the stack to the embedded AWS with the real CDK command line: bootstrap, then deploy."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from cli.local.aws import ACCOUNT, REGION, ROOT, EmbeddedAws

_BIN = ROOT / ".venv" / "bin"
_CDK = _BIN / "cdk"
STACK = "sendbridge-local"


class DeployError(Exception):
    """The CDK failed; the message ends with what it printed."""


@dataclass(frozen=True)
class Deployment:
    """What was deployed: the API's URL without a slash at its end, and the outputs of the stack by name."""

    url: str
    outputs: Mapping[str, str]

    def queue(self, name: str) -> str:
        """URL of a queue, by the name in docs/architecture.md (`crm-dynamics`, `events-parked`)."""
        return self.outputs[f"Queue{_camel(name)}"]

    def table(self, name: str) -> str:
        """Name of a table."""
        return self.outputs[f"Table{_camel(name)}"]


def deploy(aws: EmbeddedAws, overrides: Mapping[str, JsonValue] | None = None) -> Deployment:
    """Bootstraps the account and deploys; both do nothing where nothing changed.

    `overrides` go over the settings of the environment `local` in cdk.json. Raises DeployError.
    """
    outputs = aws.directory / "outputs.json"
    synthesise(aws, overrides)
    cdk(aws, "bootstrap", f"aws://{ACCOUNT}/{REGION}")
    cdk(aws, "deploy", STACK, "--require-approval", "never", "--outputs-file", str(outputs))
    values = json.loads(outputs.read_text())[STACK]
    return Deployment(url=values["ApiUrl"], outputs=values)


def synthesise(aws: EmbeddedAws, overrides: Mapping[str, JsonValue] | None = None) -> None:
    """Runs the CDK app once, for all commands that follow. Raises DeployError."""
    settings = {"public_url": aws.api_url("{api_id}"), **(overrides or {})}
    context = ("--context", "environment=local", "--context", f"overrides={json.dumps(settings)}")
    _run(aws, "synth", "--quiet", *context, "--output", str(_assembly(aws)))


def cdk(aws: EmbeddedAws, *command: str) -> str:
    """Runs a CDK command on what was synthesised; returns what it printed. Raises DeployError."""
    return _run(aws, *command, "--app", str(_assembly(aws)))


def _assembly(aws: EmbeddedAws) -> Path:
    return aws.directory / "cdk.out"


def _run(aws: EmbeddedAws, *command: str) -> str:
    done = subprocess.run(
        [str(_CDK), *command, "--no-color", "--ci", "--no-notices"],
        cwd=ROOT,
        env=_environment(aws),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DeployError(f"cdk {command[0]} failed with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout + done.stderr


def _environment(aws: EmbeddedAws) -> dict[str, str]:
    """Ours, less everything that could lead to a real account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
    return {
        **kept,
        "PATH": f"{_BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "NO_COLOR": "1",
        **aws.environment(),
    }


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
