"""Functions are killed (kill -9) at random while the job runs: nothing is lost, nothing is sent or written twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.local.world import World
from tests.deployed.shop import Shop, until

pytestmark = pytest.mark.deployed

ROUNDS = 8
PEOPLE_A_ROUND = 10
SEED = 20261121
FULL = Counter({"sb_emailsend": 1, "sb_emailopen": 1, "sb_emailclick": 1, "task": 1})


def running_functions(world: World) -> Iterator[tuple[int, str]]:
    """Process id and function of every function process that runs now."""
    marker = str(world.aws.directory / "tmp" / "ministack-lambda-")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_text()
        except OSError:
            continue
        if marker in command:
            yield int(entry.name), command.split(marker)[1].split("/")[0]


def kill_one(world: World, chance: random.Random) -> str | None:
    """Kills one function process that is not the admin API's, which the test itself asks; the function's name."""
    targets = [(pid, name) for pid, name in running_functions(world) if "admin-api" not in name]
    if not targets:
        return None
    pid, name = chance.choice(sorted(targets))
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return name.removeprefix("sendbridge-local-").rsplit("-", 1)[0]


@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nothing_is_done_twice(deployed: World, shop: Shop) -> None:
    chance = random.Random(SEED)
    contacts: dict[int, str] = {}
    killed: Counter[str] = Counter()
    for round_number in range(ROUNDS):
        people = range(round_number * PEOPLE_A_ROUND, (round_number + 1) * PEOPLE_A_ROUND)
        contacts |= shop.contacts(people)
        _abandon_despite_kills(shop, people)
        for _ in range(6):
            time.sleep(chance.uniform(0.1, 1.0))
            killed.update([name] if (name := kill_one(deployed, chance)) else [])
    everybody = Counter(shop.email(number) for number in contacts)
    assert until(shop.inbox, lambda inbox: sum(inbox.values()) >= len(everybody), 180) == everybody
    for number, contact in contacts.items():
        seen = until(lambda c=contact: shop.timeline(c), lambda seen: sum(seen.values()) >= 4, 240)  # type: ignore[misc]
        assert seen == FULL, _evidence(shop, number)
    time.sleep(5)
    assert shop.inbox() == everybody
    assert all(shop.timeline(contact) == FULL for contact in contacts.values())
    for number in contacts:
        assert [trace["status"] for trace in shop.traces(number)] == ["sent"]
    assert sum(killed.values()) >= 20, killed
    assert len(killed) >= 4, killed


@pytest.mark.timeout(120)
def test_a_function_killed_while_it_starts_takes_no_other_along(deployed: World) -> None:
    """Else one kill under load could fail every post after it, for as long as posts keep coming."""
    url = f"{deployed.deployment.url}/v1/engagements/postbird"
    for pid, _ in _of(deployed, "receive-engagement"):
        os.kill(pid, signal.SIGKILL)
    assert until(lambda: _of(deployed, "receive-engagement"), lambda found: not found, 10) == []
    with ThreadPoolExecutor(6) as pool:
        posts = [pool.submit(httpx.post, url, content=b"{}", timeout=60) for _ in range(6)]
        starting = until(lambda: _of(deployed, "receive-engagement"), bool, 10)
        os.kill(starting[0][0], signal.SIGKILL)
        statuses = [post.result().status_code for post in posts]
    assert statuses.count(401) >= 5, statuses


def _of(world: World, function: str) -> list[tuple[int, str]]:
    return [(pid, name) for pid, name in running_functions(world) if function in name]


def _evidence(shop: Shop, number: int) -> str:
    """Where something stopped: the message's trace, what is parked, and what the ESP could not deliver."""
    [trace] = shop.traces(number)
    hops = "\n".join(
        f"{hop['at']} {hop['hop']} {hop['what']} {hop.get('reason', '')} {hop.get('data', {})}" for hop in trace["trace"]
    )
    deliveries: Any = shop.esp.ask("deliveries")
    undelivered = [one for one in deliveries if one["outcome"] != "delivered"]
    posts = [one for one in deliveries if trace["esp_message_id"] in one["body"]]
    waiting = shop.world.sendbridge("doctor", accept=(0, 1))
    parts = {"trace": hops, "parked": shop.parked(), "undelivered": undelivered, "posts": posts, "doctor": waiting}
    return "\n".join(f"{name}: {part}" for name, part in parts.items())


def _abandon_despite_kills(shop: Shop, people: range) -> None:
    """As a tracker does: what was not answered with 202 is posted again."""
    for _ in range(10):
        try:
            shop.abandon(people)
        except AssertionError:
            time.sleep(0.5)
        else:
            return
    raise AssertionError("the tracker gave up")
