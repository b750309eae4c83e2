"""Which definitions are drafts until they are published, and what of them a test proves."""

from __future__ import annotations

from shared.auth import OAuth2
from shared.definitions import Integration, Kind
from shared.fields import Definition
from shared.validation import secrets_of

DRAFTED: frozenset[Kind] = frozenset({"integration"})
"""Kinds whose versions are in force only once they are published, for which they must have been tested."""

_NOT_SHOWN = frozenset(
    {"description", "enabled", "limit", "failover", "unknown", "unknown_wait_seconds", "idempotency_seconds", "webhook"}
)
"""Fields of an integration that make no difference to the request that a test sends, nor to how its answer is read."""


def proves(old: Definition | None, new: Definition) -> bool:
    """Whether a test of `old` says as much about `new`: what a test shows is the same in both.

    OAuth 2.0 credentials may differ: whoever saves new ones has just tried them at the token URL.
    """
    if not isinstance(old, Integration) or not isinstance(new, Integration):
        return False
    if old.model_dump(mode="json", exclude=set(_NOT_SHOWN)) != new.model_dump(mode="json", exclude=set(_NOT_SHOWN)):
        return False
    before, after = secrets_of(old), secrets_of(new)
    changed = [path for path, value in after.items() if before.get(path) != value]
    return all(path.startswith("/webhook/") or (path.startswith("/auth/") and _is_tried(new)) for path in changed)


def _is_tried(integration: Integration) -> bool:
    return isinstance(integration.auth, OAuth2)
