"""What ESPs post of messages: verified, and read event by event."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.esps.base import Esp
from shared.clock import Clock, from_iso
from shared.definitions import Integration, Webhook
from shared.errors import BadRequest
from shared.ids import engagement_id
from shared.jobs import Engagement
from shared.mapping import at, text_at
from shared.signatures import verify_authorization, verify_hmac, verify_standard_webhook

Problem = tuple[int, str, str]
"""Position of an event in what was posted, why it cannot be used, and the event as JSON text."""

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)
_MOST_EVENTS = 50_000
"""Events in one post of 5 MB: what has more cannot be events, and would take all of an invocation to refuse one by one."""
_MILLISECONDS = 100_000_000_000
"""Unix times from here on are in milliseconds: in seconds they would be of the year 5138."""


@dataclass(frozen=True)
class ParsedEvents:
    """What one webhook post holds: the engagements, and the events that cannot be used."""

    engagements: list[Engagement]
    problems: list[Problem]
    greeting: Mapping[str, str] | None = None
    """For the log, if the ESP only wanted to see that somebody answers."""


def read_post(esp: Esp, integration: Integration, post: Post, clock: Clock) -> ParsedEvents:
    """Verifies a webhook post and reads its events.

    Raises BadRequest: 404 if the integration takes none, 401 for a signature that does not hold, 400 for a body that is not
    JSON or not events. A single bad event is a problem beside its neighbours, never an error.
    """
    webhook = integration.webhook
    if webhook is None:
        raise BadRequest("this integration takes no webhooks", field="integration", status=404)
    greeting = esp.greeting(webhook, post)
    if greeting is not None:
        return ParsedEvents([], [], greeting)
    _verify(esp, integration, webhook, post, clock)
    events = esp.listed(webhook, post)
    if events is None:
        events = listed_at(webhook.events, parsed(post.body))
    return _read(esp, integration.name, webhook, _bounded(events, webhook), clock())


def _read(esp: Esp, name: str, webhook: Webhook, events: Sequence[JsonValue], received: datetime) -> ParsedEvents:
    engagements: list[Engagement] = []
    problems: list[Problem] = []
    for index, event in enumerate(events):
        try:
            engagements.append(_engagement(name, webhook, esp.event(webhook, event), received))
        except ValueError as error:
            problems.append((index, str(error), json.dumps(event)))
    return ParsedEvents(engagements, problems)


def _verify(esp: Esp, integration: Integration, webhook: Webhook, post: Post, clock: Clock) -> None:
    secrets = [secret.get_secret_value() for secret in webhook.secrets]
    if webhook.signature == "standard_webhooks":
        verify_standard_webhook(post.headers, post.body, secrets, clock)
    elif webhook.signature == "hmac":
        verify_hmac(post.headers, post.body, secrets, webhook.hmac, clock)
    elif webhook.signature == "vendor":
        esp.verify(integration, webhook, post, clock)
    else:
        verify_authorization(post.headers, webhook.signature, secrets)


def listed_at(path: str, body: JsonValue) -> list[JsonValue]:
    """The list of events at a path of a body; the body itself may be one event. Raises BadRequest if there is none."""
    found = at(body, path)
    if isinstance(found, dict) and not path:
        return [found]
    if not isinstance(found, list):
        raise BadRequest("expected a list of events", field=path or "body")
    return found


def _bounded(events: list[JsonValue], webhook: Webhook) -> list[JsonValue]:
    if len(events) > _MOST_EVENTS:
        raise BadRequest(f"expected at most {_MOST_EVENTS} events", field=webhook.events or "body", status=413)
    return events


def _engagement(integration: str, webhook: Webhook, event: JsonValue, received: datetime) -> Engagement:
    """One event as an engagement. Raises ValueError that says what is wrong with it."""
    message = _required(event, webhook.message_id, "message id")
    native = _required(event, webhook.type, "type")
    kind = webhook.types.get(native, "other")
    moment = _time(at(event, webhook.time), webhook.time, received) if webhook.time else received
    url = text_at(event, webhook.url)
    vendor_id = text_at(event, webhook.id, limit=200)
    fact: tuple[str, ...] = (integration, vendor_id) if vendor_id else (native, moment.isoformat() if webhook.time else "", url)
    if kind == "sent":
        fact = ("sent",)  # as we say it ourselves when the ESP takes a message: it is sent once
    return Engagement(
        id=engagement_id(message, *fact),
        message_id=message,
        integration=integration,
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
    """ISO 8601 with a zone, or Unix time in seconds or milliseconds. Raises ValueError beyond 2000 and a day ahead."""
    problem = f"{path!r} must be a time: ISO 8601 with a zone, or Unix time, from 2000 to now"
    try:
        if isinstance(value, str) and not value.isdigit():
            moment = from_iso(value)
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            number = float(value)
            moment = datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS else number, UTC)
        else:
            raise ValueError(problem)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(problem) from error
    if not _EARLIEST <= moment <= received + _AHEAD:
        raise ValueError(problem)
    return moment
