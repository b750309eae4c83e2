"""Delivra's sample."""

from __future__ import annotations

from shared.exchange import Response
from tests.contract.sample import ADDRESS, Sample, of_preset


def sample() -> Sample:
    """One message, taken, as an answer after a byte order mark says."""
    return of_preset("delivra", Response(200, {}, b'\xef\xbb\xbf{"MessageID": "7"}'), body={"email": ADDRESS})
