"""What one person was sent lately and what waits for them: the slots that frequency caps count. Kept on the profile's row.

A slot is taken when a message is about to be posted, on the condition that the row is still as it was read: so two messages never
take the same one. A message that waits holds a slot against those of lower priority, and only against them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from shared.fields import Cap

PATIENCE = timedelta(minutes=5)
"""How long, at least, a message waits for one that holds its slot."""

_MOST_TAKEN, _MOST_HELD = 200, 20
"""Slots on a row: some 20 kB. What waits and has the lowest priority loses its claim first."""


@dataclass(frozen=True)
class Slot:
    """One message's place under the caps."""

    trigger: str
    channel: str
    at: datetime
    """When the message was sent (`taken`), or when it is to be tried again (`held`)."""
    priority: int
    state: Literal["taken", "held"]
    until: datetime
    """When no cap counts it any more (`taken`), or when the message's validity ends (`held`)."""


Sends = Mapping[str, Slot]
"""Message id → its slot."""


def free_at(
    sends: Sends, message_id: str, cap: Cap, *, counted: Callable[[Slot], bool], priority: int, now: datetime
) -> datetime:
    """When a message of this priority may be sent under a cap that counts these slots: `now` if it may be sent now.

    A later time is the earliest possible: by then, others that hold slots may have taken them.
    """
    window = timedelta(hours=cap.hours)
    others = (slot for key, slot in sends.items() if key != message_id and counted(slot))
    ends = sorted(_end(slot, window, now) for slot in others if _stands_in_the_way(slot, window, priority, now))
    return now if len(ends) < cap.times else ends[len(ends) - cap.times]


def _stands_in_the_way(slot: Slot, window: timedelta, priority: int, now: datetime) -> bool:
    if slot.state == "taken":
        return slot.at + window > now
    # What is tried again only after our own slot has ended loses nothing by it.
    return slot.priority > priority and slot.until > now and slot.at < now + window


def _end(slot: Slot, window: timedelta, now: datetime) -> datetime:
    """The earliest time at which a slot that stands in the way may no longer do so."""
    return slot.at + window if slot.state == "taken" else min(max(slot.at, now + PATIENCE), slot.until)


def with_slot(sends: Sends, message_id: str, slot: Slot, now: datetime) -> dict[str, Slot]:
    """The slots once this message has this one, instead of any it had; those that count no more are left out."""
    return _bounded({**pruned(sends, now), message_id: slot})


def without_slot(sends: Sends, message_id: str, now: datetime) -> dict[str, Slot]:
    """The slots once this message, which surely was not sent, has none."""
    return {key: slot for key, slot in pruned(sends, now).items() if key != message_id}


def pruned(sends: Sends, now: datetime) -> dict[str, Slot]:
    """The slots that still count."""
    return {key: slot for key, slot in sends.items() if slot.until > now}


def _bounded(sends: Sends) -> dict[str, Slot]:
    if len(sends) <= _MOST_HELD:
        return dict(sends)
    taken = sorted((item for item in sends.items() if item[1].state == "taken"), key=lambda item: item[1].at)
    held = sorted((item for item in sends.items() if item[1].state == "held"), key=lambda item: (item[1].priority, item[0]))
    return dict([*taken[-_MOST_TAKEN:], *held[-_MOST_HELD:]])


def write_sends(sends: Sends) -> str:
    """The slots as they are stored and travel: JSON, times in milliseconds since 1970."""
    return json.dumps({key: _parts(slot) for key, slot in sends.items()}, separators=(",", ":"))


def _parts(slot: Slot) -> list[str | int]:
    return [slot.trigger, slot.channel, _millis(slot.at), slot.priority, slot.state, _millis(slot.until)]


def read_sends(text: str) -> dict[str, Slot]:
    """The slots of such a text."""
    return dict(_slots(json.loads(text).items()))


def _slots(items: Iterable[tuple[str, list[str | int]]]) -> Iterable[tuple[str, Slot]]:
    for key, (trigger, channel, at, priority, state, until) in items:
        held: Literal["taken", "held"] = "held" if state == "held" else "taken"
        yield key, Slot(str(trigger), str(channel), _time(int(at)), int(priority), held, _time(int(until)))


def _millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _time(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
