"""The last checks, and the slot under the caps: one conditional write on the profile's row.

The write proves that what was decided was decided about the profile as it is: a job brings the profile along, and if that has
become old, the write fails, the row comes back with the failure, and it is decided anew. Nobody is skipped, or made to wait, by a
profile that was not read just now or proven by a write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from send_message.checks import Send, Skip, Verdict, Wait, verdict
from send_message.doubts import resolve
from send_message.settling import Ending, Settler
from send_message.slot_table import Kept
from send_message.work import Run, Work
from shared.errors import Transient
from shared.observe import logger, whereabouts
from shared.person import Profile, from_snapshot
from shared.sends import Sends, without_slot

_TRIES = 5
"""How often it is decided about one message while others keep changing the profile."""


@dataclass
class _Decided:
    work: Work
    verdict: Verdict


@dataclass
class Slots:
    """Of one batch."""

    run: Run
    settler: Settler
    _people: dict[str, Profile | None] = field(default_factory=dict)
    """As of the newest that is known of them."""
    _proven: set[str] = field(default_factory=set)
    """Whose rows were read or written just now."""
    _tries: dict[str, int] = field(default_factory=dict)

    def reserve(self, works: Sequence[Work]) -> list[Work]:
        """Those of the messages that go out now, each with its slot taken; the others are at their end, or come back."""
        works = self._known(works)
        left: list[Work] = []
        while works:
            turn, works = _one_each(works)
            decided = [one for work in turn if (one := self._decided(work)) is not None]
            hasty = [one.work for one in decided if self._is_hasty(one)]
            stale = self._read(hasty)
            written, overtaken = self._write([one for one in decided if one.work not in hasty])
            ends = {one.work: one.verdict for one in written}
            left += self.run.each(ends, lambda work, ends=ends: self._goes_out(work, ends[work]))  # type: ignore[misc]
            works = [*stale, *overtaken, *works]
        return left

    def _known(self, works: Sequence[Work]) -> list[Work]:
        for work in works:
            if work.job.profile is not None and work.record.receives == 1:
                self._learn(work)
        unknown = [work for work in works if _person(work) not in self._people]
        read = self._read(unknown)
        return [work for work in works if work not in unknown or work in read]

    def _learn(self, work: Work) -> None:
        """Of two messages to one person, the newer profile holds. One that cannot be read back is read from the table."""
        try:
            profile = from_snapshot(work.job.profile or {})
        except (KeyError, TypeError, ValueError):
            return
        known = self._people.get(profile.id)
        if profile.id == _person(work) and (known is None or known.version < profile.version):
            self._people[profile.id] = profile

    def _read(self, works: Sequence[Work]) -> Sequence[Work]:
        """Reads the profiles of these messages. Returns none of them if that fails."""
        ids = {_person(work) for work in works} - {""}
        found = self.run.all_of(works, lambda: self.run.outbox.profiles.get_all(ids) if ids else {})
        if found is None:
            return []
        self._people |= {one: found.get(one) for one in ids}
        self._proven |= ids
        return works

    def _decided(self, work: Work) -> _Decided | None:
        outbox, person = self.run.outbox, _person(work)
        self._tries[work.job.message_id] = tries = self._tries.get(work.job.message_id, 0) + 1
        try:
            if tries > _TRIES:
                raise Transient("the profile is being changed by others")
            work.profile = self._people.get(person)
            policy = outbox.policies.get(work.via.integration.channel)
            made = verdict(
                work.job,
                work.trigger,
                work.profile,
                policy.definition if policy else None,
                integration=work.via.integration,
                now=outbox.clock(),
                unsent=work.row is not None and not work.doubtful,
            )
        except Exception as error:  # a message's failure must not touch its neighbours
            self.run.batch.settle(work.record, error)
            return None
        return _Decided(work, made)

    def _is_hasty(self, one: _Decided) -> bool:
        """Whether nothing is to be written, and so nothing would prove that the profile is as we think."""
        person = _person(one.work)
        return bool(person) and person not in self._proven and not self._writes(one)

    def _writes(self, one: _Decided) -> bool:
        """Whether the row must be written: for another set of slots, or as a proof before a message goes out."""
        profile = one.work.profile
        if profile is None:
            return False
        unproven = isinstance(one.verdict, Send) and profile.id not in self._proven
        return unproven or one.verdict.sends not in (None, profile.sends)

    def _write(self, decided: Sequence[_Decided]) -> tuple[list[_Decided], list[Work]]:
        """Writes what is to be written. Returns those that hold, and those to be decided anew."""
        holding = [one for one in decided if not self._writes(one)]
        writing = [one for one in decided if self._writes(one)]
        overtaken: list[Work] = []
        for one, result in zip(writing, self._written(writing), strict=True):
            person = _person(one.work)
            if isinstance(result, Transient):
                self.run.batch.settle(one.work.record, result)
                continue
            self._people[person] = result.now
            self._proven.add(person)
            if result.done:
                one.work.profile = result.now
                holding.append(one)
            else:
                overtaken.append(one.work)
        return holding, overtaken

    def _written(self, writing: Sequence[_Decided]) -> Sequence[Kept | Transient]:
        kept: list[tuple[Profile, Sends]] = [(one.work.profile, one.verdict.sends or {}) for one in writing if one.work.profile]
        try:
            return self.run.outbox.slots.keep(kept)
        except Exception as error:  # of AWS: all come back
            return [Transient(type(error).__name__)] * len(writing)

    def _goes_out(self, work: Work, made: Verdict) -> bool:
        if isinstance(made, Send):
            return resolve(self.run, self.settler, work)
        if isinstance(made, Wait):
            self._wait(work, made)
        elif work.doubtful:
            return resolve(self.run, self.settler, work, made.reason)
        else:
            self._skip(work, made)
        return False

    def _skip(self, work: Work, made: Skip) -> None:
        self.settler.add(Ending(work, "skipped", self.run.outbox.hop("skipped", made.reason)))

    def _wait(self, work: Work, made: Wait) -> None:
        seconds = (made.until - self.run.outbox.clock()).total_seconds()
        error = Transient(made.reason, retry_after=max(seconds, 1))
        if work.doubtful or (work.row is not None and work.row.trace[-1].reason == made.reason):
            raise error
        self.settler.add(Ending(work, "waiting", self.run.outbox.hop("waits", made.reason), error))


def give_back(run: Run) -> None:
    """Frees the slots of messages that surely do not go out, as far as nobody has changed the profile since: they end anyway."""
    now = run.outbox.clock()
    holding = {work.profile.id: (work.profile, work.job.message_id) for work in run.unsent if work.profile is not None}
    freed = [(one, without_slot(one.sends, message_id, now)) for one, message_id in holding.values() if message_id in one.sends]
    if not freed:
        return
    try:
        run.outbox.slots.keep(freed)
    except Exception as error:  # of AWS
        logger.warning("slots are not given back", reason=whereabouts(error))


def _person(work: Work) -> str:
    return work.job.profile_id or ""


def _one_each(works: Sequence[Work]) -> tuple[list[Work], list[Work]]:
    """The first message of each person, and the others: a slot depends on those taken before it."""
    first: dict[str, Work] = {}
    others = [work for work in works if first.setdefault(_person(work) or work.job.message_id, work) is not work]
    return [*first.values()], others
