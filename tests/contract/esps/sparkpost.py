"""SparkPost's sample."""

from __future__ import annotations

from shared.exchange import Response
from tests.contract.sample import ADDRESS, Sample, of_preset


def sample() -> Sample:
    """One message, taken."""
    taken = b'{"results": {"total_rejected_recipients": 0, "total_accepted_recipients": 1, "id": "11600000000001"}}'
    return of_preset("sparkpost", Response(200, {}, taken), body={"recipients": [{"address": {"email": ADDRESS}}]})
