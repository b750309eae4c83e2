"""Twilio's sample."""

from __future__ import annotations

from shared.exchange import Response
from tests.contract.sample import Sample, of_preset


def sample() -> Sample:
    """One message, queued."""
    taken = b'{"sid": "SM0123", "status": "queued", "error_code": null, "num_segments": "1"}'
    return of_preset("twilio", Response(201, {}, taken), body={"To": "+15005550001", "From": "+15005550006", "Body": "Hello"})
