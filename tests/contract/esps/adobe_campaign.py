"""Adobe Campaign's sample."""

from __future__ import annotations

from shared.exchange import Response
from tests.contract.sample import ADDRESS, Sample, of_preset


def sample() -> Sample:
    """One event, pending."""
    taken = b'{"PKey": "@abc", "status": "pending", "href": "mcgeometrixx/EVTcartAbandon/@abc", "type": ""}'
    return of_preset("adobe_campaign", Response(200, {}, taken), body={"email": ADDRESS, "ctx": {"messageId": "m_1"}})
