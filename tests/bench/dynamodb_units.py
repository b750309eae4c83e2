"""What DynamoDB charges: sizes of rows and units of writes, as its developer guide counts them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Image = Mapping[str, Mapping[str, Any]]

WRITE_UNIT = 1024
READ_UNIT = 4096

_INDEX_KEYS = {"visits": ("due_shard", "due_at"), "messages": ("visit_id", "created_at")}
"""The keys of a table's index: its entries hold keys only, so each is under one unit."""


def size_of(image: Image) -> int:
    """Bytes of a row: names and values."""
    return sum(len(name.encode()) + _size(value) for name, value in image.items())


def _size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return math.ceil(len(content.strip("-").replace(".", "")) / 2) + 1
    if kind == "L":
        return 3 + sum(1 + _size(one) for one in content)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _size(one) for name, one in content.items())
    return sum(len(one) for one in content) if kind == "SS" else 1


def write_units(table: str, old: Image | None, new: Image | None) -> int:
    """Units of one write: the larger of the row before and after, and the index entries it removes and puts."""
    largest = max(size_of(image) for image in (old, new) if image)
    return math.ceil(largest / WRITE_UNIT) + _index_writes(table, old or {}, new or {})


def _index_writes(table: str, old: Image, new: Image) -> int:
    keys = _INDEX_KEYS.get(table, ())
    before, after = ([image[key] for key in keys if key in image] for image in (old, new))
    return 0 if before == after else (len(before) == len(keys)) + (len(after) == len(keys))
