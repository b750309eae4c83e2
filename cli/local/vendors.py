"""The sandboxes of the vendors, in a process of their own, and how to ask and command them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import JsonValue

from cli.local.aws import ROOT


@dataclass(frozen=True)
class Vendor:
    """One sandbox: its URL, and the account there that we use."""

    url: str
    account: Mapping[str, str]

    def command(self, name: str, **arguments: JsonValue) -> JsonValue:
        """Has the sandbox do something (`fail`, `clear`, `webhook`, …). Raises httpx.HTTPStatusError if it will not."""
        return self._answer(httpx.post(f"{self.url}/_control/{name}", json=arguments, timeout=30, trust_env=False))

    def ask(self, name: str, **query: str) -> JsonValue:
        """What the sandbox knows (`inbox`, `traffic`, `timeline/ID`, …)."""
        return self._answer(httpx.get(f"{self.url}/_control/{name}", params=query, timeout=30, trust_env=False))

    def _answer(self, answer: httpx.Response) -> JsonValue:
        answer.raise_for_status()
        value: JsonValue = answer.json()
        return value


@dataclass(frozen=True)
class Vendors:
    """The sandboxes of this run."""

    esp: Vendor
    crm: Vendor
    adobe: Vendor
    """I/O Events, with Adobe's other hosts: of keys, tokens and journals."""

    @property
    def origins(self) -> list[str]:
        """What a deployment has to allow by name, as no loopback address is allowed otherwise."""
        return [self.esp.url, self.crm.url, self.adobe.url]

    @property
    def stand_ins(self) -> dict[str, JsonValue]:
        """Who is asked instead of hosts that a vendor has fixed."""
        return {"https://static.adobeioevents.com": self.adobe.url}


@contextlib.contextmanager
def sandboxes(directory: Path) -> Iterator[Vendors]:
    """Runs the sandboxes until the block ends; they end with this process in any case, as their standard input closes."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.sandbox", "--state-dir", str(directory)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise RuntimeError("The sandboxes did not start.")
            found = {name: Vendor(facts["url"], facts) for name, facts in json.loads(line).items()}
            yield Vendors(esp=found["esp"], crm=found["dynamics"], adobe=found["adobe"])
        finally:
            process.kill()
