"""What the senders of behaviour share: a post, its repeats when it fails, and JSON as JavaScript writes it."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property

import httpx

from tests.sandbox.clock import Clock

Fields = Mapping[str, object]


class Sender:
    """Posts to `url`. A vendor's waits before a repeat pass on its own clock, so nobody waits for them."""

    user_agent = ""
    waits: Sequence[float] = ()
    """Seconds before each repeat of a post that failed."""

    def __init__(self, url: str, *, clock: Clock | None = None, client: httpx.Client | None = None) -> None:
        self.url, self.clock = url, clock or Clock()
        self._client = client

    @cached_property
    def client(self) -> httpx.Client:
        """What it posts with. Made when it is needed: that takes longer than a hundred signatures."""
        return self._client or httpx.Client(timeout=5.0, trust_env=False)

    def failed(self, answer: httpx.Response) -> bool:
        """Whether the vendor repeats a post that was answered so."""
        return not answer.is_success

    def deliver(self, headers: Mapping[str, str], body: bytes, *, waits: Sequence[float] | None = None) -> list[httpx.Response]:
        """One post and its repeats, until it is taken or given up: the same bytes each time. The answers."""
        answers = [self._post(headers, body)]
        for wait in self.waits if waits is None else waits:
            if not self.failed(answers[-1]):
                break
            self.clock.advance(wait)
            answers.append(self._post(headers, body))
        return answers

    def _post(self, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        own = {"user-agent": self.user_agent, "content-type": "application/json"}
        return self.client.post(self.url, content=body, headers={**own, **headers})


def stringified(value: object) -> str:
    """`JSON.stringify(value)`. Its numbers are not Python's: 1.0 is `1`, 1e16 is `10000000000000000`, 1e-7 is `1e-7`."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{stringified(str(key))}:{stringified(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(stringified, value)) + "]"
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "0"
    shortest = Decimal(repr(value)).normalize()
    if 1e-6 <= abs(value) < 1e21:
        return f"{shortest:f}"
    return f"{shortest:e}"


Answering = Callable[[httpx.Request], httpx.Response]


def through(answer: Answering) -> httpx.Client:
    """A client whose requests are answered by this function and go nowhere."""
    return httpx.Client(transport=httpx.MockTransport(answer))
