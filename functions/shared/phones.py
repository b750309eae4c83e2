"""Telephone numbers, as E.164 has them: `+`, country code, number, at most 15 digits."""

from __future__ import annotations

import re

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def is_e164(text: str) -> bool:
    """Whether this is a number in international form without anything between its digits."""
    return _E164.fullmatch(text) is not None


def e164(text: str, country: str = "") -> str | None:
    """The number in E.164; None if it is none.

    A national number is read as one of `country` (ISO 3166, two letters), and is none without it: nothing is guessed.
    """
    if is_e164(text):
        return text
    # Only here: its tables take longer to load than most functions take to start, and most numbers come as they should be.
    import phonenumbers  # noqa: PLC0415

    try:
        number = phonenumbers.parse(text, country.upper() or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
