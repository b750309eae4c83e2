"""Every sandbox in one process: `python -m tests.sandbox --state-dir DIR`.

Prints one JSON line with the URLs and credentials, then serves until SIGTERM, SIGINT or, when
stdin is a pipe or a terminal, its end. What was
received is kept in DIR and is there again after a restart; so are the ports, unless somebody took them meanwhile.
"""

import argparse
import json
import os
import signal
import stat
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from tests.sandbox.control import Sandbox
from tests.sandbox.dynamics import DynamicsSandbox
from tests.sandbox.esp import EspSandbox
from tests.sandbox.journal import Journal
from tests.sandbox.trackers.adobe_io import AdobeSandbox

SANDBOXES: dict[str, type[Sandbox]] = {"esp": EspSandbox, "dynamics": DynamicsSandbox, "adobe": AdobeSandbox}
REPORTED = ("client_id", "client_secret", "tenant", "organization", "scope")
Report = dict[str, dict[str, str]]


def main() -> int:
    """Start all, report, wait, stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox")
    parser.add_argument("--state-dir", type=Path, required=True)
    directory: Path = parser.parse_args().state_dir
    directory.mkdir(parents=True, exist_ok=True)
    stop = _stop_event()
    with ExitStack() as stack:
        report = _start(stack, directory)
        (directory / "sandboxes.json").write_text(json.dumps(report), encoding="utf-8")
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
        stop.wait()
    return 0


def _start(stack: ExitStack, directory: Path) -> Report:
    before, report = _before(directory), Report()
    for name, kind in SANDBOXES.items():
        journal = Journal(directory / f"{name}.jsonl")
        sandbox = stack.enter_context(kind.run(journal=journal, port=before.get(name, 0)))
        settings = sandbox.settings.model_dump()
        report[name] = {"url": sandbox.url, **{key: settings[key] for key in REPORTED if key in settings}}
    return report


def _before(directory: Path) -> dict[str, int]:
    try:
        known = json.loads((directory / "sandboxes.json").read_text(encoding="utf-8"))
        return {name: urlsplit(facts["url"]).port or 0 for name, facts in known.items()}
    except (OSError, ValueError):
        return {}


def _stop_event() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty():  # /dev/null has always ended
        threading.Thread(target=_read_to_end, args=(stop,), daemon=True).start()
    return stop


def _read_to_end(stop: threading.Event) -> None:
    """Set `stop` when stdin ends: whoever started us is gone. Unbuffered, so that exit need not wait for a lock."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
