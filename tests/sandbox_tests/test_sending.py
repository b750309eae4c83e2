"""JSON as JavaScript writes it: signatures depend on each character of it."""

import pytest

from tests.sandbox.trackers.sending import stringified


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (49.5, "49.5"),
        (1e16, "10000000000000000"),
        (1e20, "100000000000000000000"),
        (3.031859454455259e19, "30318594544552590000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-6, "0.000001"),
        (8.530132475717321e-05, "0.00008530132475717321"),
        (1.5e-7, "1.5e-7"),
        (float("nan"), "null"),
        (10**20, "100000000000000000000"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert stringified(value) == text


def test_texts_and_what_holds_them() -> None:
    assert stringified({"é": [True, None, '\u2028/"\n'], "x": ()}) == '{"é":[true,null,"\u2028/\\"\\n"],"x":[]}'
