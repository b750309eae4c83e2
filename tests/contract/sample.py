"""What a sample of a connector is: all that the contract suite needs to know of a vendor."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import JsonValue

from connectors.base import Post, Rejected
from connectors.esps.base import Outgoing, Sent
from connectors.esps.webhooks import read_post
from connectors.registry import ESPS, TRACKERS
from connectors.trackers.proving import prove
from shared.definitions import Integration
from shared.errors import SendbridgeError
from shared.exchange import Exchange, Request, Response, run
from shared.fields import Definition
from shared.jobs import TrackerEvent
from shared.trackers import Tracker
from shared.validation import secrets_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ADDRESS = "ada.lovelace@example.com"
KEYS = tuple(
    "whsec_" + base64.b64encode(f"a key of {name} for signing".encode()).decode() for name in ("today", "before", "others")
)
"""The present signing secret, the one before it, and a stranger's."""


@dataclass(frozen=True)
class Inbound:
    """What is posted to a connector."""

    sign: Callable[[str, datetime, bytes], dict[str, str]]
    """The headers of a post: with this secret, at this time, of this body."""
    headers: tuple[str, ...]
    """Those without which no post is taken."""
    post: Callable[[Sequence[JsonValue]], bytes]
    """A body with these events."""
    good: tuple[JsonValue, ...]
    """At least two different events, one of them without an id of its own."""
    bad: JsonValue
    receive: Callable[[Mapping[str, str], bytes, datetime], tuple[list[str], list[int]]]
    """Verifies and reads a post: the ids of its events, and the positions of those that cannot be used."""
    dated: bool = True
    """Whether a post proves when it was signed."""
    compares: bool = True
    """Whether a signature is compared with the right one, rather than checked with a public key."""
    is_json: bool = True
    """Whether a body is JSON."""
    covers_body: bool = True
    """Whether a signature covers all of the body: neither a token in a header does, nor who signs the first event of many."""
    fetch: Callable[[Request], Response] | None = None
    """Answers what has to be fetched to verify a post."""
    batches: bool = True
    """Whether a post may have several events. If not, `post` makes one of the first."""


def _plain(status: int, headers: Mapping[str, str], body: bytes) -> Response:
    return Response(status, headers, body)


@dataclass(frozen=True)
class Operation:
    """What a connector asks a vendor to do. `start` begins it with a connector that knows nothing yet."""

    start: Callable[[], Exchange[object]]
    answers: tuple[Response, ...]
    """With these it succeeds."""
    answer: Callable[[int, Mapping[str, str], bytes], Response] = _plain
    """The last answer, if the vendor says this of what was asked for."""
    reads: bool = True
    """Whether success needs a body of the vendor's own form."""
    writes: bool = True
    """Whether something may have been done although the answer cannot be read."""


@dataclass(frozen=True)
class Sample:
    """A connector as somebody would use it."""

    definition: Definition
    secrets: tuple[str, ...]
    """Every secret value of the definition."""
    inbound: Inbound | None = None
    operations: Mapping[str, Operation] = field(default_factory=dict)


def sending(connector: str, integration: Integration, body: JsonValue) -> Exchange[Sent]:
    """The operation of sending one message. Raises what it came to if that is no success."""
    url = integration.url.replace("{{ message.id }}", "m_1")
    answered = yield from ESPS.load(connector).send(integration, [Outgoing("m_1", url, body)], lambda: NOW)
    [outcome] = answered.outcomes
    if isinstance(outcome, SendbridgeError):
        raise outcome
    return outcome


_FILLING = {
    "FROM": "shop@example.com",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "POSTAL_HOST": "postal.example.com",
    "UNISENDER_GO_HOST": "go1.unisender.ru",
    "TWILIO_FROM": "+15005550006",
    "TWILIO_CALLBACK_URL": "https://hooks.example.com/v1/engagements/twilio",
    "VONAGE_CALLBACK_URL": "https://hooks.example.com/v1/engagements/vonage",
    "ADOBE_CAMPAIGN_ORG": "geometrixx",
    "ADOBE_CAMPAIGN_EVENT": "EVTcartAbandon",
    "DELIVRA_PATH": "send",
    "DELIVRA_HOST": "delivra.example.com",
    "DELIVRA_MESSAGE_ID_PATH": "MessageID",
    "BIRD_ORIGINATOR": "Acme",
    "BIRD_CALLBACK_URL": "https://hooks.example.com/v1/engagements/bird",
}
_HOLE = re.compile(r"\$\{[A-Z0-9_]+\}")


def filled(connector: str, **changes: JsonValue) -> Integration:
    """A vendor's preset with every hole filled in: those of `_FILLING` as it says, any other `${NAME}` by
    `name`, the secret NAME by `secret-of-name-0123`."""
    preset = ESPS.load(connector).preset
    assert preset is not None
    return Integration.model_validate({**_filled(dict(preset.definition)), "name": connector, **changes})  # type: ignore[dict-item]


def _filled(part: JsonValue) -> JsonValue:
    if isinstance(part, dict):
        name = part.get("env")
        if isinstance(name, str) and len(part) == 1:
            return f"secret-of-{name.lower().replace('_', '-')}-0123"
        return {key: _filled(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_filled(value) for value in part]
    return (
        _HOLE.sub(lambda hole: _FILLING.get(hole[0][2:-1]) or hole[0][2:-1].lower().replace("_", "-"), part)
        if isinstance(part, str)
        else part
    )


def of_preset(
    connector: str,
    accepted: Response,
    *,
    body: JsonValue,
    inbound: Inbound | None = None,
    reads: bool = True,
    **changes: JsonValue,
) -> Sample:
    """The sample of a vendor's preset. `body` is one rendered message, `accepted` the vendor's answer when it takes it.

    `reads` is false if the vendor's success has no body that is looked at.
    """
    definition = filled(connector, **changes)
    operation = Operation(lambda: sending(connector, definition, body), (accepted,), reads=reads)
    return Sample(definition, tuple(secrets_of(definition).values()), inbound, {"send": operation})


def keyed(connector: str, keys: Sequence[str] = KEYS[:2]) -> dict[str, JsonValue]:
    """The webhook of a vendor's preset, with these secrets."""
    webhook: dict[str, JsonValue] = filled(connector).model_dump()["webhook"]
    return {**webhook, "secrets": [*keys]}


def taking(definition: Tracker, send: Callable[[Request], Response] | None = None) -> Callable[..., tuple[list[str], list[int]]]:
    """`receive` of a tracker's `Inbound`. `send` answers what has to be fetched to verify a post."""

    def receive(headers: Mapping[str, str], body: bytes, now: datetime) -> tuple[list[str], list[int]]:
        connector, post = TRACKERS.load(definition.format), Post(headers, body)
        to_fetch = prove(connector, definition, post, lambda: now)
        if to_fetch is not None:
            assert send is not None
            run(to_fetch, send)
        read = connector.events(definition, post, lambda: now)
        return [e.id for e in read if isinstance(e, TrackerEvent)], [e.index for e in read if isinstance(e, Rejected)]

    return receive


def reading(connector: str, definition: Integration, url: str = "") -> Callable[..., tuple[list[str], list[int]]]:
    """`receive` of an `Inbound`."""

    def receive(headers: Mapping[str, str], body: bytes, now: datetime) -> tuple[list[str], list[int]]:
        parsed = read_post(ESPS.load(connector), definition, Post(headers, body, url), lambda: now)
        return [e.id for e in parsed.engagements], [index for index, _, _ in parsed.problems]

    return receive
