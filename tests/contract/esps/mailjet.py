"""Mailjet's sample."""

from __future__ import annotations

from pydantic import JsonValue

from shared.exchange import Response
from tests.contract.sample import ADDRESS, Sample, of_preset


def sample() -> Sample:
    """One message, taken."""
    taken = (
        b'{"Messages": [{"Status": "success", "CustomID": "m_1", "To": [{"Email": "x", "MessageUUID": "0a-1", '
        b'"MessageID": 1152921515074612345, "MessageHref": "x"}], "Cc": [], "Bcc": []}]}'
    )
    body: JsonValue = {"Messages": [{"To": [{"Email": ADDRESS}], "CustomID": "m_1"}]}
    return of_preset("mailjet", Response(200, {}, taken), body=body)
