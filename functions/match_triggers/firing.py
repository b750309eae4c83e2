"""Queue `timers`: visitors may be due. Their rows decide; a timer is only a hint.

A decision is written into the row's outbox first, on the condition that the row is still as it was read; then it is sent; then
the outbox is cleared. The row stays due until then, so after a crash anywhere the next timer, or the sweep, finds the outbox
and sends the same content under the same ids. Sent twice, it is one message: `send_message` sees to that.

All visitors of a batch are looked at together: their rows are read at once, and so is what their users did elsewhere, who they
are, and what their messages need; what is decided is written, sent and cleared in batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from match_triggers.counting import decision_of
from match_triggers.deciding import job_of, known_events
from match_triggers.desk import TRIES, Desk
from match_triggers.enriching import Pending, finish, snapshot_of
from match_triggers.exits import recall
from match_triggers.identity import meant
from match_triggers.keeping import due_at, outlook
from match_triggers.matching import episodes
from match_triggers.outcome import Outcome
from match_triggers.walking import Episode
from shared.errors import Transient
from shared.ids import visit_id
from shared.jobs import MessageJob, TimerJob
from shared.person import Identifier
from shared.queues import Batch
from shared.visits import EVERYWHERE, Visit, VisitEvent, in_order

Owners = Mapping[Identifier, str]
"""To whom identifiers belong."""

_EARLY = timedelta(seconds=2)
"""A timer that comes this much before its deadline is not an old one: clocks differ."""


def fire(batch: Batch[TimerJob], desk: Desk) -> None:
    """Looks at each visitor of a batch once. A record is retried if one of its visitors could not be."""
    looks = _Looks(desk, {key for record in batch.records if record.receives > 1 for key in record.body.visit_ids})
    looks.at([*dict.fromkeys(key for record in batch.records for key in record.body.visit_ids)])
    desk.remind(looks.due)
    for record in batch.records:
        error = next((looks.failed[key] for key in record.body.visit_ids if key in looks.failed), None)
        if error is not None:
            batch.settle(record, error)


class _Looks:
    """Looks at some visitors' rows."""

    def __init__(self, desk: Desk, again: set[str]) -> None:
        self._desk, self._again = desk, again
        self._sent: set[str] = set()
        self.due: list[tuple[str, datetime | None]] = []
        """When these are to be looked at next, if that needs a new timer."""
        self.failed: dict[str, Exception] = {}

    def at(self, keys: Sequence[str]) -> None:
        """Takes and sends the decisions that are due, of all together; or of each alone, if that fails."""
        try:
            self._together(keys)
        except Exception as error:  # one visitor's failure, whatever it is, must not touch its neighbours
            if len(keys) == 1:
                self.failed[keys[0]] = error
            else:
                for key in keys:
                    self.at([key])

    def _together(self, keys: Sequence[str]) -> None:
        for _ in range(TRIES):
            rows = self._desk.visits.read_all(keys)
            keys = self._round([row for row in rows.values() if self._is_due(row)])
            if not keys:
                return
        self.failed |= dict.fromkeys(keys, Transient("the visit is being changed by others"))

    def _is_due(self, visit: Visit) -> bool:
        if visit.due_at is None:
            return False
        if visit.outbox or visit.due_at <= self._desk.clock():
            return True
        # Whoever wrote this deadline sent its timer, unless they died in between: this one is of an older deadline. If each
        # such timer were sent on, an active visitor would gather more of them with every sweep.
        if visit.id in self._again or visit.due_at <= self._desk.clock() + _EARLY:
            self.due.append((visit.id, visit.due_at))
        return False

    def _round(self, visits: Sequence[Visit]) -> list[str]:
        """Decides about these, and sends what was decided. Returns those that somebody else has changed meanwhile."""
        elsewhere = self._elsewhere(visits)
        drafts, jobs = self._decided([visit for visit in visits if not visit.outbox], elsewhere)
        ready, overtaken = self._written(drafts)
        self._count(ready)
        sending = [visit for visit in (*visits, *ready) if visit.outbox]
        self.due += [(visit.id, visit.due_at) for visit in ready if not visit.outbox]
        self._send(sending, jobs)
        cleared, late = self._written([self._cleared(visit, elsewhere.get(visit.id, ())) for visit in sending])
        self.due += [(visit.id, visit.due_at) for visit in cleared]
        return [*overtaken, *late]

    def _count(self, visits: Iterable[Visit]) -> None:
        """Once their decisions are written: so they are counted by nobody else."""
        for job in (job for visit in visits for job in visit.outbox):
            trigger = self._desk.triggers.get(job.trigger)
            self._desk.counts.decided(decision_of(job, trigger.definition if trigger else None))

    def _elsewhere(self, visits: Iterable[Visit]) -> dict[str, Sequence[VisitEvent]]:
        """What each visitor's user did on whatever device or tracker that may end something."""
        asked = {visit.id: [visit_id(EVERYWHERE, None, user) for user in _users(visit)] for visit in visits}
        wanted = [key for keys in asked.values() for key in keys]
        rows = self._desk.visits.read_all(wanted) if wanted else {}
        found = {one: [event for key in keys if key in rows for event in rows[key].events] for one, keys in asked.items()}
        return {one: in_order(events) for one, events in found.items() if events}

    def _decided(
        self, visits: Sequence[Visit], elsewhere: Mapping[str, Sequence[VisitEvent]]
    ) -> tuple[list[Visit], dict[str, MessageJob]]:
        """The rows with what is due in their outboxes, or with a later deadline; and the jobs with all that they bring along."""
        now, desk = self._desk.clock(), self._desk
        found = {visit.id: self._due(visit, elsewhere.get(visit.id, ()), now) for visit in visits}
        owners = desk.profiles.owners(visit.identifiers for visit in visits if found[visit.id])
        pending = {visit.id: [self._pending(visit, episode, owners, now) for episode in found[visit.id]] for visit in visits}
        finished = iter(finish([one for those in pending.values() for one in those], desk.profiles, desk.entities, now))
        rows: list[Visit] = []
        jobs: dict[str, MessageJob] = {}
        for visit in visits:
            seen = elsewhere.get(visit.id, ())
            listening = desk.listening(visit.tracker)
            outcome = Outcome(visit, listening.listeners, seen, partial(self._job, visit, owners, now), now)
            outcome.take([(episode, next(finished)) for episode in found[visit.id]])
            jobs |= {job.message_id: job for job in outcome.jobs}
            rows.append(outcome.row(partial(outlook, listening=listening, now=now, elsewhere=seen)))
        return rows, jobs

    def _due(self, visit: Visit, elsewhere: Sequence[VisitEvent], now: datetime) -> list[Episode]:
        found = episodes(visit, self._desk.listening(visit.tracker).listeners, now, elsewhere)
        return [episode for episode in found if due_at(visit, episode) <= now]

    def _pending(self, visit: Visit, episode: Episode, owners: Owners, now: datetime) -> Pending:
        job = self._job(visit, owners, now, episode)
        return Pending(job, episode.listener.definition, known_events(visit, episode), episode.due_at)

    def _job(self, visit: Visit, owners: Owners, now: datetime, episode: Episode) -> MessageJob:
        trigger = episode.listener.definition
        who = meant(owners, visit.identifiers, trigger.identity)
        return job_of(visit, episode, who, self._desk.versions.of(trigger.integration), now)

    def _written(self, visits: Sequence[Visit]) -> tuple[list[Visit], list[str]]:
        """Those that are written, and the ids of those that somebody else has changed meanwhile."""
        written: list[Visit] = []
        overtaken: list[str] = []
        for visit, result in zip(visits, self._desk.visits.write_all(visits), strict=True):
            if isinstance(result, Transient):
                self.failed[visit.id] = result
            elif result is None:
                overtaken.append(visit.id)
            else:
                written.append(result)
        return written, overtaken

    def _send(self, visits: Iterable[Visit], jobs: Mapping[str, MessageJob]) -> None:
        """Sends what is in their outboxes, and first takes back what that takes back."""
        sending: list[MessageJob] = []
        for visit in visits:
            recall(visit, self._desk)
            sending += [jobs.get(job.message_id, job) for job in visit.outbox if job.message_id not in self._sent]
        self._desk.messages.send_all(self._with_profiles(sending))
        self._sent.update(job.message_id for job in sending)

    def _with_profiles(self, jobs: Sequence[MessageJob]) -> list[MessageJob]:
        """The jobs, each with the profile as it is now, so that sending need not read it: not those that would grow too large."""
        lacking = {job.message_id: job.profile_id for job in jobs if job.decided == "send" and not job.profile and job.profile_id}
        people = self._desk.profiles.get_all(set(lacking.values())) if lacking else {}
        known = {key: snapshot_of(people[person]) for key, person in lacking.items() if person in people}
        return [job.model_copy(update={"profile": known[job.message_id]}) if job.message_id in known else job for job in jobs]

    def _cleared(self, visit: Visit, elsewhere: Sequence[VisitEvent]) -> Visit:
        """The row without what has been sent, due when it is to be looked at next."""
        sent = visit.model_copy(update={"outbox": (), "recalled": {}})
        due, attentive_until = outlook(sent, self._desk.listening(visit.tracker), self._desk.clock(), elsewhere)
        return sent.model_copy(update={"due_at": due, "attentive_until": attentive_until})


def _users(visit: Visit) -> list[str]:
    """What the visitor is called as a user, of whom something may have been done elsewhere."""
    return [value for namespace, value in visit.identifiers if namespace == "user_id"]
