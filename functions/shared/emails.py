"""Email addresses."""

from __future__ import annotations

import re

_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_ADDRESS = re.compile(rf"[^\s@<>()\[\]\\,;:\"\x00-\x1f\x7f]{{1,64}}@(?:{_LABEL}\.)+{_LABEL}")
_LONGEST = 254


def is_address(text: str) -> bool:
    """Whether this looks like one email address (RFC 5321 without quoted local parts; international ones are fine)."""
    return len(text) <= _LONGEST and _ADDRESS.fullmatch(text) is not None
