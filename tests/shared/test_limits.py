"""Many functions on one simulated clock share a limit: it is kept in every window, and used when there is demand."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import pytest

from shared.errors import Transient
from shared.fields import Limit
from shared.limits import Limits
from shared.queues import patience
from tests.aws import Aws

pytestmark = pytest.mark.slow

BATCH = 10


@dataclass
class Shop:
    """Functions that send under one limit, and when each message went out, in seconds."""

    aws: Aws
    limit: Limit
    seed: int
    skew: float = 0
    """Seconds by which the functions' clocks differ at most."""
    lag: float = 0
    """Seconds between a take and its messages' arrival at most."""
    works: tuple[float, float] = (0.01, 0.05)
    """Seconds that a batch takes."""
    sent: list[float] = field(default_factory=list)
    writes: int = 0

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)
        self.start = self.aws.clock.at
        self.aws.dynamodb.meta.events.register("before-call.dynamodb.UpdateItem", self._count)

    def _count(self, **_: object) -> None:
        self.writes += 1

    @property
    def now(self) -> float:
        return (self.aws.clock.at - self.start).total_seconds()

    def function(self) -> Limits:
        """A new process, with a clock of its own."""
        off = timedelta(seconds=self.chance.uniform(-self.skew / 2, self.skew / 2))

        def clock() -> datetime:
            return self.aws.clock.at + off

        return Limits(self.aws.dynamodb, self.aws.table("state"), clock, Random(self.chance.random()))

    def play(self, functions: int, seconds: float, backlog: int, *, killed: float = 0) -> None:
        """Has each function take batch after batch from a queue; a message that is refused is back in it when it was told to."""
        queue = [0.0] * backlog
        free = [(self.chance.uniform(0, 0.05), number, self.function()) for number in range(functions)]
        heapq.heapify(free)
        while free[0][0] < seconds and queue:
            at, number, limits = heapq.heappop(free)
            batch = [heapq.heappop(queue) for _ in range(min(BATCH, len(queue))) if queue[0] <= at]
            done = at + self.chance.uniform(*self.works)
            if batch:
                refused, wait = self._take(at, limits, len(batch))
                for _ in range(refused):
                    heapq.heappush(queue, at + patience(Transient("", retry_after=wait), 1, self.chance))
            after = self.function() if self.chance.random() < killed else limits
            heapq.heappush(free, (done if batch else max(done, queue[0]), number, after))
        self.sent.sort()

    def _take(self, at: float, limits: Limits, wanted: int) -> tuple[int, float]:
        self.aws.clock.at = self.start + timedelta(seconds=at)
        grant = limits.take("esp", self.limit, wanted)
        assert 0 <= grant.granted <= wanted
        assert (grant.retry_after == 0) == (grant.granted == wanted)
        self.sent += [at + self.chance.uniform(0, self.lag) for _ in range(grant.granted)]
        return wanted - grant.granted, grant.retry_after

    def most(self) -> int:
        """Messages in the fullest window, wherever it begins."""
        ends = (bisect_left(self.sent, at + self.limit.seconds - 1e-9) for at in self.sent)
        return max(end - begin for begin, end in enumerate(ends))

    def use(self, seconds: float) -> float:
        """The part of the limit that was used."""
        return len(self.sent) / (self.limit.messages * seconds / self.limit.seconds)


@pytest.mark.parametrize(
    ("messages", "seconds", "lasts", "least"),
    [(100, 1, 8, 0.8), (5, 1, 30, 0.65), (1, 1, 60, 0.5), (300, 10, 40, 0.7), (30, 0.5, 8, 0.4)],
)
def test_the_limit_is_kept_in_every_window_and_used(aws: Aws, messages: int, seconds: float, lasts: float, least: float) -> None:
    slot = max(seconds / 20, 0.05)
    shop = Shop(aws, Limit(messages=messages, seconds=seconds), 1, skew=slot * 0.2, lag=slot * 0.7)
    shop.play(6, lasts, backlog=int(2 * lasts * messages / seconds))
    assert shop.most() <= messages
    assert shop.use(lasts) > least


