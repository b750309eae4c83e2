"""How long `make run` takes to the finished trace, with everything installed and built before.

Run with `python -m tests.bench.run_time`.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass

from cli.local.aws import ROOT

RUNS = 2
"""The first may still have to build."""


@dataclass(frozen=True)
class RunTime:
    """Seconds."""

    first: float
    warm: float


def measure() -> RunTime:
    """Raises CalledProcessError if the job does not come to its end."""
    first, *_, warm = [_run() for _ in range(RUNS)]
    return RunTime(first, warm)


def _run() -> float:
    began = time.monotonic()
    subprocess.run(["make", "run"], cwd=ROOT, env={**os.environ, "CI": "true"}, check=True, capture_output=True)
    return time.monotonic() - began


def show(it: RunTime) -> None:
    """Prints the figures."""
    print(f"make run to the finished trace: {it.first:.0f} s, and again {it.warm:.0f} s")


def main() -> None:
    """Prints the figures."""
    show(measure())


if __name__ == "__main__":
    main()
