"""Deterministic ids: made from what a thing is, never from when it arrived."""

from __future__ import annotations

import hashlib
import uuid

_NAMESPACE = uuid.UUID("6f1f5f0e-52a7-4b7e-9d0f-3f0c1b9a7d11")
_SEPARATOR = "\x1f"
_TRIAL = "m_test_"


def digest(*parts: str) -> str:
    """32 hex characters that identify these parts in this order."""
    return hashlib.sha256(_SEPARATOR.join(parts).encode()).hexdigest()[:32]


def visit_id(tracker: str, anonymous_id: str | None, user_id: str | None) -> str:
    """The visit of one visitor on one tracker: by the anonymous id (`a`) where there is one, else by the user id (`u`)."""
    return f"{tracker}#a#{anonymous_id}" if anonymous_id else f"{tracker}#u#{user_id}"


def message_id(trigger: str, visit: str, first_event_id: str) -> str:
    """The message that `trigger` sends for the episode of `visit` that begins with this event."""
    return "m_" + digest("message", trigger, visit, first_event_id)


def trial_id(chance: str) -> str:
    """The id of a message that tries an integration, and is in no ledger."""
    return _TRIAL + chance


def is_trial(message: str) -> bool:
    """Whether this is the id of such a message."""
    return message.startswith(_TRIAL)


def profile_id(namespace: str, value: str) -> str:
    """The profile first seen under this identifier."""
    return "p_" + digest("profile", namespace, value)


def engagement_id(message: str, *fact: str) -> str:
    """One thing that became of a message, from the ESP's event id or from what the event says."""
    return "e_" + digest("engagement", message, *fact)


def record_uuid(*parts: str) -> str:
    """A UUID for a record in a vendor's system, the same for the same fact."""
    return str(uuid.uuid5(_NAMESPACE, _SEPARATOR.join(parts)))
