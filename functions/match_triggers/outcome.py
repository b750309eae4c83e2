"""What the decisions about a visitor leave in the visitor's row: what is used up, who may not fire again, what is taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from match_triggers.deciding import id_of, skipped
from match_triggers.enriching import Later
from match_triggers.exits import fired
from match_triggers.listeners import Listener
from match_triggers.matching import as_of, course
from match_triggers.walking import Episode
from shared.jobs import MessageJob
from shared.visits import Visit, VisitEvent

_LARGEST_OUTBOX = 160_000
"""Bytes: what does not fit beside the visit's events waits for its turn, which comes at once."""

_FOR_GOOD = timedelta(days=730)
"""How long it is known that a trigger must never fire again for a visitor."""

Result = MessageJob | Later
"""A decision with all that its message knows, or when to make it anew."""


class Outcome:
    """Takes decisions in their order, and makes the row that they lead to."""

    def __init__(
        self,
        visit: Visit,
        listeners: Iterable[Listener],
        elsewhere: Sequence[VisitEvent],
        job_for: Callable[[Episode], MessageJob],
        now: datetime,
    ) -> None:
        self._visit, self._elsewhere, self._job_for, self._now = visit, elsewhere, job_for, now
        self._listeners = {listener.name: listener for listener in listeners}
        self._consumed, self._done, self._fired_at = dict(visit.consumed), dict(visit.done), dict(visit.fired_at)
        self._held: dict[str, datetime] = {}
        self._held_back: dict[str, datetime] = {}
        self._recalled: dict[str, str] = {}
        self._kept_until = visit.kept_until
        self._room = _LARGEST_OUTBOX
        self.jobs: list[MessageJob] = []
        """What was decided, with all that sending needs."""

    def take(self, results: Iterable[tuple[Episode, Result]]) -> None:
        """Takes these decisions, up to the first that changes what the others are about; they come at the next look, at once."""
        for episode, result in results:
            name = episode.listener.name
            if isinstance(result, Later) or name in self._held_back:
                self._hold(episode, result.at if isinstance(result, Later) else self._held_back[name])
                continue
            job = skipped(result, "fired already") if result.decided == "send" and self._is_barred(episode) else result
            if not self._put(job):
                return
            self._use_up(episode)
            if job.decided == "send":
                self._remember(episode)
                if episode.listener.definition.cancels:
                    self._cancel_others(episode)
                    return

    def row(self, outlook: Callable[[Visit], tuple[datetime | None, datetime | None]]) -> Visit:
        """The row with all that, still due while something is to be sent."""
        visit = self._visit.model_copy(
            update={
                "consumed": self._of_known(self._consumed),
                "done": self._done_of_those_kept(),
                "fired_at": self._of_known(self._fired_at),
                "held": self._held,
                "outbox": tuple(job.model_copy(update={"profile": None}) for job in self.jobs),
                "recalled": self._recalled,
                "fired": fired(self._visit, self.jobs, self._now),
                "kept_until": self._kept_until,
            }
        )
        if self.jobs:
            return visit
        due, attentive_until = outlook(visit)
        return visit.model_copy(update={"due_at": due, "attentive_until": attentive_until})

    def _hold(self, episode: Episode, until: datetime) -> None:
        """Decides later. What the same trigger decides about afterwards waits too, as it would use this one up."""
        self._held[id_of(self._visit, episode)] = until
        if episode.listener.definition.type != "event":
            self._held_back[episode.listener.name] = until

    def _is_barred(self, episode: Episode) -> bool:
        last, seconds = self._fired_at.get(episode.listener.name), episode.listener.definition.reentry_seconds
        return last is not None and (seconds is None or episode.due_at - last < timedelta(seconds=seconds))

    def _put(self, job: MessageJob) -> bool:
        """Whether there was room for it; for the first there always is."""
        self._room -= len(job.model_copy(update={"profile": None}).model_dump_json().encode())
        if self._room < 0 and self.jobs:
            return False
        self.jobs.append(job)
        return True

    def _use_up(self, episode: Episode) -> None:
        name = episode.listener.name
        if episode.listener.definition.type == "event":
            self._done[name] = (*self._done.get(name, ()), episode.key)
        else:
            self._consume(name, episode.through)

    def _consume(self, name: str, through: datetime) -> None:
        self._consumed[name] = max(through, self._consumed.get(name, through))

    def _remember(self, episode: Episode) -> None:
        """That it has fired, if it must not do so again too soon."""
        name, seconds = episode.listener.name, episode.listener.definition.reentry_seconds
        if seconds != 0:
            self._fired_at[name] = max(episode.due_at, self._fired_at.get(name, episode.due_at))
            until = episode.due_at + (_FOR_GOOD if seconds is None else timedelta(seconds=seconds))
            self._kept_until = max(until, self._kept_until or until)

    def _cancel_others(self, by: Episode) -> None:
        """What other triggers wait for since before this one fired is over, and what they sent is taken back."""
        cancels, reason = by.listener.definition.cancels, f"cancelled by {by.listener.name}"
        names = set(self._listeners if cancels == "all" else cancels) - {by.listener.name}
        decided = {job.message_id for job in self.jobs}
        until_then, elsewhere = as_of(self._visit, by.due_at), [one for one in self._elsewhere if one.at <= by.due_at]
        for name in sorted(names & self._listeners.keys()):
            for episode in course(until_then, self._listeners[name], by.due_at, elsewhere).episodes:
                if episode.begins_at <= by.due_at and id_of(self._visit, episode) not in decided:
                    self.jobs.append(skipped(self._job_for(episode), episode.skipped or reason))
            self._consume(name, by.due_at)
        for one in fired(self._visit, self.jobs, self._now):
            if one.trigger in names and one.begins_at <= by.due_at:
                self._recalled[one.message_id] = reason

    def _of_known(self, times: Mapping[str, datetime]) -> dict[str, datetime]:
        """Triggers that are gone are forgotten."""
        return {name: at for name, at in times.items() if name in self._listeners}

    def _done_of_those_kept(self) -> dict[str, tuple[str, ...]]:
        kept = {event.id for event in self._visit.events}
        done = {name: tuple(key for key in keys if key in kept) for name, keys in self._done.items() if name in self._listeners}
        return {name: keys for name, keys in done.items() if keys}
