"""The envelope of Amazon SNS, in which some vendors' events come; Scaleway's Topics and Events has the same."""

from __future__ import annotations

import json

from pydantic import JsonValue

from shared.mapping import text_at

_CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")


def notified(event: JsonValue) -> JsonValue:
    """What is in the envelope; the event itself if it has none. Raises ValueError if there is nothing about a message in it."""
    kind = text_at(event, "Type")
    if kind in _CONFIRMATIONS:
        raise ValueError(f"SNS posts a {kind}: to confirm, open the SubscribeURL in it")
    if kind != "Notification":
        return event
    try:
        inner: JsonValue = json.loads(text_at(event, "Message", limit=1_000_000))
    except (ValueError, RecursionError):
        raise ValueError("the Message of SNS's notification is not JSON") from None
    return inner
