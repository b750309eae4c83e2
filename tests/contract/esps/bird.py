"""Bird's sample."""

from __future__ import annotations

from shared.exchange import Response
from tests.contract.sample import Sample, of_preset


def sample() -> Sample:
    """One message, sent."""
    taken = b'{"id": "b0", "recipients": {"totalCount": 1, "items": [{"recipient": 31612345678, "status": "sent"}]}}'
    return of_preset("bird", Response(201, {}, taken), body={"originator": "Acme", "recipients": "31612345678", "body": "Hello"})
