"""`make run`: the whole of Sendbridge on this machine, playing its main job, and then serving until Ctrl-C.

With `CI=true`, or without a terminal, it ends after the trace: 0 if every step was seen, 1 if any is missing.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from datetime import datetime

from cli.local.aws import ROOT
from cli.local.deploy import DeployError
from cli.local.main_job import Message, Outcome, mirror_url, play
from cli.local.world import World, world

LOCAL = ROOT / ".local"


def main() -> int:
    """Plays the job; the exit code."""
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:6.1f} s] {text}", flush=True)

    try:
        with world(say) as made:
            outcome = play(made, say)
            show(outcome)
            say("The job is done." if not outcome.problems else "The job is NOT done.")
            if not outcome.problems and _is_interactive():
                serve(made, outcome)
    except DeployError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 1 if outcome.problems else 0


def _is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("CI", "").lower() not in ("1", "true")


def show(outcome: Outcome) -> None:
    """Prints the finished trace of each message, and what is wrong."""
    for name, message in outcome.traces.items():
        print(f"\n{name}: message {message['message_id']}, {message['status']}")
        for hop in message["trace"]:
            print(f"  {_line(hop)}")
    for problem in outcome.problems:
        print(f"\nMISSING: {problem}")
    print(flush=True)


def _line(hop: Mapping[str, object]) -> str:
    at = datetime.fromisoformat(str(hop["at"])).strftime("%H:%M:%S.%f")[:-3]
    why = f": {hop['reason']}" if hop.get("reason") else ""
    data = hop.get("data")
    figures = "  " + ", ".join(f"{key}={value}" for key, value in data.items()) if isinstance(data, dict) and data else ""
    return f"{at}  {hop['hop']:<18} {hop['what']}{why}{figures}"


def serve(made: World, outcome: Outcome) -> None:
    """Says how to go on, keeps the way in at `.local/env`, and waits for Ctrl-C."""
    LOCAL.mkdir(exist_ok=True)
    env = LOCAL / "env"
    env.write_text("".join(f"{name}={value}\n" for name, value in made.environment.items()))
    env.chmod(0o600)
    print(_HELP.format(**_places(made, outcome.traces)), flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)
    finally:
        env.unlink(missing_ok=True)


def _places(made: World, traces: Mapping[str, Message]) -> dict[str, str]:
    ada = traces["ada"]
    return {
        "inbox": f"{made.vendors.esp.url}/inbox",
        "timeline": f"{made.vendors.crm.url}/timeline",
        "mirror": mirror_url(ada),
        "message": ada["message_id"],
        "url": made.events_url,
        "secret": made.shop_secret,
    }


_HELP = """Still serving; Ctrl-C ends it. In another terminal:

  the inbox          {inbox}
  the timelines      {timeline}
  Ada's mirror page  {mirror}
  a trace            .venv/bin/sendbridge --local trace {message}
  what is parked     .venv/bin/sendbridge --local parked
  is all well?       .venv/bin/sendbridge --local doctor

  your own events    echo '[{{"id": "me-1", "name": "Product Added", "anonymous_id": "me", "user_id": "me",
                       "traits": {{"email": "me@example.com", "first_name": "Me"}}}}]' > mine.json
                     .venv/bin/python -m tests.sandbox.tracker --url {url} \\
                       --secret {secret} mine.json
                     .venv/bin/sendbridge --local trace --tracker shop --anonymous-id me
"""

if __name__ == "__main__":
    sys.exit(main())
