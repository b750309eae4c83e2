"""The events that a deployment has kept: it says where they are, and they are read from S3."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies
from pydantic import JsonValue

from cli.api import Api
from cli.command import rows
from cli.errors import CommandError
from shared.jobs import TrackerEvent
from shared.recordings import hour_of, unpacked

_AT_ONCE = 8
_TIMEOUT = 60

_GONE = 404


def kept_events(api: Api, days: int) -> Iterator[TrackerEvent]:
    """What trackers told in the last days, in the order in which it came in. Raises CommandError.

    No more than an hour of it is in memory, unless something waited longer in a queue. An event may be there twice.
    """
    waiting: list[TrackerEvent] = []
    hours = itertools.groupby(_objects(api, days), key=lambda one: hour_of(str(one["key"])))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for hour, objects in hours:
            ready, waiting = _before(hour, waiting)
            yield from ready
            waiting += itertools.chain.from_iterable(pool.map(_read, objects))
    yield from _in_order(waiting)


def _objects(api: Api, days: int) -> Iterator[dict[str, JsonValue]]:
    """Where they are, page by page: an address is good for some minutes only."""
    after = ""
    while True:
        answer = api.get("recorded", days=str(days), **({"after": after} if after else {}))
        yield from rows(answer, "objects")
        if answer["next"] is None:
            return
        after = str(answer["next"])


def _before(at: datetime, events: Sequence[TrackerEvent]) -> tuple[list[TrackerEvent], list[TrackerEvent]]:
    """The events that came in before this time, in their order, and the others: a batch may reach into the next hour."""
    return _in_order(one for one in events if one.received_at < at), [one for one in events if one.received_at >= at]


def _in_order(events: Iterable[TrackerEvent]) -> list[TrackerEvent]:
    return sorted(events, key=lambda event: event.received_at)


@cache
def _session(proxies: tuple[tuple[str, str], ...]) -> URLLib3Session:
    """Connections that all threads share."""
    return URLLib3Session(timeout=_TIMEOUT, proxies=dict(proxies), max_pool_connections=_AT_ONCE)


def _read(one: dict[str, JsonValue]) -> list[TrackerEvent]:
    """The events of one object; none of one that has expired meanwhile."""
    url = str(one["url"])
    try:
        answer = _session(tuple(get_environ_proxies(url).items())).send(AWSRequest("GET", url).prepare())
    except BotoCoreError as error:
        raise CommandError(f"No answer from S3: {error}") from None
    if answer.status_code == _GONE:
        return []
    if answer.status_code != 200:
        raise CommandError(f"S3 does not let {one['key']} be read: HTTP {answer.status_code}.")
    try:
        return [*unpacked(answer.content)]
    except ValueError as error:
        raise CommandError(f"{one['key']} holds no events: {error}.") from None
