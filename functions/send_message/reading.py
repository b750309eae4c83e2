"""What a batch of messages needs of visits and profiles: read once for all, and again when it has become old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.clock import Clock
from shared.jobs import MessageJob
from shared.person import Profile
from shared.profiles import Profiles
from shared.visits import Visit, Visits

MAX_AGE = 1.0
"""Seconds after which a visit is read again: the exit condition is checked immediately before a send."""


@dataclass
class Readings:
    """The visits and profiles of these jobs, taken in their order."""

    jobs: Sequence[MessageJob]
    visits: Visits
    profiles: Profiles
    clock: Clock

    def __post_init__(self) -> None:
        self._read_at = float("-inf")
        self._visits: dict[str, Visit] = {}
        self._profiles: dict[str, Profile] = {}

    def of(self, job: MessageJob) -> tuple[Visit | None, Profile | None]:
        """The visit and the profile of one job, as of at most `MAX_AGE` seconds ago."""
        if self.clock().timestamp() - self._read_at > MAX_AGE:
            self._read([*self.jobs[self.jobs.index(job) :]])
        return self._visits.get(job.visit_id), self._profiles.get(job.profile_id or "")

    def _read(self, left: Sequence[MessageJob]) -> None:
        sends = [job for job in left if job.decided == "send"]
        self._read_at = self.clock().timestamp()
        self._visits = self.visits.read_all(job.visit_id for job in sends)
        self._profiles = self.profiles.get_all(job.profile_id for job in sends if job.profile_id)
