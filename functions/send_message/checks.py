"""Whether a message may go out now: asked immediately before each send, in a fixed order. Pure.

1. It is still valid.  2. Its trigger is published.  3. The person wants it: no opt-out on the channel.
4. They can be reached as the integration wants them named.  5. It is within the trigger's hours, and no quiet hour, where they
are.  6. No cap is reached.

Whether the trigger is paused was asked before (`choosing.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

from shared.definitions import Integration, Policy, QuietHours
from shared.emails import is_address
from shared.fields import Cap, is_zone
from shared.jobs import MessageJob
from shared.person import Profile, identifier_of
from shared.sends import Sends, Slot, free_at, pruned, with_slot, without_slot
from shared.triggers import DAYS, Hours, Trigger

UNPUBLISHED = "the trigger was unpublished"
"""Why a message of a trigger that is not in force any more is skipped."""

_LONGEST_ZONE = 64
_DAYS_AHEAD = 16
"""In which the hours begin, even if a zone skips a date."""


@dataclass(frozen=True)
class Send:
    """It may go out, if this is what the profile's row has for `sends` then."""

    sends: Sends


@dataclass(frozen=True)
class Skip:
    """It is never to go out."""

    reason: str
    sends: Sends


@dataclass(frozen=True)
class Wait:
    """It is to be asked about again at `until`."""

    reason: str
    until: datetime
    sends: Sends


Verdict: TypeAlias = Send | Skip | Wait
"""Each has what the profile's `sends` are to be: as they are, if nothing need be written."""


def verdict(
    job: MessageJob,
    trigger: Trigger | None,
    profile: Profile | None,
    policy: Policy | None,
    *,
    integration: Integration,
    now: datetime,
    unsent: bool = False,
) -> Verdict:
    """What to do with a message. Without a policy its channel has that policy's defaults.

    The exit condition is not asked here: the ledger knows it. `unsent` if no earlier attempt can have gone out: then a slot that
    one took is given back if the message does not go out now either.
    """
    reason = _over(job, trigger, now) or _unwanted(profile, integration)
    if reason is not None or trigger is None or profile is None:
        return Skip(reason or "", _given_up(profile, job.message_id, now, unsent=unsent))
    return _Question(job, trigger, profile, policy or Policy(name=integration.channel), now, unsent).answer()


def _given_up(profile: Profile | None, message_id: str, now: datetime, *, unsent: bool) -> Sends:
    """The slots without the message's own, unless it took that and may have gone out."""
    if profile is None:
        return {}
    own = profile.sends.get(message_id)
    return without_slot(profile.sends, message_id, now) if own and (own.state == "held" or unsent) else profile.sends


def _over(job: MessageJob, trigger: Trigger | None, now: datetime) -> str | None:
    if now > job.valid_until:
        return "no longer valid"
    if trigger is None:
        return UNPUBLISHED
    return None


def _unwanted(profile: Profile | None, integration: Integration) -> str | None:
    if profile is None:
        return "no profile"
    suppression = profile.suppression(integration.channel)
    return f"suppressed: {suppression.reason}" if suppression else _unreachable(profile, integration.identifier)


def _unreachable(profile: Profile, kind: str) -> str | None:
    if kind in ("email", "email_sha256"):
        if not profile.email:
            return "no email address"
        return None if is_address(profile.email) else "the email address is not valid"
    if identifier_of(profile, kind):
        return None
    if kind == "phone":
        return "the phone number is not valid" if profile.attributes.get("phone") else "no phone number"
    return f"no {kind}"


