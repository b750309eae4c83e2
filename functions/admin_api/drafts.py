"""Which definitions are drafts until they are published, and what of them a test or a proof proves."""

from __future__ import annotations

from collections.abc import Mapping

from shared.auth import OAuth2
from shared.definitions import Integration, Kind, Template
from shared.fields import Definition
from shared.triggers import Trigger
from shared.validation import secrets_of

DRAFTED: frozenset[Kind] = frozenset({"integration", "template", "trigger"})
"""Kinds whose versions are in force only once they are published, for which what they send must have been seen."""

_FREE: Mapping[type[Definition], frozenset[str]] = {
    # Of an integration, what makes no difference to the request that a test sends, nor to how its answer is read.
    Integration: frozenset(
        {"description", "enabled", "limit", "failover", "unknown", "unknown_wait_seconds", "idempotency_seconds", "webhook"}
    ),
    Template: frozenset({"description", "sample"}),
    Trigger: frozenset({"description", "enabled"}),
}
"""Fields that are in force as soon as they are put."""

_SHOWN = frozenset({"template", "integration", "cart", "metadata", "lookups", "requires"})
"""Fields of a trigger that make a difference to its proof. The others say when it is sent, and to whom."""


def at_once(current: Definition | None, new: Definition) -> bool:
    """Whether `new` needs no publication: it differs from what is in force in free fields only.

    OAuth 2.0 credentials may differ: whoever saves new ones has just tried them at the token URL.
    """
    if current is None or type(current) is not type(new):
        return False
    free = _FREE.get(type(new), frozenset())
    return _same(current, new, frozenset(type(new).model_fields) - free) and _same_secrets(current, new)


def proves(old: Definition | None, new: Definition) -> bool:
    """Whether a test or a proof of `old` says as much about `new`: what it shows is the same in both."""
    if isinstance(old, Trigger) and isinstance(new, Trigger):
        return _same(old, new, _SHOWN)
    return at_once(old, new)


def _same(old: Definition, new: Definition, fields: frozenset[str]) -> bool:
    return old.model_dump(mode="json", include=set(fields)) == new.model_dump(mode="json", include=set(fields))


def _same_secrets(old: Definition, new: Definition) -> bool:
    before, after = secrets_of(old), secrets_of(new)
    changed = [path for path, value in after.items() if before.get(path) != value]
    tried = isinstance(new, Integration) and isinstance(new.auth, OAuth2)
    return all(path.startswith("/webhook/") or (tried and path.startswith("/auth/")) for path in changed)
