"""`make bench`: all parts, one readable report, and the same figures in `build/bench.json`.

With `--run` also the time of `make run`. Compare ratios to floors rather than figures: machines differ, and are noisy.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

from cli.local.aws import ROOT
from tests.bench import cold_start, job_cost, lateness, match_triggers, receive_event, run_time, send_message

REPORT = ROOT / "build" / "bench.json"

Part = tuple[Callable[[], Any], Callable[[Any], None]]

PARTS: dict[str, Part] = {
    "cold_start": (cold_start.measure, cold_start.show),
    "receive_event": (receive_event.measure, receive_event.show),
    "match_triggers": (match_triggers.measure, match_triggers.show),
    "send_message": (send_message.measure, send_message.show),
    "job_cost": (job_cost.measure, job_cost.show),
    "lateness": (lateness.measure, lateness.show),
}
TIMED: dict[str, Part] = {"run_time": (run_time.measure, run_time.show)}


def main(arguments: list[str]) -> int:
    """Measures, prints, writes; the exit code."""
    if unknown := set(arguments) - {"--run"}:
        print(f"There is only --run, not {' '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    machine = {
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "arch": platform.machine(),
    }
    report: dict[str, object] = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine}
    print(f"{report['at']}, {machine['cpus']} CPUs ({machine['arch']}), load {machine['load']:.1f}, Python {machine['python']}")
    for name, (measure, show) in (PARTS | (TIMED if arguments else {})).items():
        print()
        measured = measure()
        show(measured)
        report[name] = dataclasses.asdict(measured)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nThe same figures are in {REPORT.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