def test_what_waits_is_gone_soon_after_it_could_be(aws: Aws) -> None:
    shop = Shop(aws, Limit(messages=20), 1)
    shop.play(4, 60, backlog=500)
    assert len(shop.sent) == 500
    assert shop.sent[-1] < 1.5 * 500 / 20


@pytest.mark.parametrize("seed", range(2))
def test_killed_functions_never_make_it_more(aws: Aws, seed: int) -> None:
    shop = Shop(aws, Limit(messages=50), seed)
    shop.play(8, 8, backlog=1000, killed=0.2)
    assert shop.most() <= 50
    assert shop.use(8) > 0.7


def test_far_fewer_writes_than_messages(aws: Aws) -> None:
    shop = Shop(aws, Limit(messages=2000), 1, works=(0.001, 0.005))
    shop.play(4, 4, backlog=20_000)
    assert shop.use(4) > 0.75
    assert shop.writes / len(shop.sent) < 0.06


def test_the_more_wait_the_later_they_ask_again(aws: Aws) -> None:
    shop = Shop(aws, Limit(messages=10, seconds=1), 1)
    one = shop.function()
    one.take("esp", shop.limit, 10)
    waits = [one.take("esp", shop.limit, 100).retry_after for _ in range(20)]
    assert sum(waits[10:]) > sum(waits[:10])
    assert max(waits) < 310
    assert len(set(waits)) == 20, "spread, so that nobody comes back as a herd"


def test_what_surely_has_no_room_is_not_asked_of_the_table(aws: Aws) -> None:
    shop = Shop(aws, Limit(messages=10, seconds=1), 1)
    one = shop.function()
    one.take("esp", shop.limit, 10)
    writes = shop.writes
    for _ in range(10):
        aws.clock.forward(0.1)
        assert one.take("esp", shop.limit, 10).granted == 0
    assert shop.writes == writes
    aws.clock.forward(0.11)
    assert one.take("esp", shop.limit, 10).granted == 10


def test_a_day_may_be_used_up_at_once_and_lasts_a_day(aws: Aws) -> None:
    limit = Limit(messages=50, seconds=86_400)
    shop = Shop(aws, limit, 1)
    one, other = shop.function(), shop.function()
    assert one.take("esp", limit, 40).granted == 40
    refused = other.take("esp", limit, 40)
    assert refused.granted == 10
    assert refused.retry_after > 86_400
    aws.clock.forward(86_300)
    assert other.take("esp", limit, 1).granted == 0
    aws.clock.forward(3 * 4320)
    assert other.take("esp", limit, 50).granted == 50


def test_limits_are_of_an_integration_each(aws: Aws) -> None:
    limit = Limit(messages=1)
    one = Shop(aws, limit, 1).function()
    assert one.take("esp", limit, 1).granted == 1
    assert one.take("other", limit, 1).granted == 1
    assert one.take("esp", limit, 1).granted == 0


def test_a_limit_that_was_lowered_holds_at_once(aws: Aws) -> None:
    shop = Shop(aws, Limit(messages=100), 1)
    one, other = shop.function(), shop.function()
    assert one.take("esp", shop.limit, 60).granted == 60
    assert other.take("esp", Limit(messages=50), 10).granted == 0
    assert other.take("esp", Limit(messages=70), 20).granted == 10


def test_a_row_that_is_gone_is_made_anew(aws: Aws) -> None:
    shop = Shop(aws, Limit(messages=10), 1)
    one = shop.function()
    assert one.take("esp", shop.limit, 3).granted == 3
    aws.dynamodb.delete_item(TableName=aws.table("state"), Key={"pk": {"S": "limit#esp#1"}})
    assert one.take("esp", shop.limit, 7).granted == 7


def test_threads_share_what_their_process_takes(aws: Aws) -> None:
    shop = Shop(aws, Limit(messages=50, seconds=60), 1)
    processes = [shop.function() for _ in range(3)]
    aws.table("state")
    with ThreadPoolExecutor(12) as threads:
        grants = list(threads.map(lambda i: processes[i % 3].take("esp", shop.limit, 2), range(60)))
    assert sum(grant.granted for grant in grants) == 50
