"""Reads on in the journals of trackers: what a webhook missed, and what it brought already, which changes nothing.

One reads at a time. What a page has is in the queue before the place after it is kept, so whoever is stopped between is followed
by one who reads that page again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from connectors.base import MAX_EVENTS, Post
from connectors.registry import TRACKERS
from connectors.trackers.adobe_journal import Expired, Page, beginning, oldest, read_page
from shared.bounds import Bounds
from shared.clock import Clock
from shared.errors import SendbridgeError, Transient
from shared.exchange import run
from shared.intake import jobs, parcels, sorted_out
from shared.observe import logger, whereabouts
from shared.queues import Queue
from shared.state import Leases
from shared.tokens import Send, Tokens
from shared.trackers import Journal, Tracker
from watch_trackers.positions import Positions


@dataclass(frozen=True)
class Desk:
    """What reading needs."""

    positions: Positions
    leases: Leases
    tokens: Tokens
    send: Send
    queue: Queue
    parked: Queue
    bounds: Bounds
    clock: Clock
    more: Callable[[], bool]
    """Whether there is time for another page."""
    patience: float
    """Seconds for one request."""
    lease_seconds: float


@dataclass
class Caught:
    """What came of one journal."""

    tracker: str
    taken: int = 0
    rejected: int = 0
    expired: int = 0
    """How often what was to come next was no longer kept."""
    problem: SendbridgeError | None = None


def catch_up(tracker: Tracker, journal: Journal, desk: Desk) -> Caught:
    """Reads until there is no more, or no more time. Whatever goes wrong is left to the next time: not before the vendor said."""
    caught, lease, after = Caught(tracker.name), f"journal#{tracker.name}", 0.0
    if not desk.leases.take(lease, desk.lease_seconds):
        return caught
    try:
        after = _Reading(tracker, journal, desk, caught).on()
    except SendbridgeError as error:
        caught.problem = error
        after = (error.retry_after or 0) if isinstance(error, Transient) else 0
    except Exception as error:  # of AWS
        caught.problem = Transient(whereabouts(error))
    finally:
        desk.leases.give_back(lease, after=after)
    return caught


@dataclass(frozen=True)
class _Reading:
    """One reading of one journal."""

    tracker: Tracker
    journal: Journal
    desk: Desk
    caught: Caught

    def on(self) -> float:
        """Reads on from where the last one ended. Returns how many seconds the next one is to wait."""
        name, journal, desk = self.tracker.name, self.journal, self.desk
        send = desk.tokens.authorised("tracker", name, journal.auth, desk.send)
        url = desk.positions.of(name, journal.url) or beginning(journal)
        while True:
            page = self._page(url, send)
            self._hand_on(page.events)
            if page.next != url:
                desk.positions.keep(name, journal.url, page.next)
            url = page.next
            if page.wait is not None or not desk.more():
                return page.wait or 0

    def _page(self, url: str, send: Send) -> Page:
        """The page there; the oldest that there is, if the journal no longer has that one."""
        clock, patience = self.desk.clock, self.desk.patience
        try:
            return run(read_page(self.journal, url, clock, patience), send)
        except Expired as error:
            logger.error("events are lost", tracker=self.tracker.name, reason=error.reason)
            self.caught.expired += 1
            return run(read_page(self.journal, oldest(self.journal), clock, patience), send)

    def _hand_on(self, events: Sequence[JsonValue]) -> None:
        """The events go where those of a post go."""
        connector, desk, name = TRACKERS.load(self.tracker.format), self.desk, self.tracker.name
        for start in range(0, len(events), MAX_EVENTS):
            post = Post({}, json.dumps(events[start : start + MAX_EVENTS]).encode())
            read = connector.events(self.tracker, post, desk.clock)
            taken, rejected = sorted_out(read, desk.bounds, desk.clock())
            desk.queue.send_texts(jobs(taken))
            desk.parked.park_all(parcels(name, rejected), desk.clock)
            self.caught.taken += len(taken)
            self.caught.rejected += len(rejected)
