"""Scaleway's sample."""

from __future__ import annotations

from shared.exchange import Response
from tests.contract.sample import ADDRESS, Sample, of_preset


def sample() -> Sample:
    """One message, taken."""
    taken = b'{"emails": [{"id": "aaaaaaaa-0000-4000-8000-000000000001", "mail_rcpt": "x", "status": "sending"}]}'
    return of_preset("scaleway", Response(200, {}, taken), body={"to": [{"email": ADDRESS}]})
