"""Sending a vendor's preset for real: rendered, signed in as the vendor wants it, and posted to its sandbox."""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, cast
from urllib.parse import urlsplit

from pydantic import JsonValue

from connectors.base import Post
from connectors.esps.base import Answered, Outgoing, Sent
from connectors.esps.webhooks import ParsedEvents, read_post
from connectors.registry import ESPS
from shared.clock import utc_now
from shared.definitions import Integration
from shared.exchange import Exchange, Request, Response, run
from shared.http import Http
from shared.json_templates import render_json
from shared.problem import method_of, raw_body, url_of
from shared.secrets import Secrets
from shared.state import Leases
from shared.tokens import Tokens
from tests.contract.sample import filled
from tests.sandbox.esps.vendor import VendorSandbox

_AS_IT_IS: Mapping[str, JsonValue] = {}
T = TypeVar("T")

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@contextmanager
def sandbox_of(vendor: str) -> Iterator[VendorSandbox]:
    """The vendor's sandbox, running; its usual credentials are those that `filled` puts into a preset."""
    kind = cast("type[VendorSandbox]", importlib.import_module(f"tests.sandbox.esps.{vendor}").SANDBOX)
    with kind.run() as sandbox:
        yield sandbox


def at_sandbox(vendor: str, sandbox: VendorSandbox, **changes: JsonValue) -> Integration:
    """The vendor's preset, filled in, but for where it is posted to."""
    made = filled(vendor, **changes)
    auth = made.auth
    if auth.type == "oauth2":
        auth = auth.model_copy(update={"token_url": _moved(auth.token_url, sandbox.url)})
    return made.model_copy(update={"url": _moved(made.url, sandbox.url), "auth": auth})


def _moved(url: str, where: str) -> str:
    return where + url.removeprefix(f"https://{urlsplit(url).netloc}")


def rendered(integration: Integration, number: int = 1, **changes: JsonValue) -> Outgoing:
    """One message as `send_message` would hand it on: to `person<number>@example.com`, or `+1555010<number>`."""
    to = f"person{number}@example.com" if integration.channel == "email" else f"+1555010{number:04}"
    own: dict[str, JsonValue] = {
        "id": f"m_{number:032x}",
        "uuid": f"00000000-0000-4000-8000-{number:012x}",
        "trigger": "cart",
        "campaign": "Autumn",
        "delivery": "First reminder",
        "template": "cart",
        "subject": f"Grüße, “{number}”",
        "html": f"<p>Your cart & more, {number}</p>",
        "text": f"Your cart, {number}",
    }
    variables: dict[str, JsonValue] = {
        "identifier": to,
        "to": to,
        "profile": {"email": to},
        "unsubscribe_url": f"https://api.example.com/u/{number}",
        "mirror_url": f"https://api.example.com/m/{number}",
        "message": own,
        **changes,
    }
    body = render_json("body", integration.body, variables)
    url = render_json("url", integration.url, variables)
    headers = cast("dict[str, str]", render_json("headers", {**integration.headers}, variables))
    return Outgoing(str(own["id"]), str(url), body, headers)


class Kept:
    """Secrets Manager, in memory."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, JsonValue]] = {}

    def read(self, name: str) -> dict[str, JsonValue] | None:
        """What was written."""
        return self._values.get(name)

    def write(self, name: str, value: dict[str, JsonValue]) -> None:
        """Keeps it."""
        self._values[name] = value


class Free:
    """Leases that nobody else wants."""

    def take(self, name: str, seconds: float) -> bool:
        """Always."""
        return bool(name and seconds)

    def give_back(self, name: str, *, after: float = 0) -> None:
        """Nothing to do."""


def send(integration: Integration, messages: Sequence[Outgoing]) -> Answered:
    """Sends messages as `send_message` does. Raises what the network raises."""
    return _done(integration, ESPS.load(integration.connector).send(integration, messages, utc_now))


def looked_up(integration: Integration, message: Outgoing) -> Sent | None:
    """What the vendor says of a message whose fate is unknown. Raises what the network raises."""
    operation = ESPS.load(integration.connector).look_up(integration, message, utc_now)
    assert operation is not None
    return _done(integration, operation)


def _done(integration: Integration, operation: Exchange[T]) -> T:
    http = Http((f"http://{urlsplit(integration.url).netloc}",))
    tokens = Tokens(cast("Secrets", Kept()), cast("Leases", Free()), http.send, utc_now)
    authorised = tokens.authorised("integration", integration.name, integration.auth, http.send)
    try:
        return run(operation, authorised)
    finally:
        http.close()


def asked(integration: Integration, messages: Sequence[Outgoing], *answers: Response) -> tuple[Answered, list[Request]]:
    """Sends messages to nobody: these are the answers, the last one again if there are more requests."""
    requests: list[Request] = []

    def answer(request: Request) -> Response:
        requests.append(request)
        return answers[min(len(requests), len(answers)) - 1]

    return run(ESPS.load(integration.connector).send(integration, messages, lambda: NOW), answer), requests


def told(
    vendor: str, body: object, headers: Mapping[str, str], now: datetime = NOW, changes: Mapping[str, JsonValue] = _AS_IT_IS
) -> ParsedEvents:
    """What a post to a vendor's preset, with these changes, tells: bytes as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_post(ESPS.load(vendor), filled(vendor, **changes), Post(headers, raw), lambda: now)


def login(credentials: str) -> dict[str, str]:
    """The header of a post that proves by user and password who it is from."""
    return {"authorization": "Basic " + base64.b64encode(credentials.encode()).decode()}


def summary(parsed: ParsedEvents) -> list[tuple[str, str, bool]]:
    """Message, type, and whether it is a hard bounce, of each engagement."""
    return [(one.message_id, one.type, one.hard) for one in parsed.engagements]


def sample_post(vendor: str) -> Post:
    """The post in `events/receive_engagement`, as `receive_engagement` hands it on."""
    event = json.loads((Path(__file__).parents[3] / "events" / "receive_engagement" / f"{vendor}.json").read_text())
    return Post(event["headers"], raw_body(event, 1_000_000), url_of(event), method_of(event))
