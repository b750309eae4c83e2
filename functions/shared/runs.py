"""Many items in few requests: how many fit into one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def in_runs(items: Iterable[T], size_of: Callable[[T], int], *, most: int, largest: int) -> Iterator[list[T]]:
    """The items in runs of at most `most` items and `largest` bytes, in their order; an item that is larger alone in its run."""
    run: list[T] = []
    size = 0
    for item in items:
        length = size_of(item)
        if run and (len(run) == most or size + length > largest):
            yield run
            run, size = [], 0
        run.append(item)
        size += length
    if run:
        yield run
