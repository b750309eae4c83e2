"""Amazon SES's sample."""

from __future__ import annotations

from shared.exchange import Response
from tests.contract.sample import ADDRESS, Sample, of_preset


def sample() -> Sample:
    """One message, taken."""
    taken = Response(200, {}, b'{"MessageId": "0100018f-1"}')
    return of_preset("ses", taken, body={"Destination": {"ToAddresses": [ADDRESS]}})
