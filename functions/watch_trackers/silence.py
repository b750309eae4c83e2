"""Which trackers have been silent for longer than they should."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from shared.heard import Heard
from shared.trackers import Tracker


def silent(trackers: Iterable[Tracker], heard: Heard, now: datetime) -> dict[str, datetime]:
    """Those that were silent for their `silence_seconds`, each with since when. One that is new is listened to from now on."""
    watched = {one.name: one.silence_seconds for one in trackers if one.silence_seconds is not None}
    last = heard.last(watched) if watched else {}
    for name in watched.keys() - last.keys():
        heard.begin(name)
    return {name: at for name, at in last.items() if (now - at).total_seconds() > watched[name]}
