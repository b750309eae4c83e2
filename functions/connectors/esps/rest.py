"""Any ESP with a JSON REST API, described by an integration's own settings.

Sending builds one request and reads its answer; webhooks are verified and read event by event. No I/O.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue, SecretStr

from shared.clock import Clock, from_iso
from shared.definitions import Integration, Webhook
from shared.errors import BadRequest, Misconfigured, Transient, Unauthorized, Unknown, outcome_of_status
from shared.exchange import Exchange, Request, Response
from shared.ids import engagement_id
from shared.jobs import Engagement
from shared.mapping import at, text_at
from shared.problem import parse_json
from shared.scrub import code
from shared.signatures import verify_standard_webhook
from shared.validation import secrets_of

Problem = tuple[int, str, str]
"""Position of an event in what was posted, why it cannot be used, and the event as JSON text."""

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)
_MOST_EVENTS = 50_000
"""Events in one post of 5 MB: what has more cannot be events, and would take all of an invocation to refuse one by one."""
_SURELY_NOT_TAKEN = (425, 429, 503)
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)")
_CODE_KEYS = ("code", "error", "type", "field", "name", "status")


@dataclass(frozen=True)
class Sent:
    """The ESP took the message. `seconds` is how long it took to answer."""

    esp_message_id: str
    status: int
    seconds: float


@dataclass(frozen=True)
class ParsedEvents:
    """What one webhook post holds: the engagements, and the events that cannot be used."""

    engagements: list[Engagement]
    problems: list[Problem]


class RestEsp:
    """The connector `rest`."""

    @staticmethod
    def send(integration: Integration, body: JsonValue, message_id: str, clock: Clock) -> Exchange[Sent]:
        """Posts one message. Equal arguments make an equal request, byte for byte.

        Raises Unknown where the ESP may have taken the message although it did not say so, Transient, Permanent or
        Misconfigured where it has not.
        """
        response = yield _request(integration, body, message_id)
        _raise_unless_taken(integration, response, clock)
        return Sent(_esp_message_id(integration, response), response.status, response.seconds)

    @staticmethod
    def events(integration: Integration, headers: Mapping[str, str], body: bytes, clock: Clock) -> ParsedEvents:
        """Verifies a webhook post and reads its events; `headers` have lower-case names.

        Raises BadRequest: 401 for a signature that does not hold, 400 for a body that is not JSON or not events. A single
        bad event is a problem beside its neighbours, never an error.
        """
        webhook = integration.webhook
        verify_standard_webhook(headers, body, _values(webhook.secrets), clock)
        engagements: list[Engagement] = []
        problems: list[Problem] = []
        for index, event in enumerate(_listed(webhook, _parsed(body))):
            try:
                engagements.append(_engagement(integration, event, clock()))
            except ValueError as error:
                problems.append((index, str(error), json.dumps(event)))
        return ParsedEvents(engagements, problems)


def _values(secrets: tuple[SecretStr, ...]) -> Iterator[str]:
    return (secret.get_secret_value() for secret in secrets)


def _request(integration: Integration, body: JsonValue, message_id: str) -> Request:
    headers = {"content-type": "application/json", "accept": "application/json"}
    headers |= {name.lower(): value for name, value in integration.headers.items()}
    headers |= {name.lower(): value.get_secret_value() for name, value in integration.secret_headers.items()}
    if integration.idempotency_header:
        headers[integration.idempotency_header.lower()] = message_id
    text = json.dumps(body, separators=(",", ":")).encode()
    return Request(integration.method, integration.url, headers, text, integration.timeout_seconds)


def _raise_unless_taken(integration: Integration, response: Response, clock: Clock) -> None:
    reason = f"the ESP answered HTTP {response.status}{_codes(integration, response.body)}"
    wait = response.retry_after(clock)
    if response.status == 409 and wait is not None:
        # With an idempotency key: the first request under this key is still being worked on.
        raise (Unknown if integration.idempotency_header else Transient)(reason, retry_after=wait)
    outcome = outcome_of_status(response.status, reason, retry_after=wait)
    if integration.idempotency_header and isinstance(outcome, Transient) and response.status not in _SURELY_NOT_TAKEN:
        # It may be kept under its key: what comes next under this key must be the same.
        raise Unknown(reason, retry_after=wait)
    if isinstance(outcome, Unauthorized):
        raise Misconfigured(reason)
    if outcome is not None:
        raise outcome


def _codes(integration: Integration, body: bytes) -> str:
    """The machine-readable codes of an error body. Its sentences are left out: they like to repeat the address."""
    try:
        value = json.loads(body[:100_000])
    except (ValueError, RecursionError):
        return ""
    inner = value.get("error") if isinstance(value, dict) else None
    found = [text_at(part, key) for part in (inner, value) if isinstance(part, dict) for key in _CODE_KEYS]
    secrets = secrets_of(integration).values()
    codes = [one for one in dict.fromkeys(found) if code(one, secrets)]
    return f" ({', '.join(codes[:4])})" if codes else ""


def _esp_message_id(integration: Integration, response: Response) -> str:
    try:
        found = text_at(json.loads(response.body), integration.message_id_path, limit=200)
    except (ValueError, RecursionError) as error:
        raise Unknown(f"the ESP answered HTTP {response.status}, but not with JSON") from error
    if not found:
        raise Unknown(f"the ESP answered HTTP {response.status} without a message id at {integration.message_id_path!r}")
    return found


def _parsed(body: bytes) -> JsonValue:
    """The JSON of a post. Half a surrogate pair, as is left where JavaScript cuts a text, must not lose the whole post."""
    try:
        return parse_json(body)
    except BadRequest:
        mended = _ESCAPE.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], body)
        if mended == body:
            raise
        return parse_json(mended)


def _listed(webhook: Webhook, body: JsonValue) -> list[JsonValue]:
    found = at(body, webhook.events)
    if isinstance(found, dict) and not webhook.events:
        return [found]
    if not isinstance(found, list):
        where = webhook.events or "body"
        raise BadRequest("expected a list of events", field=where)
    if len(found) > _MOST_EVENTS:
        raise BadRequest(f"expected at most {_MOST_EVENTS} events", field=webhook.events or "body", status=413)
    return found


def _engagement(integration: Integration, event: JsonValue, received: datetime) -> Engagement:
    """One event as an engagement. Raises ValueError that says what is wrong with it."""
    webhook = integration.webhook
    message = _required(event, webhook.message_id, "message id")
    native = _required(event, webhook.type, "type")
    kind = webhook.types.get(native, "other")
    moment = _time(at(event, webhook.time), webhook.time, received)
    url = text_at(event, webhook.url)
    vendor_id = text_at(event, webhook.id, limit=200)
    fact = (integration.name, vendor_id) if vendor_id else (native, moment.isoformat(), url)
    return Engagement(
        id=engagement_id(message, *fact),
        message_id=message,
        integration=integration.name,
        type=kind,
        at=moment,
        received_at=received,
        url=url,
        hard=kind == "bounced" and text_at(event, webhook.bounce_type) in webhook.hard_bounces,
        code=text_at(event, webhook.code, limit=200),
        reason=text_at(event, webhook.reason, limit=500),
    )


def _required(event: JsonValue, path: str, what: str) -> str:
    found = text_at(event, path, limit=200)
    if not found:
        raise ValueError(f"no {what} at {path!r}")
    return found


def _time(value: JsonValue, path: str, received: datetime) -> datetime:
    """ISO 8601 with a zone, or Unix seconds. Raises ValueError beyond 2000 and a day ahead."""
    problem = f"{path!r} must be a time: ISO 8601 with a zone, or Unix seconds, from 2000 to now"
    try:
        if isinstance(value, str) and not value.isdigit():
            moment = from_iso(value)
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(float(value), UTC)
        else:
            raise ValueError(problem)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(problem) from error
    if not _EARLIEST <= moment <= received + _AHEAD:
        raise ValueError(problem)
    return moment
