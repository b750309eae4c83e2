"""What connectors are: plain objects that build requests, read responses and verify signatures, without any I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from shared.intake import Rejected
from shared.jobs import TrackerEvent

__all__ = ["MAX_EVENTS", "Post", "Read", "Rejected"]

MAX_EVENTS = 5_000
"""Events in one post: more could not be answered one by one."""


@dataclass(frozen=True)
class Post:
    """One HTTP request that somebody made to us. Header names are lower-case. A `repr` shows none of it."""

    headers: Mapping[str, str] = dataclasses.field(repr=False)
    body: bytes = dataclasses.field(repr=False)
    url: str = dataclasses.field(default="", repr=False)
    """The address that was posted to, as the one who posted it knows it: some sign it."""
    method: str = "POST"
    query: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    """The parameters of its URL."""


Read: TypeAlias = TrackerEvent | Rejected
