"""What every ESP's connector is: the ways of any JSON REST API. A vendor's class overrides what the vendor does otherwise.

All of it is without I/O. What a user may change is in the integration; a class holds how the vendor behaves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import ClassVar, TypeAlias

from pydantic import JsonValue

from connectors.base import Post
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import (
    BadRequest,
    Misconfigured,
    Permanent,
    SendbridgeError,
    Transient,
    Unauthorized,
    Unknown,
    outcome_of_status,
)
from shared.exchange import Exchange, Request, Response
from shared.fields import Channel
from shared.ids import digest
from shared.mapping import at, put, text_at, without
from shared.scrub import code
from shared.validation import secrets_of

_AS_JSON = json.JSONEncoder(separators=(",", ":"))
_SURELY_NOT_TAKEN = (425, 429, 503)
_BY_A_GATEWAY = (502, 504, 520, 524)
"""Said by what stands before the ESP, which cannot know what the ESP made of the request."""


@dataclass(frozen=True)
class Preset:
    """A vendor's integration, ready to be looked at and changed: what `sendbridge preset` prints.

    `definition` is an integration as in a definitions file: `${NAME}` is to be filled in, `{"env": "NAME"}` is a secret.
    """

    title: str
    channel: Channel
    source: str
    """Where the vendor says so, and when it was read."""
    definition: Mapping[str, JsonValue]
    notes: tuple[str, ...] = ()
    """What a user should know: where to find the keys, what to switch on at the vendor."""


@dataclass(frozen=True)
class Outgoing:
    """One rendered message. A `repr` shows neither address nor content."""

    id: str
    """Our message id."""
    url: str = field(repr=False)
    """The integration's URL, its placeholders filled in."""
    body: JsonValue = field(repr=False)
    """The integration's body, rendered."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those of the integration's headers that hold placeholders, filled in."""


@dataclass(frozen=True)
class Sent:
    """The ESP took the message. `seconds` is how long it took to answer."""

    esp_message_id: str
    status: int
    seconds: float


Outcome: TypeAlias = Sent | SendbridgeError
"""What became of a message. `Unknown` if it may have been taken; any other error means that it was not."""


@dataclass(frozen=True)
class Answered:
    """What an ESP made of one request: the outcome of each message, in their order."""

    outcomes: Sequence[Outcome]
    pause: float | None = None
    """Seconds for which the ESP wants no more messages."""


