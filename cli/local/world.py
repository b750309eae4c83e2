"""A whole Sendbridge on this machine: embedded AWS, vendors' sandboxes, the deployed stack with its definitions published."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from cli.local.aws import ROOT, EmbeddedAws, embedded_aws
from cli.local.deploy import Deployment, deploy
from cli.local.vendors import Vendors, sandboxes
from cli.main import main as sendbridge

Say = Callable[[str], None]

DEFINITIONS = ROOT / "events" / "definitions"

TEST_ADDRESS = "test@sendbridge.example"
"""Whom tests and proofs go to: nobody else of this world."""


@dataclass(frozen=True)
class World:
    """What `make run` and the deployed tests stand on."""

    aws: EmbeddedAws
    deployment: Deployment
    vendors: Vendors
    shop_secret: str
    environment: Mapping[str, str]
    """Variables with which the `sendbridge` command, and any AWS client, reaches this deployment."""

    @property
    def events_url(self) -> str:
        """Where the tracker `shop` posts."""
        return f"{self.deployment.url}/v1/events/shop"

    def sendbridge(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> JsonValue:
        """Runs the command with `--json` in this process. Raises RuntimeError with what it said if its exit code is another."""
        out, err = io.StringIO(), io.StringIO()
        with _environ(self.environment), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = sendbridge(["--json", *arguments])
        if code not in accept:
            raise RuntimeError(f"sendbridge {' '.join(arguments)} ended with {code}: {err.getvalue().strip()}")
        value: JsonValue = json.loads(out.getvalue())
        return value

    def run_command(self, *arguments: str) -> str:
        """Runs the command as a person does; what it printed. Raises RuntimeError if it fails."""
        done = subprocess.run(
            [str(ROOT / ".venv" / "bin" / "sendbridge"), *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"sendbridge {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout


@contextlib.contextmanager
def world(say: Say = lambda _: None, overrides: Mapping[str, JsonValue] | None = None) -> Iterator[World]:
    """Starts everything, deploys, publishes the definitions of `events/definitions`; all of it ends with the block."""
    with embedded_aws() as aws, sandboxes(aws.directory / "sandboxes") as vendors:
        say(f"Embedded AWS is up at {aws.endpoint}; sandboxes: ESP {vendors.esp.url}, Dynamics 365 {vendors.crm.url}")
        deployment = deploy(aws, {"allowed_origins": list(vendors.origins), "stand_ins": vendors.stand_ins, **(overrides or {})})
        say(f"cdk bootstrap and cdk deploy are done: {deployment.url}")
        webhook_secret, shop_secret = _secret(), _secret()
        environment = {
            **aws.environment(),
            "SENDBRIDGE_URL": deployment.url,
            "SHOP_SECRET": shop_secret,
            "ESP_URL": vendors.esp.url,
            "ESP_CLIENT_ID": vendors.esp.account["client_id"],
            "ESP_CLIENT_SECRET": vendors.esp.account["client_secret"],
            "ESP_WEBHOOK_SECRET": webhook_secret,
            "DYNAMICS_URL": vendors.crm.url,
            "DYNAMICS_TOKEN_URL": f"{vendors.crm.url}/{vendors.crm.account['tenant']}/oauth2/v2.0/token",
            "DYNAMICS_CLIENT_ID": vendors.crm.account["client_id"],
            "DYNAMICS_CLIENT_SECRET": vendors.crm.account["client_secret"],
        }
        made = World(aws, deployment, vendors, shop_secret, environment)
        for line in made.run_command("apply", "-f", str(DEFINITIONS)).splitlines():
            say(f"  sendbridge apply: {line}")
        tested = made.run_command("test", "postbird", "--to", TEST_ADDRESS, "--publish")
        for line in tested.splitlines()[-2:]:
            say(f"  sendbridge test: {line}")
        proven = made.run_command("proof", "abandoned_cart", "--to", TEST_ADDRESS, "--publish")
        for line in proven.splitlines()[-4:]:
            say(f"  sendbridge proof: {line}")
        vendors.esp.command("webhook", url=f"{deployment.url}/v1/engagements/postbird", secret=webhook_secret)
        yield made


def _secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@contextlib.contextmanager
def _environ(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
