"""The journal of Adobe I/O Events: all events of a registration, for seven days, whether its webhook was in force or not.

It is read page by page, each at the link that the last one gave. Positions say nothing of order or time, so links are followed as
they are. An empty page gives a link as well, which is good until events come, and for seven days at the longest.

Source: Adobe I/O Events, Journaling API (read 2026-11-21).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from pydantic import JsonValue

from shared.clock import Clock
from shared.errors import Misconfigured, Permanent, Transient, outcome_of_status
from shared.exchange import Exchange, Request, Response
from shared.mapping import at, text_at
from shared.scrub import code
from shared.trackers import Journal

_LINK = re.compile(r'<([^<>]*)>[^<]*?;\s*rel="?next"?(?=\s*[;,]|\s*$)')


class Expired(Permanent):
    """The events at the link's position are no longer kept: what came between is lost."""


@dataclass(frozen=True)
class Page:
    """A part of the journal."""

    events: Sequence[JsonValue]
    """As the webhook posts them."""
    next: str
    """Where to go on."""
    wait: float | None
    """Seconds after which to look for more; None if there may be more already."""


def beginning(journal: Journal) -> str:
    """Where the first reading begins: `back_seconds` ago."""
    return _at(journal, f"seek=-PT{journal.back_seconds}S") if journal.back_seconds else latest(journal)


def latest(journal: Journal) -> str:
    """Where only what comes from now on is."""
    return _at(journal, "latest=true")


def oldest(journal: Journal) -> str:
    """Where the journal itself begins."""
    return journal.url


def read_page(journal: Journal, url: str, clock: Clock, timeout: float) -> Exchange[Page]:
    """One page. Raises Expired, and what else may come of a request; Misconfigured says what to look at in the console."""
    if _origin(url) != _origin(journal.url):
        raise Misconfigured("the journal goes on at another host, which is not asked")
    headers = {"x-api-key": journal.auth.client_id, "x-ims-org-id": journal.organization, "accept": "application/json"}
    answer = yield Request("GET", url, headers, timeout=timeout)
    if answer.status == 204:
        return Page((), _next(answer, url) or url, answer.retry_after(clock) or 0)
    _check(journal, answer, clock)
    events, link = at(body := answer.json(), "events"), _next(answer, url)
    if not isinstance(events, list):
        raise Transient(f"the journal's answer (HTTP {answer.status}) has no list of events")
    if link is None:
        raise Transient("the journal does not say where it goes on")
    return Page([_event(one) for one in events], link, None if events or text_at(body, "_page.last") else 0)


def _at(journal: Journal, where: str) -> str:
    return f"{journal.url}{'&' if '?' in journal.url else '?'}{where}"


def _check(journal: Journal, answer: Response, clock: Clock) -> None:
    if answer.status == 410:
        raise Expired("the journal no longer has what came after the last reading")
    said = code(_code(answer), [journal.auth.client_secret.get_secret_value()])
    reason = f"the journal answers HTTP {answer.status} {said}".rstrip()
    if answer.status in (400, 403, 404):
        raise Misconfigured(
            f"{reason}: compare the journal's url, organization and client_id with the Developer Console, and see that the "
            "credentials' product profile has Triggers"
        )
    failed = outcome_of_status(answer.status, reason, retry_after=answer.retry_after(clock))
    if failed is not None:
        raise failed


def _code(answer: Response) -> str:
    try:
        return text_at(answer.json(), "error_code")
    except Transient:
        return ""


def _event(one: JsonValue) -> JsonValue:
    """What stands beside an event's position is the event, as it is posted."""
    return one["event"] if isinstance(one, dict) and "event" in one and "position" in one else one


def _next(answer: Response, url: str) -> str | None:
    """The link named `next`, which is relative to the host, of several."""
    found = _LINK.search(answer.headers.get("link", ""))
    return urljoin(url, found[1]) if found else None


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
