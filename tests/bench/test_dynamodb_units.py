"""The sizes and units that the bench charges for, against the examples of DynamoDB's developer guide."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench.dynamodb_units import size_of, write_units

DUE = {"due_shard": {"S": "07"}, "due_at": {"N": "1795297223.5"}}


@pytest.mark.parametrize(
    ("image", "size"),
    [
        ({"shirt-color": {"S": "R"}, "shirt-size": {"S": "M"}}, 23),
        ({"n": {"N": "27"}}, 3),
        ({"n": {"N": "-27.5"}}, 4),
        ({"l": {"L": []}}, 4),
        ({"l": {"L": [{"S": "ab"}]}}, 7),
        ({"m": {"M": {"k": {"S": "ab"}}}}, 8),
        ({"é": {"S": "é"}}, 4),
        ({"s": {"SS": ["ab", "c"]}}, 4),
        ({"b": {"BOOL": True}}, 2),
    ],
)
def test_a_row_is_as_large_as_its_names_and_values(image: dict[str, Any], size: int) -> None:
    assert size_of(image) == size


def test_a_write_costs_a_unit_for_each_begun_kilobyte_of_the_larger_row() -> None:
    small, large = {"a": {"S": "x" * 1023}}, {"a": {"S": "x" * 1024}}
    assert write_units("profiles", None, small) == 1
    assert write_units("profiles", None, large) == 2
    assert write_units("profiles", large, small) == 2


@pytest.mark.parametrize(
    ("old", "new", "units"),
    [
        ({}, DUE, 2),
        (DUE, {"a": {"S": "b"}}, 2),
        (DUE, {**DUE, "a": {"S": "b"}}, 1),
        (DUE, {**DUE, "due_at": {"N": "1795297224"}}, 3),
        ({}, {"due_at": {"N": "1"}}, 1),
    ],
)
def test_an_entry_in_the_index_costs_when_it_comes_goes_or_moves(old: Any, new: Any, units: int) -> None:
    assert write_units("visits", old or None, new) == units
