"""Taking out of what strangers say what must not go on: personal data, tokens, and characters that others refuse."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ADDRESS = re.compile(r"[^\s@<>\"'(),:;\[\]]{1,64}@[^\s@<>\"'(),:;\[\]]{1,255}")
_SEGMENT = "(?:[A-Za-z0-9]{1,20}|[A-Za-z]{21,64})"
_CODE = re.compile(rf"(?!eyJ)(?=.{{1,64}}$)-?{_SEGMENT}(?:[_.-]{_SEGMENT})*")
"""Words and short numbers, joined. What mixes letters and digits for longer is more likely a token, and `eyJ` begins a JWT."""
_TELLING = 4
_WORD = re.compile(rf"[\w~+/=-][\w.~+/=-]{{{_TELLING - 2},}}[\w~+/=-]")
_SECRET = "(secret)"
_LINK = re.compile(r"https?://[^\s\"'<>]+", re.IGNORECASE)
_NOT_XML = re.compile("[^\\t\\n\\r -\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_TOKEN = re.compile(r"\b(?:bearer|basic)\s+[\w.~+/=-]+|\beyJ[\w-]+\.[\w.-]+", re.IGNORECASE)


def scrub(text: str, limit: int = 300) -> str:
    """The text without email addresses, links and access tokens, on one line, cut at `limit` characters."""
    # Cut first as well: the patterns must not be run over a megabyte.
    line = " ".join(text[: limit * 4].split())
    return _ADDRESS.sub("(address)", _LINK.sub("(link)", _TOKEN.sub("(token)", line)))[:limit]


def code(text: str, secrets: Iterable[str] = ()) -> str:
    """A vendor's machine-readable code; empty if the text looks like none, or repeats one of our secrets or a part of one."""
    said = any(secret in text or (len(text) >= _TELLING and text in secret) for secret in secrets if secret)
    return text if _CODE.fullmatch(text) and not said else ""


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with a mark for each of our secrets, and for each word in it that is a part of one."""
    kept = [secret for secret in secrets if secret]
    for secret in sorted(kept, key=len, reverse=True):
        text = text.replace(secret, _SECRET)
    return _WORD.sub(lambda word: _SECRET if any(word[0] in secret for secret in kept) else word[0], text)


def for_xml(text: str) -> str:
    """The text with a question mark for each character that XML 1.0 does not allow, nor does SQS or Dataverse take."""
    return _NOT_XML.sub("?", text)
