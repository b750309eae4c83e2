"""Rates per second of CPU, and how they compare with a floor measured in turns within the same seconds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ROUNDS = 7


@dataclass(frozen=True)
class Rate:
    """Things a second of CPU: ours and the floor's, the medians of a few rounds."""

    ours: float
    floor: float

    @property
    def share(self) -> float:
        """Of the floor's rate, how much is left."""
        return self.ours / self.floor


def compare(ours: Callable[[], object], floor: Callable[[], object], things: int, rounds: int = ROUNDS) -> Rate:
    """Runs both in turns, each of which does `things` things; the first turn only warms up."""
    turns = list(_turns(ours, floor, rounds + 1))[1:]
    rates = [statistics.median(things / turn[which] for turn in turns) for which in (0, 1)]
    return Rate(*rates)


def _turns(ours: Callable[[], object], floor: Callable[[], object], rounds: int) -> Iterator[tuple[float, float]]:
    for _ in range(rounds):
        yield _cpu(ours), _cpu(floor)


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
