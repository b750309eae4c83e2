"""Brevo's sample."""

from __future__ import annotations

from shared.exchange import Response
from tests.contract.sample import ADDRESS, Sample, of_preset


def sample() -> Sample:
    """One message, taken."""
    taken = Response(201, {}, b'{"messageId": "<20261121@smtp-relay.mailin.fr>"}')
    return of_preset("brevo", taken, body={"to": [{"email": ADDRESS}]})