class Esp:
    """Any ESP with a JSON REST API, described by an integration's own settings."""

    preset: ClassVar[Preset | None] = None
    most: ClassVar[int] = 1
    """Messages that one request can hold."""
    together: ClassVar[str] = ""
    """The field of the body that is a list of messages, if bodies which are equal but for it may be sent as one."""
    contents: ClassVar[tuple[str, ...]] = ()
    """Where a message's HTML and its text are in the body: left out if empty, as a part with nothing in it would be shown."""
    remaining_header: ClassVar[str] = "ratelimit-remaining"
    reset_header: ClassVar[str] = "ratelimit-reset"
    """The quota as the vendor announces it: what is left, and when there is more, in seconds from now or as Unix time."""
    code_keys: ClassVar[tuple[str, ...]] = ("code", "error", "type", "field", "name", "status")
    """Where codes are in an error body, or in its `error`."""
    verdicts: ClassVar[Mapping[str, tuple[type[SendbridgeError], str]]] = {}
    """The vendor's codes that say more than the HTTP status: what such an error comes to, and why, in our words."""

    # ---- sending

    def send(self, integration: Integration, messages: Sequence[Outgoing], clock: Clock) -> Exchange[Answered]:
        """Posts messages that `alike` found to go together. Equal arguments make an equal request, byte for byte.

        If the vendor refuses several as a whole, perhaps for one of them, it posts each half by itself: all within the
        time that the integration has for one request.
        """
        ends = clock() + timedelta(seconds=integration.timeout_seconds)
        return (yield from self._send(integration, messages, clock, ends))

    def _send(
        self, integration: Integration, messages: Sequence[Outgoing], clock: Clock, ends: datetime, timeout: float | None = None
    ) -> Exchange[Answered]:
        request = self.request(integration, messages)
        response = yield request if timeout is None else replace(request, timeout=timeout)
        refusal = self.refusal(integration, response, clock)
        if isinstance(refusal, Permanent) and len(messages) > 1:
            return (yield from self._halves(integration, messages, clock, ends))
        outcomes = self.results(integration, messages, response) if refusal is None else [refusal] * len(messages)
        return Answered(outcomes, self.pause(response, clock))

    def _halves(self, integration: Integration, messages: Sequence[Outgoing], clock: Clock, ends: datetime) -> Exchange[Answered]:
        outcomes: list[Outcome] = []
        pause: float | None = None
        for half in (messages[: len(messages) // 2], messages[len(messages) // 2 :]):
            left = (ends - clock()).total_seconds()
            try:
                if left <= 0:
                    raise Transient("refused together with others, and no time was left to try it without them", retry_after=0)
                answered = yield from self._send(integration, half, clock, ends, left)
            except SendbridgeError as error:
                outcomes += [error] * len(half)
            else:
                outcomes += answered.outcomes
                pause = max(pause or 0, answered.pause) if answered.pause is not None else pause
        return Answered(outcomes, pause)

    def alike(self, message: Outgoing) -> str:
        """Messages of which this is the same text may go in one request, if their URL and headers are equal too.

        Each goes alone, unless the vendor has a field for messages `together`.
        """
        return json.dumps(put(message.body, self.together, []), sort_keys=True) if self._listed(message.body) else message.id

    def _listed(self, body: JsonValue) -> list[JsonValue]:
        """The one message in a body that could hold several."""
        found = at(body, self.together) if self.together else None
        return found if isinstance(found, list) and len(found) == 1 else []

    def request(self, integration: Integration, messages: Sequence[Outgoing]) -> Request:
        """The request for these messages."""
        key = self.key(messages)
        body = self.join([self.trimmed(message.body) for message in messages])
        body = self.with_secrets(body, integration)
        if integration.idempotency_path:
            body = put(body, integration.idempotency_path, key)
        content_type, content = self.encode(body)
        headers = {"content-type": content_type, "accept": "application/json"}
        headers |= {name.lower(): value for name, value in {**integration.headers, **messages[0].headers}.items()}
        headers |= {name.lower(): value.get_secret_value() for name, value in integration.secret_headers.items()}
        if integration.idempotency_header:
            headers[integration.idempotency_header.lower()] = key
        return Request(integration.method, messages[0].url, headers, content, integration.timeout_seconds)

    def trimmed(self, body: JsonValue) -> JsonValue:
        """The body without those of its `contents` that are empty."""
        for path in self.contents:
            if at(body, path) == "":
                body = without(body, path)
        return body

    def key(self, messages: Sequence[Outgoing]) -> str:
        """The idempotency key of a request: the same for the same messages."""
        return messages[0].id if len(messages) == 1 else "b_" + digest(*(message.id for message in messages))

    def join(self, bodies: Sequence[JsonValue]) -> JsonValue:
        """One body that holds these. Called with several only if `most` and `alike` allow it."""
        every = [one for body in bodies for one in self._listed(body)]
        return put(bodies[0], self.together, every) if len(bodies) > 1 else bodies[0]

    def with_secrets(self, body: JsonValue, integration: Integration) -> JsonValue:
        """The body with the keys that the vendor wants in it."""
        for name, value in integration.secret_values.items():
            body = put(body, name, value.get_secret_value())
        return body

    def encode(self, body: JsonValue) -> tuple[str, bytes]:
        """The content type and the bytes of a body."""
        return "application/json", _AS_JSON.encode(body).encode()

    # ---- reading the answer

    def refusal(self, integration: Integration, response: Response, clock: Clock) -> SendbridgeError | None:
        """Why none of the messages was taken; None if the answer is a success as a whole."""
        if 200 <= response.status < 300:
            return None
        codes, wait = self.codes(response), response.retry_after(clock)
        reason = f"the ESP answered HTTP {response.status}{bracketed(codes, integration)}"
        known = self.verdict(codes, reason, wait)
        if known is not None:
            return known
        has_key = integration.sends_once
        if response.status == 409 and wait is not None:
            # With an idempotency key: the first request under this key is still being worked on.
            return (Unknown if has_key else Transient)(reason, retry_after=wait)
        outcome = outcome_of_status(response.status, reason, retry_after=wait)
        # Under a key, a failure may be kept as well: what comes next under this key must be the same.
        perhaps = response.status not in _SURELY_NOT_TAKEN if has_key else response.status in _BY_A_GATEWAY
        if isinstance(outcome, Transient) and perhaps:
            return Unknown(reason, retry_after=wait)
        return Misconfigured(reason) if isinstance(outcome, Unauthorized) else outcome

    def results(self, integration: Integration, messages: Sequence[Outgoing], response: Response) -> list[Outcome]:
        """The outcome of each message in an answer that is a success as a whole: some vendors hide failures in it."""
        return [self.result(integration, response)] * len(messages)

    def result(self, integration: Integration, response: Response) -> Outcome:
        """The outcome of the only message of a request."""
        try:
            answer: JsonValue = json.loads(response.body)
        except (ValueError, RecursionError):
            return Unknown(f"the ESP answered HTTP {response.status}, but not with JSON")
        return self.sent(integration, answer, response)

    def sent(self, integration: Integration, part: JsonValue, response: Response) -> Outcome:
        """The outcome of a message by the part of the answer that is about it: Unknown if it has no message id."""
        found = text_at(part, integration.message_id_path, limit=200)
        if not found:
            where = integration.message_id_path
            return Unknown(f"the ESP answered HTTP {response.status} without a message id at {where!r}")
        return Sent(found, response.status, response.seconds)

    def verdict(self, codes: Sequence[str], reason: str, wait: float | None = None) -> SendbridgeError | None:
        """What `verdicts` says of the first of these codes that it knows, after `reason`; None if it knows none."""
        for one in codes:
            if one in self.verdicts:
                kind, why = self.verdicts[one]
                text = f"{reason}: {why}"
                return kind(text, retry_after=wait) if issubclass(kind, Transient) else kind(text)
        return None

    def codes(self, response: Response) -> list[str]:
        """The machine-readable codes of an error.

        Its sentences are left out: they like to repeat the address.
        """
        try:
            value = json.loads(response.body[:100_000])
        except (ValueError, RecursionError):
            return []
        inner = value.get("error") if isinstance(value, dict) else None
        return [text_at(part, key) for part in (inner, value) if isinstance(part, dict) for key in self.code_keys]

    def pause(self, response: Response, clock: Clock) -> float | None:
        """Seconds for which the vendor wants no more messages, by the quota that it announces; at most an hour."""
        if response.headers.get(self.remaining_header, "").strip() != "0":
            return None
        try:
            reset = float(response.headers.get(self.reset_header, ""))
        except ValueError:
            return None
        seconds = reset - clock().timestamp() if reset > 1e9 else reset
        return min(max(seconds, 0), 3600)

    # ---- resolving an outcome that nobody knows

    def look_up(self, integration: Integration, message: Outgoing, clock: Clock) -> Exchange[Sent | None] | None:
        """An operation that says whether the vendor took a message: `Sent`, or None if it did not.

        None instead of an operation if the vendor has no such thing.
        """
        return None

    # ---- webhooks

    def greeting(self, webhook: Webhook, post: Post) -> Mapping[str, str] | None:
        """What to log of a request by which the vendor only wants to see that somebody answers; None for any other.

        It comes before `verify`, so none of it may be believed.
        """
        return None

    def verify(self, integration: Integration, webhook: Webhook, post: Post, clock: Clock) -> None:
        """Verifies a post by the vendor's own signature (`webhook.signature: vendor`). Raises BadRequest (401)."""
        raise BadRequest("this connector has no signature of its own: choose another one", field="signature", status=401)

    def listed(self, webhook: Webhook, post: Post) -> list[JsonValue] | None:
        """The events of a post whose body has a form of its own; None if it is JSON as the settings describe it."""
        return None

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """An event as the settings describe it, where the vendor's has no place for some of it."""
        return event


def parts(response: Response, path: str, count: int) -> list[JsonValue]:
    """The parts of an answer that are about one message each: the list at this path, or nulls if it has not as many as this."""
    found = at(answer_of(response), path)
    return found if isinstance(found, list) and len(found) == count else [None] * count


def answer_of(response: Response) -> JsonValue:
    """The JSON of an answer; None if it is not JSON."""
    try:
        value: JsonValue = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    return value


def bracketed(found: Sequence[str], integration: Integration) -> str:
    """Those of these texts that are machine-readable codes and no secrets, in brackets after a space; empty if there are none."""
    secrets = secrets_of(integration).values()
    codes = [one for one in dict.fromkeys(found) if code(one, secrets)]
    return f" ({', '.join(codes[:4])})" if codes else ""
