"""How many text messages a text becomes: networks carry 140 bytes at a time (3GPP TS 23.038 and TS 23.040, release 17)."""

from __future__ import annotations

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
"""Those that take two places, an escape and a letter."""


def segments_of(text: str) -> int:
    """Segments that a text is sent as: of 160 letters of GSM-7, 153 each if there are several; else of 70 and 67 of UCS-2.

    A letter of two places is never cut in two, as it would be unreadable.
    """
    if is_gsm7(text):
        return _filled([2 if letter in _EXTENDED else 1 for letter in text], 160, 153)
    return _filled([2 if ord(letter) > 0xFFFF else 1 for letter in text], 70, 67)


def is_gsm7(text: str) -> bool:
    """Whether GSM-7 has every letter of this text."""
    return all(letter in _BASIC or letter in _EXTENDED for letter in text)


def _filled(places: list[int], alone: int, each: int) -> int:
    if sum(places) <= alone:
        return 1
    segments, used = 1, 0
    for size in places:
        if used + size > each:
            segments, used = segments + 1, 0
        used += size
    return segments
