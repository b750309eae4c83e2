"""SendGrid's sample."""

from __future__ import annotations

from shared.exchange import Response
from tests.contract.sample import ADDRESS, Sample, of_preset


def sample() -> Sample:
    """One message, taken: nothing but a header says so."""
    taken = Response(202, {"x-message-id": "14c5d75ce93"}, b"")
    return of_preset("sendgrid", taken, body={"personalizations": [{"to": [{"email": ADDRESS}]}]}, reads=False)
