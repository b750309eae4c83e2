"""Unisender Go: email by its Web API v1, one message in a request.

It takes messages for many recipients, but with the same headers for all, and so the same unsubscribe link: each goes alone. It
answers 200 also if it refuses the recipient. Whether it keeps to the idempotency key in the body is not certain.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from pydantic import JsonValue

from connectors.base import Post
from connectors.bodies import parsed
from connectors.esps.base import Esp, Outcome, Preset, answer_of, bracketed
from shared.clock import Clock
from shared.definitions import Integration, Webhook
from shared.errors import BadRequest, Permanent, SendbridgeError, Transient
from shared.exchange import Response
from shared.mapping import at, text_at

_AUTH = re.compile(rb'"auth"\s*:\s*"([^"\\]{0,100})"')
_ABOUT_MESSAGES = "transactional_email_status"
_VERDICTS: Mapping[str, tuple[type[SendbridgeError], str]] = {
    "temporary_unavailable": (Transient, "the address cannot be reached at the moment"),
    "permanent_unavailable": (Permanent, "the address cannot be reached"),
    "invalid": (Permanent, "the address is not valid"),
    "unsubscribed": (Permanent, "the recipient has unsubscribed"),
}


class UnisenderGo(Esp):
    """The connector `unisender_go`."""

    verdicts = _VERDICTS
    contents = ("message.body.html", "message.body.plaintext")
    preset = Preset(
        title="Unisender Go",
        channel="email",
        source="Unisender Go: Web API, Webhooks; django-anymail 15 (July 2026); read 2026-11-21",
        definition={
            "connector": "unisender_go",
            "channel": "email",
            "url": "https://${UNISENDER_GO_HOST}/ru/transactional/api/v1/email/send.json",
            "secret_headers": {"X-API-KEY": {"env": "UNISENDER_GO_API_KEY"}},
            "body": {
                "message": {
                    "recipients": [{"email": "{{ identifier }}", "metadata": {"message_id": "{{ message.id }}"}}],
                    "from_email": "${FROM}",
                    "subject": "{{ message.subject }}",
                    "body": {"html": "{{ message.html }}", "plaintext": "{{ message.text }}"},
                    "headers": {
                        "List-Unsubscribe": "<{{ unsubscribe_url }}>",
                        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                    },
                    "track_links": 1,
                    "track_read": 1,
                    "idempotence_key": "{{ message.uuid }}",
                }
            },
            "message_id_path": "job_id",
            "webhook": {
                "signature": "vendor",
                "secrets": [{"env": "UNISENDER_GO_API_KEY"}],
                "type": "event_data.status",
                "types": {
                    "sent": "sent",
                    "delivered": "delivered",
                    "opened": "opened",
                    "clicked": "clicked",
                    "soft_bounced": "deferred",
                    "hard_bounced": "bounced",
                    "spam": "complained",
                    "unsubscribed": "unsubscribed",
                },
                "time": "event_data.event_time",
                "message_id": "event_data.metadata.message_id",
                "url": "event_data.url",
                "bounce_type": "event_data.status",
                "hard_bounces": ["hard_bounced"],
                "code": "event_data.delivery_info.delivery_status",
                "reason": "event_data.delivery_info.destination_response",
            },
        },
        notes=(
            "UNISENDER_GO_HOST: go1.unisender.ru or go2.unisender.ru, as in the address of your account. UNISENDER_GO_API_KEY: "
            "Account, Security. FROM: an address of a confirmed domain.",
            "The body has an idempotence_key, but nothing relies on it. If your account keeps to it, say so with "
            "idempotency_path: message.idempotence_key, and idempotency_seconds as Unisender tells you.",
            "Webhooks: with the address https://host/v1/engagements/NAME, as JSON, and without compression. Its posts are "
            "signed with the API key. It waits 3 seconds for an answer.",
        ),
    )

    def result(self, integration: Integration, response: Response) -> Outcome:
        """A recipient among those that failed is a refusal, and so is an error in a success."""
        answer = answer_of(response)
        failed = at(answer, "failed_emails")
        why = [text_at(one, "") for one in failed.values() if one != "duplicate"] if isinstance(failed, dict) else []
        if text_at(answer, "status") == "error":
            why += self.codes(response)
        elif not why:
            return super().result(integration, response)
        reason = f"the ESP refused the message{bracketed(why, integration)}"
        return self.verdict(why, reason) or Permanent(reason)

    def greeting(self, webhook: Webhook, post: Post) -> Mapping[str, str] | None:
        """By GET it only tries whether somebody answers."""
        return {} if post.method == "GET" else None

    def verify(self, integration: Integration, webhook: Webhook, post: Post, clock: Clock) -> None:
        """The body's field `auth` is the MD5 of the body with the account's API key in that place.

        There is no time in it, so an old post is not told from a new one; an event that comes twice counts once.
        Raises BadRequest (401).
        """
        place = _AUTH.search(post.body)
        given = place[1] if place else b""
        before, after = (post.body[: place.start(1)], post.body[place.end(1) :]) if place else (b"", b"")
        keys = [secret.get_secret_value().encode() for secret in webhook.secrets]
        # Its choice, not ours: it proves that whoever made it knows the key.
        expected = [hashlib.md5(before + key + after, usedforsecurity=False).hexdigest().encode() for key in keys]
        matches = [hmac.compare_digest(one, given) for one in expected]
        if not any(matches):
            raise BadRequest("auth does not match the body", field="auth", status=401)

    def listed(self, webhook: Webhook, post: Post) -> list[JsonValue] | None:
        """The events of all users, or the only one of a post that is set to one event; only those about messages."""
        body = parsed(post.body)
        users = at(body, "events_by_user")
        if not isinstance(body, dict) or not isinstance(users, list | None):
            raise BadRequest("expected a list of users with events", field="events_by_user")
        events = [body] if users is None else [event for user in users for event in _events(user)]
        return [event for event in events if text_at(event, "event_name") in ("", _ABOUT_MESSAGES)]

    def event(self, webhook: Webhook, event: JsonValue) -> JsonValue:
        """With its time in UTC, as it is meant, though it has no zone."""
        data = at(event, "event_data")
        time = text_at(data, "event_time")
        if not isinstance(event, dict) or not isinstance(data, dict) or not time:
            return event
        return {**event, "event_data": {**data, "event_time": f"{time}+00:00"}}


def _events(user: JsonValue) -> list[JsonValue]:
    found = at(user, "events")
    return found if isinstance(found, list) else [user]


CONNECTOR = UnisenderGo()
