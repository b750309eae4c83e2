"""Unisender Go's sample. Its signature is in the body, so its webhooks are tried in its own tests."""

from __future__ import annotations

from shared.exchange import Response
from tests.contract.sample import ADDRESS, Sample, of_preset


def sample() -> Sample:
    """One message, taken."""
    taken = b'{"status": "success", "job_id": "1ZymBc-00041N-9X", "emails": ["x"]}'
    return of_preset("unisender_go", Response(200, {}, taken), body={"message": {"recipients": [{"email": ADDRESS}]}})
