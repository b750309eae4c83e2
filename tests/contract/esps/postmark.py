"""Postmark's sample."""

from __future__ import annotations

from shared.exchange import Response
from tests.contract.sample import ADDRESS, Sample, of_preset


def sample() -> Sample:
    """One message, taken."""
    taken = b'[{"To": "x", "SubmittedAt": "2026-11-21T07:00:00-05:00", "MessageID": "0a-1", "ErrorCode": 0, "Message": "OK"}]'
    return of_preset("postmark", Response(200, {}, taken), body={"From": "shop@example.com", "To": ADDRESS})
