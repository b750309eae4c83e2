"""Whose the identifiers are, for tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from shared.person import Identifier


class _Owners(Protocol):
    def owners(self, visitors: Iterable[Iterable[Identifier]]) -> dict[Identifier, str]: ...


def found(profiles: _Owners, identifiers: Iterable[Identifier]) -> list[str]:
    """The ids of the profiles that these identifiers of one visitor lead to, in their order, each once."""
    return list(dict.fromkeys(profiles.owners([list(identifiers)]).values()))
