"""What a shop's site would run: posts its visitors' events to a webhook, signed by Standard Webhooks.

From a shell: `python -m tests.sandbox.tracker --url URL --secret whsec_… FILE.json` prints one line per answer. The file
holds `{"events": […]}` or a list of events `{"id", "name", "time"?, "anonymous_id"?, "user_id"?, "properties"?,
"traits"?}`; an event without a time happens now.
"""

import argparse
import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import httpx

from tests.sandbox.clock import Clock, iso
from tests.sandbox.standard_webhooks import broken, headers

Break = Literal["signature", "body", "altered"]
Event = Mapping[str, object]


class Tracker:
    """Posts events to `url`, signing with `secret` (`whsec_…`); `clock` says what time it is on the site."""

    def __init__(self, url: str, secret: str, clock: Clock | None = None, seconds: float = 30.0) -> None:
        self.url, self.secret, self.clock = url, secret, clock or Clock()
        self.client = httpx.Client(timeout=seconds, trust_env=False, headers={"user-agent": "sandbox-tracker/1.0"})

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def post(
        self,
        events: Sequence[Event],
        *,
        repeat: int = 1,
        spoil: Break | None = None,
        age_seconds: float = 0.0,
        message_id: str | None = None,
    ) -> list[httpx.Response]:
        """Post the events once, or `repeat` times under one webhook-id; the answers.

        `spoil="signature"` signs wrongly, `"body"` sends half the JSON with a good signature, `"altered"` changes the
        body after signing. `age_seconds` dates the signature back.
        """
        body = self.body(events)
        body = body[: len(body) // 2] if spoil == "body" else body
        return self.send(body, repeat=repeat, spoil=spoil, age_seconds=age_seconds, message_id=message_id)

    def send(
        self,
        body: bytes,
        *,
        repeat: int = 1,
        spoil: Break | None = None,
        age_seconds: float = 0.0,
        message_id: str | None = None,
    ) -> list[httpx.Response]:
        """Post any bytes, signed."""
        stamp = int(self.clock() - age_seconds)
        signed = headers(self.secret, message_id or f"msg_{uuid.uuid4().hex}", stamp, body)
        signed = broken(signed) if spoil == "signature" else signed
        sent = body + b" " if spoil == "altered" else body
        return [self.client.post(self.url, content=sent, headers=signed) for _ in range(repeat)]

    def body(self, events: Sequence[Event]) -> bytes:
        """The request body for these events."""
        now = iso(self.clock())
        return json.dumps({"events": [{"time": now, **event} for event in events]}, ensure_ascii=False).encode()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when every answer was 2xx, 1 when not, 2 for a file that holds no events."""
    asked = _parser().parse_args(arguments)
    try:
        content = json.loads(Path(asked.file).read_text(encoding="utf-8"))
        events = content["events"] if isinstance(content, dict) else content
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{asked.file}: no events in it ({type(error).__name__})\n")
        return 2
    with Tracker(asked.url, asked.secret) as tracker:
        answers = tracker.post(events, repeat=asked.repeat, spoil=asked.spoil, age_seconds=asked.age)
    for answer in answers:
        sys.stdout.write(f"{answer.status_code} {answer.text}\n")
    return 0 if all(answer.is_success for answer in answers) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox.tracker")
    parser.add_argument("--url", required=True)
    parser.add_argument("--secret", required=True, help="whsec_ and base64")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--spoil", choices=["signature", "body", "altered"])
    parser.add_argument("--age", type=float, default=0.0, help="seconds the signature is dated back")
    parser.add_argument("file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
