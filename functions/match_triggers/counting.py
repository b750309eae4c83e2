"""What is counted of decisions, for the reports."""

from __future__ import annotations

from match_triggers.walking import CAME_BACK
from shared.jobs import MessageJob
from shared.reports import Decision
from shared.triggers import Trigger

BY_ANOTHER = "cancelled by "
"""How a reason begins that names the trigger which took this one's place."""


def decision_of(job: MessageJob, trigger: Trigger | None) -> Decision:
    """What was decided. A skip counts as cancelled if the visitor did what ends it, came back, or another trigger fired."""
    ends = {CAME_BACK, trigger.cancelled_as} if trigger else {CAME_BACK}
    cancelled = job.reason in ends or job.reason.startswith(BY_ANOTHER)
    return Decision(job, job.decided, job.reason, cancelled, _lateness(job))


def _lateness(job: MessageJob) -> float:
    """Seconds from the deadline to the decision, as its trace says."""
    said = next((hop.data.get("lateness") for hop in job.hops if hop.what == "timer"), None)
    return float(said) if isinstance(said, int | float) else 0.0
