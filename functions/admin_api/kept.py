"""What Secrets Manager keeps of a definition: the secret values of the version in force, of its draft, and of versions before.

`{"/auth/client_secret": "…", "version": 3, "draft": {"/auth/client_secret": "…", "version": 4}, "old": {"1": {…}}}`. The
version is that for which the values were written, so that a change that was cut off between a secret and its row is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from admin_api.store import Standing, Stored
from shared.catalogue import OLD

_VERSION = "version"
_DRAFT = "draft"
_MOST_OLD = 2
"""Versions whose secrets are kept for messages in flight, besides the one in force."""


@dataclass(frozen=True)
class Values:
    """The secret values of a version, each by its path (`/auth/client_secret`)."""

    by_path: Mapping[str, str] = field(default_factory=dict, repr=False)
    version: int = 0

    def joined(self, other: Values) -> Values:
        """These, and over them the other ones."""
        if self.by_path.items() >= other.by_path.items():
            return self
        return Values({**self.by_path, **other.by_path}, other.version)

    def as_json(self) -> dict[str, JsonValue]:
        """As it is kept."""
        return {**self.by_path, _VERSION: self.version} if self.version else {}


@dataclass(frozen=True)
class Kept:
    """All that is kept of one definition."""

    now: Values = Values()
    draft: Values = Values()
    old: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    def of(self, row: Stored | None, standing: Standing) -> Values:
        """The values of what is in force, or of the draft."""
        if row is not None and row is standing.draft:
            return self.draft
        return self.of_current(standing)

    def of_current(self, standing: Standing) -> Values:
        """The values of what is in force. While a publication is cut off half way, they are the old ones."""
        version = str(standing.current.version) if standing.current else ""
        return Values(self.old[version], int(version)) if version in self.old else self.now

    def with_current(self, values: Values, standing: Standing) -> Kept:
        """With these for the version in force, and no draft. Messages in flight get them too: it is the same account."""
        gone = str(standing.current.version) if standing.current else ""
        return Kept(values, old={version: old for version, old in self.old.items() if version != gone})

    def with_draft(self, values: Values) -> Kept:
        """With these for the draft."""
        return replace(self, draft=values)

    def published(self, standing: Standing) -> Kept:
        """With the draft's for the version in force, whose own are kept for messages in flight if they are others."""
        before, old = self.of_current(standing), dict(self.old)
        if standing.current and before.by_path != self.draft.by_path:
            old[str(standing.current.version)] = before.by_path
        newest = sorted(old, key=int)[-_MOST_OLD:]
        return Kept(self.draft, old={version: old[version] for version in newest})

    def joined(self, new: Kept) -> Kept:
        """What serves before and after a change."""
        return Kept(self.now.joined(new.now), self.draft.joined(new.draft), {**self.old, **new.old})

    def same(self, other: Kept) -> bool:
        """Whether the values are the same, whatever version they were written for."""
        mine, theirs = (self.now, self.draft), (other.now, other.draft)
        return all(a.by_path == b.by_path for a, b in zip(mine, theirs, strict=True)) and self.old == other.old

    def as_json(self) -> dict[str, JsonValue]:
        """As it is kept."""
        document = self.now.as_json()
        if self.draft.by_path:
            document[_DRAFT] = self.draft.as_json()
        if self.old:
            document[OLD] = {version: {**values} for version, values in self.old.items()}
        return document


def read(document: Mapping[str, JsonValue] | None) -> Kept:
    """What a secret's JSON says; nothing if there is none."""
    document = document or {}
    draft, old = document.get(_DRAFT), document.get(OLD)
    return Kept(
        _values(document),
        _values(draft) if isinstance(draft, dict) else Values(),
        {version: _values(values).by_path for version, values in old.items() if isinstance(values, dict)}
        if isinstance(old, dict)
        else {},
    )


def _values(document: Mapping[str, JsonValue]) -> Values:
    version = document.get(_VERSION)
    texts = {path: value for path, value in document.items() if path.startswith("/") and isinstance(value, str)}
    return Values(texts, version if isinstance(version, int) else 0)
