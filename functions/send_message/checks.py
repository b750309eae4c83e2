"""Why a message is not to be sent after all: asked immediately before the send, in a fixed order."""

from __future__ import annotations

import re
from datetime import datetime

from shared.definitions import Trigger
from shared.jobs import MessageJob
from shared.profiles import Profile
from shared.visits import Visit, excluded_after

_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_ADDRESS = re.compile(rf"[^\s@<>()\[\]\\,;:\"\x00-\x1f\x7f]{{1,64}}@(?:{_LABEL}\.)+{_LABEL}")
_LONGEST_ADDRESS = 254


def reason_to_skip(
    job: MessageJob, trigger: Trigger | None, visit: Visit | None, profile: Profile | None, *, channel: str, now: datetime
) -> str | None:
    """The first reason not to send, None if there is none."""
    return _expired(job, now) or _cancelled(job, trigger, visit) or _unreachable(profile, channel)


def _expired(job: MessageJob, now: datetime) -> str | None:
    return "no longer valid" if now > job.valid_until else None


def _cancelled(job: MessageJob, trigger: Trigger | None, visit: Visit | None) -> str | None:
    if trigger is None:
        return "the trigger was deleted"
    if not trigger.enabled:
        return "the trigger is switched off"
    since = job.begins_at or job.anchor_at
    return trigger.cancelled_as if excluded_after(visit, trigger.must_not_include, since) else None


def _unreachable(profile: Profile | None, channel: str) -> str | None:
    if profile is None:
        return "no profile"
    if not profile.email:
        return "no email address"
    if not is_address(profile.email):
        return "the email address is not valid"
    why = profile.suppressed.get(channel)
    return f"suppressed: {why}" if why else None


def is_address(text: str) -> bool:
    """Whether this looks like one email address (RFC 5321 without quoted local parts; international ones are fine)."""
    return len(text) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(text) is not None
