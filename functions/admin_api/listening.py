"""What the doctor finds out of trackers: when they were heard of, and whether their journals answer."""

from __future__ import annotations

from shared.clock import Clock, iso
from shared.errors import Misconfigured
from shared.exchange import run
from shared.heard import Heard
from shared.tokens import Send
from shared.trackers import Journal, Tracker

_PATIENCE = 5


def last_heard(tracker: Tracker, silence_seconds: int, heard: Heard, clock: Clock) -> str:
    """When the tracker was last heard of. Raises Misconfigured if it has been silent for longer than it should."""
    at = heard.last([tracker.name]).get(tracker.name)
    if at is None:
        return "nothing has come yet"
    seconds = (clock() - at).total_seconds()
    if seconds <= silence_seconds:
        return f"heard of {seconds:.0f} s ago"
    seen = "see in the vendor's console whether it has switched the webhook off"
    raise Misconfigured(f"silent since {iso(at)}, longer than {silence_seconds} s: {seen}")


def journal_answers(journal: Journal, send: Send, clock: Clock) -> str:
    """Asks for what comes from now on, which changes nothing. Raises what it comes to."""
    # Imported here, as few trackers have one.
    from connectors.trackers.adobe_journal import latest, read_page  # noqa: PLC0415

    run(read_page(journal, latest(journal), clock, _PATIENCE), send)
    return "the journal answers"