@dataclass(frozen=True)
class _Question:
    """Whether a message that is to go out may do so now."""

    job: MessageJob
    trigger: Trigger
    profile: Profile
    policy: Policy
    now: datetime
    unsent: bool

    def answer(self) -> Verdict:
        exempt = self.trigger.name in self.policy.exempt
        quiet = None if exempt else self.policy.quiet_hours
        begins = open_from(self.trigger.hours, quiet, self.profile, self.now, self.job.valid_until)
        if begins > self.now:
            why, when = self._closed(quiet)
            return self._wait(why, begins, f"no longer valid {when}")
        for cap, of in self._caps(exempt):
            ends = self._free_at(cap, of)
            if ends > self.now:
                why = f"frequency cap of the {of}: {cap.times} in {cap.hours} h"
                return self._wait(why, ends, why)
        return Send(self._taken(exempt))

    def _closed(self, quiet: QuietHours | None) -> tuple[str, str]:
        """Why it is no time for it, and when that ends."""
        if quiet is not None and quiet_until(quiet, self.profile, self.now) > self.now:
            return "quiet hours", "after quiet hours"
        return "outside the trigger's hours", "within the trigger's hours"

    def _caps(self, exempt: bool) -> list[tuple[Cap, str]]:
        both = ((self.trigger.cap, "trigger"), (None if exempt else self.policy.cap, "channel"))
        return [(cap, of) for cap, of in both if cap is not None]

    def _free_at(self, cap: Cap, of: str) -> datetime:
        return free_at(
            self.profile.sends,
            self.job.message_id,
            cap,
            counted=self._is_of_trigger if of == "trigger" else self._is_of_channel,
            priority=self.trigger.priority,
            now=self.now,
        )

    def _is_of_trigger(self, slot: Slot) -> bool:
        return slot.trigger == self.trigger.name

    def _is_of_channel(self, slot: Slot) -> bool:
        return slot.channel == self.policy.name and slot.trigger not in self.policy.exempt

    def _taken(self, exempt: bool) -> Sends:
        """With a slot for as long as the longest cap counts it; with none if no cap does."""
        caps = [cap for cap, _ in self._caps(exempt)]
        if not caps:
            return without_slot(self.profile.sends, self.job.message_id, self.now)
        counts_until = self.now + timedelta(hours=max(cap.hours for cap in caps))
        return with_slot(self.profile.sends, self.job.message_id, self._slot(self.now, counts_until, held=False), self.now)

    def _slot(self, at: datetime, until: datetime, *, held: bool) -> Slot:
        return Slot(self.trigger.name, self.policy.name, at, self.trigger.priority, "held" if held else "taken", until)

    def _wait(self, reason: str, until: datetime, too_late: str) -> Verdict:
        """Waits, holding a slot; or, if its validity ends before, does not wait in vain."""
        sends, message_id = self.profile.sends, self.job.message_id
        if until > self.job.valid_until:
            return Skip(too_late, _given_up(self.profile, message_id, self.now, unsent=self.unsent))
        own = sends.get(message_id)
        if own is not None and own.state == "taken" and not self.unsent:
            return Wait(reason, until, pruned(sends, self.now))
        return Wait(reason, until, with_slot(sends, message_id, self._slot(until, self.job.valid_until, held=True), self.now))


def quiet_until(hours: QuietHours, profile: Profile, now: datetime) -> datetime:
    """When the quiet hours end where the person is; `now` if it is none.

    Goes by the clock on the wall: an hour that comes twice when summer time ends is quiet twice. An end within the hour that
    summer time skips comes an hour later.
    """
    zone = zone_of(hours, profile)
    begins, ends = time.fromisoformat(hours.begins), time.fromisoformat(hours.ends)
    local = now.astimezone(zone)
    if not _is_quiet(local, begins, ends):
        return now
    days = (local.date() + timedelta(days=one) for one in range(3))
    walls = [datetime.combine(day, ends, zone).replace(fold=fold) for day in days for fold in (0, 1)]
    times = sorted(wall.astimezone(UTC) for wall in walls)
    return next(at for at in times if at > now and not _is_quiet(at.astimezone(zone), begins, ends))


def open_from(hours: Hours | None, quiet: QuietHours | None, profile: Profile, now: datetime, ends: datetime) -> datetime:
    """The first moment from `now` on that is within the hours and not quiet; a moment after `ends` if there is none before."""
    at = now
    while at <= ends:
        later = quiet_until(quiet, profile, at) if quiet is not None else at
        later = hours_from(hours, profile, later) if hours is not None else later
        if later == at:
            break
        at = later
    return at


def hours_from(hours: Hours, profile: Profile, now: datetime) -> datetime:
    """When the hours begin where the person is; `now` if it is within them.

    Goes by the clock on the wall, as quiet hours do. Days are those on which the hours begin.
    """
    zone = zone_of(hours, profile)
    local = now.astimezone(zone)
    if _is_open(hours, local):
        return now
    begins = time() if hours.begins == hours.ends else time.fromisoformat(hours.begins)
    days = (local.date() + timedelta(days=one) for one in range(_DAYS_AHEAD))
    walls = [datetime.combine(day, begins, zone).replace(fold=fold) for day in days for fold in (0, 1)]
    times = sorted(wall.astimezone(UTC) for wall in walls)
    return next(at for at in times if at > now and _is_open(hours, at.astimezone(zone)))


def _is_open(hours: Hours, local: datetime) -> bool:
    clock, begins, ends = local.time(), time.fromisoformat(hours.begins), time.fromisoformat(hours.ends)
    today, yesterday = DAYS[local.weekday()] in hours.days, DAYS[local.weekday() - 1] in hours.days
    if begins == ends:
        return today
    if begins < ends:
        return today and begins <= clock < ends
    return (today and clock >= begins) or (yesterday and clock < ends)


def zone_of(hours: QuietHours | Hours, profile: Profile) -> ZoneInfo:
    """The person's zone, if their profile has one that there is; else that of the hours."""
    theirs = profile.attributes.get(hours.attribute)
    known = isinstance(theirs, str) and len(theirs) <= _LONGEST_ZONE and is_zone(theirs)
    return ZoneInfo(str(theirs) if known else hours.zone)


def _is_quiet(local: datetime, begins: time, ends: time) -> bool:
    clock = local.time()
    return begins <= clock < ends if begins <= ends else clock >= begins or clock < ends
