"""Mailgun's sample."""

from __future__ import annotations

from shared.exchange import Response
from tests.contract.sample import ADDRESS, Sample, of_preset


def sample() -> Sample:
    """One message, taken."""
    taken = Response(200, {}, b'{"id": "<20261121.1@mg.example.com>", "message": "Queued. Thank you."}')
    return of_preset("mailgun", taken, body={"from": "shop@example.com", "to": ADDRESS})
