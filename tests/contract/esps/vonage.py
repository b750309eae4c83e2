"""Vonage's sample."""

from __future__ import annotations

from shared.exchange import Response
from tests.contract.sample import Sample, of_preset


def sample() -> Sample:
    """One message of two segments, taken."""
    taken = b'{"message-count": "2", "messages": [{"message-id": "A1", "status": "0"}, {"message-id": "A2", "status": "0"}]}'
    return of_preset("vonage", Response(200, {}, taken), body={"from": "Acme", "to": "447700900000", "text": "Hello"})
