"""Rows in the ledger, for tests of what comes after the claim."""

from __future__ import annotations

from shared.claims import Claims, Fresh
from shared.jobs import MessageJob
from shared.ledger_rows import Claim, Status
from tests.aws import Aws

RETENTION = 30 * 86_400


def in_ledger(aws: Aws, job: MessageJob, status: Status = "sending", *, kept: str = "", sent_to: str = "email#") -> None:
    """Makes the message's row; if it is `sending`, claimed for 30 s from now."""
    now = aws.clock().timestamp()
    until, tried_at = (now + 30, now) if status == "sending" else (0, now if status == "unknown" else 0)
    claim = Claim("a test", until, job.integration, 1, tried_at, kept, sent_to=sent_to)
    assert Claims(aws.dynamodb, aws.table("messages"), RETENTION).insert([Fresh(job, status, claim)]) == [None]
