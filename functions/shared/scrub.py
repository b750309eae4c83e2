"""Taking personal data out of what vendors say before it is logged, parked or put on a trace."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"[^\s@<>\"'(),:;\[\]]{1,64}@[^\s@<>\"'(),:;\[\]]{1,255}")
_LINK = re.compile(r"https?://[^\s\"'<>]+", re.IGNORECASE)


def scrub(text: str, limit: int = 300) -> str:
    """The text without email addresses and links, on one line, cut at `limit` characters."""
    # Cut first as well: the patterns must not be run over a megabyte.
    line = " ".join(text[: limit * 4].split())
    return _ADDRESS.sub("(address)", _LINK.sub("(link)", line))[:limit]
