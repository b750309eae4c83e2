"""Starts and stops the embedded AWS: one process on loopback, with a directory and a port of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REGION = "eu-central-1"
ACCOUNT = "000000000000"

# MiniStack's name for whoever owns the account.
_ROOT_KEY = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
_START_SECONDS = 30


@dataclass(frozen=True)
class Call:
    """One call that a role made, as the embedded AWS checked it. `action` is IAM's name, like `sqs:SendMessage`."""

    at: float
    role: str
    action: str
    resource: str
    allowed: bool


@dataclass(frozen=True)
class EmbeddedAws:
    """A running one. `endpoint` is its URL; `directory` holds its log, its calls and the functions' unpacked code."""

    endpoint: str
    directory: Path
    pid: int

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.directory / "ministack.log"

    def environment(self) -> dict[str, str]:
        """The variables that make boto3, the CDK and the sendbridge command talk to it, as the account's owner."""
        return {**_ROOT_KEY, **_region(), "AWS_ENDPOINT_URL": self.endpoint, "AWS_EC2_METADATA_DISABLED": "true"}

    def calls(self) -> list[Call]:
        """What roles called so far, in order."""
        recorded = self.directory / "calls.jsonl"
        lines = recorded.read_text().splitlines() if recorded.exists() else []
        return [Call(**json.loads(line)) for line in lines]

    def api_url(self, api_id: str) -> str:
        """Where an HTTP API is served. Not `ID.execute-api.localhost`: not every resolver knows names under localhost."""
        return f"{self.endpoint}/_aws/execute-api/{api_id}"


@contextlib.contextmanager
def embedded_aws() -> Iterator[EmbeddedAws]:
    """Runs one until the block ends. It also ends, with the functions it runs, when this process is killed.

    Raises RuntimeError with the end of its log if it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="sendbridge-aws-", ignore_cleanup_errors=True) as scratch:
        directory = Path(scratch)
        port = _free_port()
        with (directory / "ministack.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.local.emulator", scratch],
                cwd=ROOT,
                env=_environment(directory, port),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        aws = EmbeddedAws(f"http://127.0.0.1:{port}", directory, process.pid)
        try:
            _wait_until_healthy(aws, process)
            yield aws
        finally:
            _end(process)


def _environment(directory: Path, port: int) -> dict[str, str]:
    """Only what is listed: MiniStack hands its own environment to the functions."""
    (directory / "tmp").mkdir()
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TMPDIR": str(directory / "tmp"),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        # Calls are checked against the policies of the role that makes them.
        "AUTH": "true",
        **_ROOT_KEY,
        **_region(),
    }


def _region() -> dict[str, str]:
    return {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(aws: EmbeddedAws, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{aws.endpoint}/_ministack/health", timeout=2):  # noqa: S310
            return
        time.sleep(0.05)
    raise RuntimeError(f"The embedded AWS did not start. The end of its log:\n{_tail(aws.log)}")


def _tail(log: Path, characters: int = 2000) -> str:
    return log.read_text(errors="replace")[-characters:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """The whole group at once: there is nothing to save, and a function must not outlive its cloud."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()
